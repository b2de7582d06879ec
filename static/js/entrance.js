// Of the pages that ask for passwords and codes: a password can be looked at, caps lock is told of,
// and a page that asks for one code begins there.

for (const input of document.querySelectorAll('main input[type="password"]')) {
  const box = document.createElement("span");
  box.className = "password";
  input.before(box);
  const show = document.createElement("button");
  show.type = "button";
  show.className = "plain small";
  const what = document.createElement("span");
  what.className = "visually-hidden";
  what.textContent = ` ${input.labels[0]?.textContent ?? "what is typed"}`;
  show.append("Show", what);
  show.setAttribute("aria-controls", input.id);
  show.setAttribute("aria-pressed", "false");
  const hint = document.createElement("span");
  hint.className = "caps small";
  hint.setAttribute("role", "status");
  box.append(input, show, hint);
  show.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    show.setAttribute("aria-pressed", String(shown));
    input.focus();
  });
  const follow = (event) => {
    const on = event.getModifierState?.("CapsLock") ?? false;
    const words = on ? "Caps lock is on." : "";
    if (hint.textContent !== words) hint.textContent = words;
  };
  input.addEventListener("keydown", follow);
  input.addEventListener("keyup", follow);
  input.addEventListener("blur", () => (hint.textContent = ""));
  // What is shown is sent as a password all the same, and not kept among the words once typed.
  input.form?.addEventListener("submit", () => (input.type = "password"));
}

const code = document.querySelector('main input[autocomplete="one-time-code"]');
if (code) {
  code.autocapitalize = "off";
  code.spellcheck = false;
  code.focus();
}
