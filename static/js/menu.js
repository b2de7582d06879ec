// What <details class="menu"> lacks: Escape, a click outside, arrow keys, one open at a time.
// And Escape for tips (data-tip), which come with the pointer or the focus.

const OPEN = "details.menu[open]";
const KEYS = ["ArrowDown", "ArrowUp", "Home", "End"];
const ITEMS = "a[href], button:not(:disabled), input:checked";

function close(menu, { focus = false } = {}) {
  menu.open = false;
  if (focus) menu.querySelector("summary").focus();
}

function move(menu, key) {
  const items = [...menu.querySelectorAll(`.menu-items :is(${ITEMS})`)];
  if (items.length === 0) return;
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, Home: 0, End: -1 }[key];
  items.at(to % items.length).focus();
}

function escape(event, menu) {
  document.documentElement.dataset.tips = "off";
  const open = menu ?? document.querySelector(OPEN);
  if (!open) return;
  event.preventDefault(); // it is for the menu alone, not for what lies behind
  close(open, { focus: open.contains(document.activeElement) });
}

function pressed(event) {
  const menu = event.target.closest?.(OPEN);
  if (event.key === "Escape") escape(event, menu);
  else if (menu && KEYS.includes(event.key) && !event.target.matches("input")) {
    event.preventDefault(); // radios choose among themselves by the same keys
    move(menu, event.key);
  }
}

/** Once on every page (app.js). */
export function startMenus() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("pointerdown", ({ target }) => {
    for (const menu of document.querySelectorAll(OPEN)) if (!menu.contains(target)) close(menu);
  });
  document.addEventListener("focusin", ({ target }) => {
    delete document.documentElement.dataset.tips;
    for (const menu of document.querySelectorAll(OPEN)) if (!menu.contains(target)) close(menu);
  });
  document.addEventListener("pointerover", ({ target }) => {
    if (target.closest?.("[data-tip]")) delete document.documentElement.dataset.tips;
  });
}
