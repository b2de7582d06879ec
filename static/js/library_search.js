// The filters: as somebody types or chooses, and always in the address, which can be shared.

const TYPED_MS = 250; // after the last key
const USUAL = { ordering: "-created_at", state: "clips" }; // what no address needs to say

/** The form's values as a query, in the order of its fields. */
export function queryOf(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const words = value.trim();
    if (words && words !== USUAL[name]) query.append(name, words);
  }
  return query;
}

/** Sets the form to what a query says. */
export function fillFrom(form, query) {
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === "checkbox") field.checked = query.getAll(field.name).includes(field.value);
    else field.value = query.get(field.name) ?? USUAL[field.name] ?? "";
  }
}

/** Calls changed(query) when the form says something else than before. */
export function followForm(form, changed) {
  let timer = 0;
  let last = queryOf(form).toString();
  const now = () => {
    clearTimeout(timer);
    const query = queryOf(form);
    if (query.toString() === last) return;
    last = query.toString();
    changed(query);
  };
  form.addEventListener("input", ({ target }) => {
    clearTimeout(timer);
    if (target.type === "search") timer = setTimeout(now, TYPED_MS);
    else now();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    now();
  });
  return { set: (query) => (fillFrom(form, query), now()), said: (query) => (last = query.toString()) };
}
