// Messages at the foot of the window, from the server (base.html) and from scripts. What only tells
// goes by itself; what warns waits to be read. Ctrl-Z takes back what the newest Undo is of.

import { act, say } from "./act.js";
import { icon } from "./icons.js";

const MOST = 4; // at a time; the oldest goes, one with an action last
const STAYS_MS = 6_000;
const ACTION_MS = 10_000;
const LEAST_MS = 2_000; // after somebody was at it, or came to another page
const CLEAR = 8; // pixels between a toast and what is kept clear
const KEPT = "toasts"; // in sessionStorage: those that a next page shows on
const ICONS = { success: "check", warning: "warn", error: "warn", info: "info" };

const undos = new Map(); // toast → {words, kind, url, data, wanted}, of those that outlive the page

/** kind: error, success, warning or info. action: {words, act: async () => …}, like Undo. With
 * action.url (where a POST takes it back; action.data: of what) the toast also outlives the page, and
 * act may be left out: then it is posted, the event "undone" tells document (detail: the answer), and
 * the page is loaded anew unless a listener prevents that. */
export function toast(words, { kind = "error", action = null, stays = 0 } = {}) {
  const said = action ? null : sameAs(words, kind); // once is enough
  if (said) dismiss(said);
  const box = document.createElement("div");
  box.className = `toast ${kind}`;
  const text = document.createElement("span");
  text.textContent = words;
  const close = button("plain icon small", () => dismiss(box));
  close.ariaLabel = "Dismiss";
  close.append(icon("close"));
  box.append(icon(ICONS[kind] ?? "info"), text, close);
  if (action) close.before(offer(box, action));
  if (action?.url) {
    undos.set(box, { words, kind, url: action.url, data: action.data, wanted: action.words });
  }
  document.getElementById("toasts").append(box);
  arm(box, stays);
  makeRoom();
  keepClear();
  return box;
}

const sameAs = (words, kind) =>
  [...document.querySelectorAll(`#toasts > .toast.${kind}`)].find(
    (box) => !box.querySelector(".act") && box.querySelector("span").textContent.trim() === words,
  );

function offer(box, { words, act: doIt, url, data }) {
  const made = button("act", async () => {
    made.disabled = true;
    undos.delete(box);
    dismiss(box);
    await (doIt ?? (() => takeBack(url, data)))();
  });
  made.textContent = words;
  if (words === "Undo") {
    made.title = "Ctrl Z";
    made.setAttribute("aria-keyshortcuts", "Control+Z");
  }
  return made;
}

async function takeBack(url, data = {}) {
  try {
    const answer = await act(url, data);
    const told = answer.message || "Brought back.";
    const goesOn = document.dispatchEvent(new CustomEvent("undone", { detail: answer, cancelable: true }));
    if (!goesOn) return toast(told, { kind: "success" });
    keep([{ words: told, kind: "success" }]);
    location.reload();
  } catch (error) {
    toast(say(error));
  }
}

/** Gives a toast its end: by itself unless it warns, by its button, never while somebody is at it. */
function arm(box, stays = 0) {
  if (box.matches(".error, .warning") && !box.querySelector(".act")) return;
  let left = stays || (box.querySelector(".act") ? ACTION_MS : STAYS_MS);
  let since = 0;
  let timer = 0;
  const hold = () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = 0;
    left = Math.max(LEAST_MS, left - (performance.now() - since));
    box.dataset.held = "";
  };
  const go = () => {
    const somebody = box.matches(":hover, :focus-within") || document.hidden;
    if (timer || somebody || !box.isConnected) return;
    since = performance.now();
    timer = setTimeout(() => dismiss(box), left);
    delete box.dataset.held;
  };
  box.dataset.timed = "";
  box.style.setProperty("--stays", `${left}ms`);
  box.addEventListener("pointerenter", hold);
  box.addEventListener("focusin", hold);
  box.addEventListener("pointerleave", go);
  box.addEventListener("focusout", () => queueMicrotask(go));
  box.addEventListener("t2v-look", () => (document.hidden ? hold() : go()));
  box.dataset.held = "";
  go();
}

/** Takes it away; focus that was in it goes to the next one, else back to the page. */
function dismiss(box) {
  const had = box.contains(document.activeElement);
  const next = box.nextElementSibling ?? box.previousElementSibling;
  undos.delete(box);
  box.remove();
  if (had) (next?.querySelector("button") ?? document.getElementById("main"))?.focus();
}

function makeRoom() {
  const all = [...document.querySelectorAll("#toasts > .toast")];
  const rest = all.slice(0, -1); // never the one that just came
  for (let over = all.length - MOST; over > 0; over -= 1) {
    const goes = rest.find((box) => !box.querySelector(".act")) ?? rest[0];
    rest.splice(rest.indexOf(goes), 1);
    dismiss(goes);
  }
}

/** Above what nobody wants covered (data-keep-clear), where it stands in the toasts' place. */
function keepClear() {
  const toasts = document.getElementById("toasts");
  toasts.style.removeProperty("--lift");
  const kept = document.querySelector("[data-keep-clear]")?.getBoundingClientRect();
  if (!kept) return;
  const { top, bottom, left, right } = toasts.getBoundingClientRect();
  const apart = bottom <= kept.top || top >= kept.bottom || right <= kept.left || left >= kept.right;
  if (!apart) toasts.style.setProperty("--lift", `${Math.ceil(bottom - kept.top) + CLEAR}px`);
}

function button(classes, pressed) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = classes;
  made.addEventListener("click", pressed);
  return made;
}

function keep(toasts) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(toasts.slice(-MOST)));
  } catch {
    // full, or closed to this site: they end with the page
  }
}

function takeKept() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
    sessionStorage.removeItem(KEPT);
    return kept;
  } catch {
    return [];
  }
}

function showKept() {
  for (const { words, kind, url, data, wanted } of takeKept()) {
    toast(words, { kind, action: url ? { words: wanted, url, data } : null });
  }
}

// A message that stood there as the page came is read by no screen reader: it comes once more.
function showServed(box) {
  const close = box.querySelector("[data-dismiss]");
  close.hidden = false;
  close.addEventListener("click", () => dismiss(box));
  const undo = box.querySelector(".act");
  if (undo) {
    undo.title = "Ctrl Z";
    undo.setAttribute("aria-keyshortcuts", "Control+Z");
  }
  box.parentElement.append(box);
  arm(box);
}

const writes = (element) => element.matches("input, textarea, select") || element.isContentEditable;

/** Once on every page (app.js). */
export function startToasts() {
  document.querySelectorAll("[data-toast]").forEach(showServed);
  keepClear();
  showKept();
  addEventListener("pagehide", () => undos.size && keep([...undos.values()]));
  document.addEventListener("visibilitychange", () => {
    for (const box of document.querySelectorAll("#toasts > .toast")) box.dispatchEvent(new Event("t2v-look"));
  });
  document.addEventListener("keydown", (event) => {
    const plain = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    if (!plain || event.key.toLowerCase() !== "z" || writes(event.target)) return;
    const newest = [...document.querySelectorAll("#toasts .act[aria-keyshortcuts]")].at(-1);
    if (!newest) return;
    event.preventDefault();
    newest.click();
  });
}
