// Messages at their fields, as the server writes them into the page, and the focus at the first.

const fieldOf = (form, name) => form.querySelector(`[data-field="${CSS.escape(name)}"]`);
const controlOf = (form, name) =>
  fieldOf(form, name)?.querySelector(`[name="${CSS.escape(name)}"]:not([type="hidden"])`);

function describe(control, id, on) {
  const ids = new Set((control.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
  if (on) ids.add(id);
  else ids.delete(id);
  control.setAttribute("aria-describedby", [...ids].join(" "));
}

export function clearFault(form, name) {
  const control = controlOf(form, name);
  if (control?.getAttribute("aria-invalid") !== "true") return;
  control.removeAttribute("aria-invalid");
  const list = fieldOf(form, name).querySelector(".errorlist");
  if (list) describe(control, list.id, false);
  list?.remove();
}

export function clearFaults(form) {
  for (const field of form.querySelectorAll("[data-field]")) clearFault(form, field.dataset.field);
}

function showFault(form, name, words) {
  clearFault(form, name);
  const control = controlOf(form, name);
  const list = document.createElement("ul");
  list.className = "errorlist";
  list.id = `id_${name}_error`;
  const item = document.createElement("li");
  item.textContent = words;
  list.append(item);
  control.setAttribute("aria-invalid", "true");
  describe(control, list.id, true);
  (control.closest("[data-beside]") ?? control).after(list);
  return control;
}

/** faults: words by field. Those of fields that the form does not show are given back. */
export function showFaults(form, faults) {
  const rest = [];
  const shown = new Set();
  for (const [name, words] of Object.entries(faults)) {
    if (controlOf(form, name)) shown.add(showFault(form, name, words));
    else rest.push(words);
  }
  const first = [...form.elements].find((each) => shown.has(each));
  if (first) {
    for (let fold = first.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
    first.focus();
  }
  return rest;
}

function wordsOf(control) {
  const { validity, min, max, name } = control;
  if (validity.valueMissing && name === "prompt") return "Say what the video should show.";
  if (validity.rangeUnderflow || validity.rangeOverflow) return `From ${min} to ${max}.`;
  return control.validationMessage;
}

/** What the browser finds wrong, in words by field. */
export function faultsOf(form) {
  const bad = [...form.elements].filter((each) => each.name && !each.validity.valid);
  return Object.fromEntries(bad.map((each) => [each.name, wordsOf(each)]));
}
