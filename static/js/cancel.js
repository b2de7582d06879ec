// The cancel form without leaving the page. What became of it comes over the live connection.

import { act } from "./act.js";
import { tell } from "./job_verbs.js";

/** sure: async, whether it is meant. asked: called before the server has answered, for a page that
 * shows it at once; done: with the answer; refused: takes back what asked showed. */
export function enhanceCancel(form, { sure, asked, done, refused } = {}) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled || (sure && !(await sure()))) return;
    button.disabled = true;
    button.ariaBusy = "true";
    asked?.();
    try {
      const answer = await act(form.action, form);
      done?.(answer);
    } catch (error) {
      button.disabled = false;
      refused?.();
      tell(error, "It could not be cancelled. ");
    } finally {
      button.ariaBusy = "false";
    }
  });
}
