// On every page of the settings: copying, questions before what cannot be undone, the current tab.
import { ask } from "./ask.js";
import { toast } from "./toast.js";

// Without a clipboard the field is there to select.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    toast("Copied.", { kind: "success" });
  } catch {
    source.select?.();
    toast("The browser did not let it be copied: press Ctrl C.");
  }
});
document.addEventListener("focusin", ({ target }) => target.matches("input.secret") && target.select());

// <details class="confirm"> asks without a script; with one a dialog does.
for (const details of document.querySelectorAll("details.confirm")) {
  const [summary, button] = [details.querySelector("summary"), details.querySelector("button")];
  summary.addEventListener("click", async (event) => {
    event.preventDefault();
    const yes = await ask({
      title: details.dataset.title ?? summary.textContent.replace("…", "").trim() + "?",
      words: details.dataset.words ?? "",
      button: details.dataset.button ?? button.textContent,
      danger: button.classList.contains("danger"),
    });
    if (yes) details.closest("form").requestSubmit(button);
    else summary.focus();
  });
}

// A form that is on its way is not sent twice.
for (const form of document.querySelectorAll("main form[method=post]")) {
  form.addEventListener("submit", () => {
    // Later: a button that is disabled now would not be sent along.
    setTimeout(() => form.querySelectorAll("[type=submit]").forEach((each) => (each.disabled = true)));
  });
}
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

// Where the tabs are a row that scrolls, the current one is in its middle.
const current = document.querySelector(".settings-nav [aria-current]");
if (current) {
  const nav = current.closest(".settings-nav");
  new ResizeObserver(() => {
    const [row, tab] = [nav.getBoundingClientRect(), current.getBoundingClientRect()];
    nav.scrollLeft += tab.left - row.left - (row.width - tab.width) / 2;
  }).observe(nav);
}
