// A notification of the browser when a clip of mine has ended. Switched on in Settings, for this
// browser alone (docs/howto/notifications.md).

const SWITCH = "t2v.notify";
const TOLD = "t2v.notified";
const MOST_TOLD = 50; // ids kept, so that many tabs tell once
const GRACE_MS = 400; // the tab that is looked at goes first
const HELD_MS = 5000; // hidden tabs hear of it a second later, or two
const ICON = new URL("../img/icon.svg", import.meta.url).href;

const WORDS = {
  succeeded: "Your clip is ready",
  failed: "A clip failed",
  parked: "A clip was given up",
  expired: "A clip expired in the queue",
};

// A browser may refuse storage altogether; then nothing is kept, and nothing is told.
function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
    return true;
  } catch {
    return false;
  }
}

/** Whether there is anything of that kind here: over plain http there is not. */
export const isPossible = () => "Notification" in window && "locks" in navigator;

/** "off", "on", or "blocked": switched on, or asked for, and refused by the browser. */
export function standing() {
  if (!isPossible()) return "impossible";
  if (Notification.permission === "denied") return "blocked";
  return kept(SWITCH) === "on" && Notification.permission === "granted" ? "on" : "off";
}

/** Asks the browser, so call it from a click alone. Resolves to the standing. */
export async function switchOn() {
  const permission = await Notification.requestPermission();
  if (permission === "granted") keep(SWITCH, "on");
  return standing();
}

export function switchOff() {
  keep(SWITCH, "off");
  return standing();
}

/** On a phone a page may not make one by itself; false then. */
export function show(title, { body, path, tag }) {
  try {
    const made = new Notification(title, { body, tag, icon: ICON, silent: true });
    made.addEventListener("click", () => {
      made.close();
      window.focus();
      if (location.pathname !== path) location.assign(path);
    });
    return true;
  } catch {
    return false;
  }
}

const isLookedAt = () => document.visibilityState === "visible" && document.hasFocus();

function told() {
  try {
    const ids = JSON.parse(kept(TOLD) ?? "[]");
    return Array.isArray(ids) ? ids : [];
  } catch {
    return []; // somebody else wrote there
  }
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves to true for the first of all tabs that comes with this id. It keeps the lock for a while:
 * what one tab writes to the storage another one may read a moment later. */
function comesFirst(id) {
  return new Promise((resolve) => {
    navigator.locks.request(`${TOLD}.${id}`, { ifAvailable: true }, async (lock) => {
      const ids = told();
      const first = lock !== null && !ids.includes(id);
      resolve(first && keep(TOLD, JSON.stringify([...ids, id].slice(-MOST_TOLD))));
      if (first) await wait(HELD_MS);
    });
  });
}

/** Tells of a job that has just become final, if it is mine and was switched on; view as in view.js. */
export async function notify(view) {
  const title = WORDS[view.state];
  if (!title || standing() !== "on" || view.owner !== document.body.dataset.me) return;
  if (!isLookedAt()) await wait(GRACE_MS);
  if (!(await comesFirst(view.id)) || isLookedAt()) return;
  show(title, { body: view.prompt.slice(0, 120), path: `/jobs/${view.id}/`, tag: view.id });
}
