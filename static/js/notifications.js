// Settings, Notifications: the switch of this browser, and what to do where it refuses.
import { show, standing, switchOff, switchOn } from "./notify.js";
import { toast } from "./toast.js";

const box = document.querySelector("[data-notify]");
const part = (name) => box.querySelector(`[data-notify-${name}]`);
const [badge, words, on, off, test, blocked] = ["badge", "words", "on", "off", "test", "blocked"].map(part);

const SAYS = {
  impossible: "This browser has no notifications for a page like this one. They need https, and on some phones an installed app.",
  blocked: "Blocked by the browser.",
  off: "You are told nothing. The browser asks you once when you turn it on.",
  on: "You are told when a clip of yours is ready, or has failed.",
};

function follow() {
  const now = standing();
  badge.textContent = { on: "On", blocked: "Blocked" }[now] ?? "Off";
  badge.className = `badge ${{ on: "success", blocked: "warning" }[now] ?? ""}`.trim();
  if (words.textContent !== SAYS[now]) words.textContent = SAYS[now];
  on.hidden = now !== "off";
  off.hidden = test.hidden = now !== "on";
  blocked.hidden = now !== "blocked";
}

on.addEventListener("click", async () => {
  if ((await switchOn()) === "on") {
    follow();
    off.focus();
    toast("On. This browser tells you from now on.", { kind: "success" });
    return;
  }
  follow();
});
off.addEventListener("click", () => {
  switchOff();
  follow();
  on.focus();
  toast("Off. This browser tells you nothing any more.", { kind: "success" });
});
test.addEventListener("click", () => {
  const shown = show("This is how it looks", {
    body: "A click on it opens the clip; this one opens the studio.",
    path: "/",
    tag: "t2v-test",
  });
  if (shown) toast("Sent. Nothing to see? Look whether the system shows this browser’s notifications.", { kind: "info" });
  else toast("This browser lets no page notify by itself, as on most phones.", { kind: "warning" });
});

follow();
window.addEventListener("focus", follow); // back from the browser's own settings
navigator.permissions?.query({ name: "notifications" }).then((state) => state.addEventListener("change", follow), () => {});
