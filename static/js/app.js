// On every page: toasts, ages, the first field with an error.

import { keepTimes } from "./times.js";

const TOAST_MS = 6000;

function arm(toast) {
  const close = toast.querySelector("[data-dismiss]");
  close.hidden = false;
  close.addEventListener("click", () => toast.remove());
  if (toast.matches(".error, .warning")) return; // these wait to be read
  let timer = setTimeout(() => toast.remove(), TOAST_MS);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("focusin", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", () => {
    timer = setTimeout(() => toast.remove(), TOAST_MS);
  });
}

function focusFirstError() {
  const field = document.querySelector('[aria-invalid="true"]');
  if (!field) return;
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus();
}

document.querySelectorAll("[data-toast]").forEach(arm);
keepTimes();
focusFirstError();
