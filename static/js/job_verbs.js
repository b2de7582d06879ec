// What a job's page does beside showing: retry, vary, copy. Without scripts these are plain forms.

import { act, isGone, say } from "./act.js";
import { toast } from "./toast.js";

const go = (url) => location.assign(url);

/** What kept a verb from being done. Of a job that is gone the server says it properly. */
export function tell(error, words = "") {
  if (isGone(error)) location.reload();
  else toast(`${words}${say(error)}`);
}

/** Posts the form in the background; done gets the answer. */
function enhance(form, done) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try {
      done(await act(form.action, form));
    } catch (error) {
      tell(error);
    } finally {
      button.ariaBusy = "false";
    }
  });
}

export const enhanceRetry = (form) => enhance(form, ({ url }) => go(url));

export function enhanceVary(form) {
  enhance(form, ({ message, url, jobs }) => {
    form.elements.idempotency_key.value = newKey(); // the next press means others
    const words = jobs.length === 1 ? "Watch" : "See them";
    toast(message, { kind: "success", action: { words, act: async () => go(url) } });
  });
}

/** After the cancel of a job that waited: the same once more, from the end of the line. */
export function offerBack(retry, message) {
  const again = async () => {
    try {
      go((await act(retry.action)).url);
    } catch (error) {
      tell(error);
    }
  };
  const action = "forbidden" in retry.dataset ? null : { words: "Submit it again", act: again };
  toast(message, { kind: "success", action });
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is for https alone
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** recipe: the list of values; json: the link to the same as a file. */
export function offerCopies({ recipe, json, buttons, link }) {
  if (!navigator.clipboard) return; // only on https and localhost
  const rows = [...recipe.children].map((row) => [...row.children].map((cell) => cell.textContent));
  const texts = {
    text: async () => rows.map((cells) => cells.join(": ")).join("\n"),
    json: async () => (await fetch(json.href)).text(),
  };
  buttons.hidden = false;
  for (const button of buttons.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button, texts[button.dataset.copy]));
  }
  link.hidden = false;
  link.addEventListener("click", () => copy(link, async () => location.origin + location.pathname));
}

async function copy(button, text) {
  const label = button.querySelector("span") ?? button;
  const words = label.textContent;
  try {
    await navigator.clipboard.writeText(await text());
  } catch {
    toast("It could not be copied. Try again, or select it and copy it yourself.");
    return;
  }
  label.textContent = "Copied";
  button.disabled = true; // its words would be remembered as Copied
  setTimeout(() => {
    label.textContent = words;
    button.disabled = false;
  }, 2000);
  toast("Copied.", { kind: "success" });
}
