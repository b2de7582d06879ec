// The styleguide's own: swatches, and what opens on a press.

import { ask } from "./ask.js";
import { toast } from "./toast.js";

for (const swatch of document.querySelectorAll("[data-colour]")) {
  swatch.style.setProperty("background", `var(--${swatch.dataset.colour})`);
}
for (const line of document.querySelectorAll("[data-at]")) line.style.setProperty("--at", line.dataset.at);
for (const field of document.querySelectorAll("[data-invalid]")) field.ariaInvalid = "true"; // no focus at load

const range = document.getElementById("f-range");
const fill = () => {
  range.style.setProperty("--fill", `${(100 * range.value) / range.max}%`);
  range.parentElement.querySelector("output").textContent = `${range.value} of ${range.max}`;
};
range.addEventListener("input", fill);
fill();

const answer = document.getElementById("demo-answer");
const tell = (words) => (answer.textContent = words);
const banner = document.getElementById("connection");

const DEMOS = {
  ask: async () =>
    tell(`Answered: ${await ask({ title: "Revoke this token?", words: "Programs that use it stop at once. It cannot be brought back.", button: "Revoke", danger: true })}`),
  reason: async () =>
    tell(`Answered: ${await ask({ title: "Drain gpu-1?", words: "It ends its job and takes no other.", button: "Drain", field: { label: "Why?", hint: "Stands in the audit log." } })}`),
  undo: () =>
    toast("Three clips were deleted.", {
      kind: "success",
      action: { words: "Undo", act: async () => tell("Brought back.") },
    }),
  success: () => toast("Copied.", { kind: "success" }),
  error: () => toast("The server cannot be reached. Nothing was changed; try again when you are online."),
  offline: () => {
    banner.dataset.state = banner.hidden ? "offline" : "";
    banner.querySelector("[data-words]").textContent = "You are offline. This page goes on when the network is back.";
    banner.hidden = !banner.hidden;
  },
};

for (const button of document.querySelectorAll("[data-demo]")) {
  button.addEventListener("click", DEMOS[button.dataset.demo]);
}
