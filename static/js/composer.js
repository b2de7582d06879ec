// The composer: options follow the model, examples and words fill the prompt, one submit is one
// submit.

const models = JSON.parse(document.getElementById("models").textContent);
const form = document.getElementById("composer");
const { prompt, model, size, frames, steps, guidance, seed, quality } = form.elements;
const key = form.elements.idempotency_key;
const submit = document.getElementById("submit");
const examples = document.getElementById("examples");
const words = document.getElementById("words");
const options = document.getElementById("options");

const current = () => models.find(({ name }) => name === model.value) ?? models[0];
const seconds = (count, fps) => `${(count / fps).toFixed(1)} s`;

function fill(select, values, textOf, usual) {
  const wanted = values.map(String).includes(select.value) ? select.value : String(usual);
  select.replaceChildren(...values.map((value) => new Option(textOf(value), value)));
  select.value = wanted;
}

function setHint(input, text) {
  const hint = form.querySelector(`[data-hint="${input.name}"]`);
  const described = new Set((input.getAttribute("aria-describedby") ?? "").split(" ")).add(hint.id);
  input.setAttribute("aria-describedby", [...described].join(" ").trim());
  hint.textContent = text;
}

function bound(input, least, most, step, usual) {
  Object.assign(input, { min: least, max: most, step, required: true });
  const value = Number(input.value);
  if (input.value === "" || value < least || value > most) input.value = usual;
  setHint(input, `${least} to ${most}, usually ${usual}`);
}

// keep: values that the server refused stay as they were typed, beside their messages.
function followModel({ keep }) {
  const { limits, defaults, fps, understands, qualities } = current();
  fill(size, limits.sizes, (name) => name.replace("x", " × "), defaults.size);
  fill(frames, limits.frames, (count) => seconds(count, fps), defaults.frames);
  fill(quality, qualities.map(({ name }) => name), titleOf, qualities[0].name);
  quality.closest(".field").hidden = qualities.length < 2 && quality.getAttribute("aria-invalid") !== "true";
  const typed = [steps.value, guidance.value];
  bound(steps, limits.min_steps, limits.max_steps, 1, defaults.steps);
  bound(guidance, limits.min_guidance, limits.max_guidance, "any", defaults.guidance);
  if (keep) [steps.value, guidance.value] = typed;
  prompt.maxLength = limits.max_prompt_chars;
  document.getElementById("understands").textContent = understands;
  examples.replaceChildren(...current().examples.map((text) => chip(text, "example")));
  words.replaceChildren(...current().words.map(wordRow));
  words.hidden = current().words.length === 0;
  summarise();
  count();
}

function titleOf(name) {
  return current().qualities.find((each) => each.name === name).title;
}

function chip(text, kind) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.dataset[kind] = "";
  button.textContent = text;
  return button;
}

function wordRow({ part, words: choices }) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const choice = document.createElement("dd");
  term.textContent = part;
  choice.append(...choices.map((text) => chip(text, "word")));
  row.append(term, choice);
  return row;
}

// At the cursor, in place of what is selected, with a space where another word touches it.
function insert(word) {
  const { value, selectionStart, selectionEnd } = prompt;
  const [before, after] = [value.slice(0, selectionStart), value.slice(selectionEnd)];
  const text = (/\S$/.test(before) ? " " : "") + word + (/^\S/.test(after) ? " " : "");
  const fits = before.length + text.length + after.length <= prompt.maxLength;
  if (fits) prompt.setRangeText(text, selectionStart, selectionEnd, "end");
  return fits;
}

function summarise() {
  const { title, fps } = current();
  setHint(frames, `${frames.value} frames`);
  document.getElementById("options-summary").textContent = [
    title,
    size.value.replace("x", "×"),
    seconds(frames.value, fps),
    `${steps.value} steps`,
    `guidance ${guidance.value}`,
    ...(quality.selectedIndex > 0 ? [titleOf(quality.value)] : []),
    seed.value === "" ? "random seed" : `seed ${seed.value}`,
  ].join(" · ");
}

function count() {
  document.getElementById("prompt-count").textContent =
    `${prompt.value.length} / ${current().limits.max_prompt_chars}`;
}

function setBusy(busy) {
  submit.disabled = busy;
  submit.ariaBusy = String(busy);
  submit.textContent = busy ? "Sending…" : "Make the video";
}

// One key for one intent: a form that comes back by the Back button is a new one.
// crypto.randomUUID exists on https and localhost only.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  key.value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

examples.addEventListener("click", ({ target }) => {
  const chosen = target.closest("[data-example]");
  if (!chosen) return;
  prompt.value = chosen.textContent;
  prompt.removeAttribute("aria-invalid");
  prompt.focus();
  count();
});
words.addEventListener("click", ({ target, detail }) => {
  const chosen = target.closest("[data-word]");
  if (!chosen) return;
  const word = chosen.textContent;
  const fits = insert(word);
  document.getElementById("announce").textContent =
    fits ? `Added: ${word}` : `The prompt is full; ${word} does not fit.`;
  prompt.removeAttribute("aria-invalid");
  // By keyboard (detail 0) or finger one goes on to the next word; a mouse may go back to typing.
  if (detail > 0 && matchMedia("(pointer: fine)").matches) prompt.focus();
  count();
});
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  if (!submit.disabled) form.requestSubmit(submit);
});
form.addEventListener("submit", () => setBusy(true));
// The browser cannot point at a field in a folded part, and would refuse in silence.
form.addEventListener("invalid", ({ target }) => target.closest("details")?.setAttribute("open", ""), true);
form.addEventListener("input", () => {
  summarise();
  count();
});
model.addEventListener("change", () => followModel({ keep: false }));
addEventListener("pageshow", () => {
  setBusy(false);
  newKey();
});

if (navigator.platform.startsWith("Mac")) {
  document.querySelector("#prompt-hint kbd").textContent = "⌘";
}
followModel({ keep: form.querySelector('[aria-invalid="true"]') !== null });
prompt.setSelectionRange(prompt.value.length, prompt.value.length); // words go to the end
