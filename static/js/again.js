// On the pages that come when something is away: tries again by itself, and copies the id of an error.

const LAST_SECONDS = 60;

const again = document.querySelector("[data-again]");
const count = again?.querySelector("[data-count]");
let wait = Number(again?.dataset.again); // seconds, longer each time
let left = wait;

/** Whether the site is back; asked without a body, so a page that only reads is asked for nothing. */
async function isBack() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", cache: "no-store", redirect: "manual" });
    return answer.type === "opaqueredirect" || answer.status < 500;
  } catch {
    return false;
  }
}

async function tick() {
  left -= 1;
  if (left <= 0 && document.visibilityState === "visible") {
    count.textContent = "";
    if (await isBack()) return location.replace(location.href);
    wait = Math.min(LAST_SECONDS, Math.ceil(wait * 1.5));
    left = wait;
  }
  if (left > 0) count.textContent = `, in ${left} s`;
  setTimeout(tick, 1000);
}

if (again) {
  again.hidden = false;
  setTimeout(tick, 1000);
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
    button.textContent = "Copied";
  });
}
