// The cancel form without leaving the page. What became of it comes over the live connection.

import { toast } from "./toast.js";

export function enhanceCancel(form) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    button.ariaBusy = "true";
    try {
      const body = new FormData(form);
      // The answer leads to the job's page, which is on show already, or to the sign-in.
      const answer = await fetch(form.action, { method: "POST", body });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      if (new URL(answer.url).pathname.startsWith("/accounts/")) location.assign(answer.url);
      if (form.id) button.textContent = "Cancelling…";
    } catch (error) {
      button.disabled = false;
      toast(`It could not be cancelled: ${error.message}. Try again.`);
    } finally {
      button.ariaBusy = "false";
    }
  });
}
