// On every page: toasts, menus, the theme, ages, the first field with an error.

import { forgetDrafts } from "./draft.js";
import { startMenus } from "./menu.js";
import "./theme.js";
import { keepTimes } from "./times.js";
import { startToasts } from "./toast.js";

function focusFirstError() {
  const field = document.querySelector('[aria-invalid="true"]');
  if (!field) return;
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus();
}

// Whoever sits down at this computer next reads nothing of it.
document.addEventListener("submit", ({ target }) => {
  if (target.getAttribute("action")?.endsWith("/logout/")) forgetDrafts();
});
startToasts();
startMenus();
keepTimes();
focusFirstError();
