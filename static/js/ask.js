// Asks before what cannot be undone; what can be is done at once, with a toast that takes it back.

let asked = 0; // questions on this page, for their ids

function make(tag, classes, words = "") {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.textContent = words;
  return made;
}

/** Resolves to true or false. With field, {label, hint, maxLength}, to the text, which is never empty,
 * or false: what a reason is asked with. The safe answer has the focus, or the field. */
export function ask({ title, words = "", button = "Go on", danger = false, field = null }) {
  const id = `ask-${(asked += 1)}`;
  const dialog = document.createElement("dialog");
  const form = make("form");
  form.method = "dialog";
  const heading = make("h2", "", title);
  heading.id = `${id}-title`;
  dialog.setAttribute("aria-labelledby", heading.id);
  form.append(heading);
  if (words) {
    const text = make("p", "quiet", words);
    text.id = `${id}-words`;
    dialog.setAttribute("aria-describedby", text.id);
    form.append(text);
  }
  const input = field && fieldOf(field, `${id}-field`, form);
  const yes = make("button", danger ? "primary danger" : "primary", button);
  yes.value = "yes";
  const no = make("button", "", "Cancel");
  no.type = "button";
  no.addEventListener("click", () => dialog.close());
  const actions = make("div", "actions");
  actions.append(no, yes);
  form.append(actions);
  dialog.append(form);
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && outside(event, dialog));
  document.body.append(dialog);
  dialog.showModal();
  (input ?? (danger ? no : yes)).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const agreed = dialog.returnValue === "yes";
      dialog.remove();
      if (!input) resolve(agreed);
      else resolve(agreed && input.value.trim());
    });
  });
}

function fieldOf({ label, hint = "", maxLength = 200 }, id, form) {
  const box = make("div", "field");
  const name = make("label", "", label);
  name.htmlFor = id;
  const input = document.createElement("input");
  Object.assign(input, { id, maxLength, required: true, pattern: ".*\\S.*", autocomplete: "off" });
  box.append(name, input);
  if (hint) {
    const text = make("p", "hint", hint);
    text.id = `${id}-hint`;
    input.setAttribute("aria-describedby", text.id);
    box.append(text);
  }
  form.append(box);
  return input;
}

function outside({ clientX, clientY }, dialog) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  if (clientX < left || clientX > right || clientY < top || clientY > bottom) dialog.close();
}
