// The operators' page of the queue: looked at again every few seconds and merged into what is shown,
// running rows beside it over the socket.

import { showConnection } from "./banner.js";
import { RunningRows } from "./queue_live.js";
import { merge } from "./queue_merge.js";
import { Pointer, watchRows } from "./queue_motion.js";
import { enhanceVerbs } from "./queue_verbs.js";
import { fillTimes } from "./times.js";

const root = document.getElementById("queue");
const fresh = document.getElementById("fresh");
const EVERY_MS = Number(root.dataset.every) * 1000;
const SOON_MS = 300; // what changed in one go is looked at in one go
const TIMEOUT_MS = 10_000;
const LONGEST_MS = 60_000; // between two tries while the server does not answer

let timer = 0;
let failures = 0;
let tag = ""; // of what was sent last
let newest = null; // what was sent last, as long as not all of it is shown
let acts = 0; // verbs under way: their rows stand still
let looking = false;

const rows = new RunningRows(root, { changed: soon });
const pointer = new Pointer(root, { left: show });

function say(words, isStale) {
  if (fresh.textContent !== words) fresh.textContent = words;
  fresh.classList.toggle("queue-bad", isStale);
}

/** The part of the page that changes, as a document; null where nothing did. By XMLHttpRequest, which
 * parses it without a sink for strings (trusted types). */
function fetchPart() {
  const address = new URL(location.href);
  address.hash = "";
  address.searchParams.set("part", "1");
  const request = new XMLHttpRequest();
  request.open("GET", address);
  if (tag) request.setRequestHeader("If-None-Match", tag);
  request.responseType = "document";
  request.timeout = TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const fail = (why) => () => reject(new Error(why));
    request.addEventListener("error", fail("the server cannot be reached"));
    request.addEventListener("timeout", fail("the server does not answer"));
    request.addEventListener("load", () => {
      const { status, responseURL } = request;
      // Only of a page is the response looked at: of anything else the browser would make a page
      // about an error, with styles that our policy forbids.
      if (status === 304) resolve(null);
      else if (status !== 200) reject(new Error(`the server answered ${status}`));
      else if (new URL(responseURL).pathname !== location.pathname) location.reload(); // signed out
      else {
        tag = request.getResponseHeader("ETag") ?? "";
        resolve(request.response.body);
      }
    });
    request.send();
  });
}

function show() {
  // A text that is being selected, to be copied, must stand still.
  if (!newest || acts || !getSelection().isCollapsed) return;
  const focused = document.activeElement;
  const section = focused.closest("section[data-key]");
  const moved = watchRows(root);
  const behind = merge(root, newest.cloneNode(true), pointer.holds);
  fillTimes(root);
  rows.sync();
  moved();
  if (!behind) newest = null;
  if (focused === document.activeElement || !root.contains(section)) return;
  // Moved nodes lose the focus; of a row that is gone its list has it.
  (focused.isConnected ? focused : section.querySelector("h2")).focus({ preventScroll: true });
}

async function keepFresh() {
  clearTimeout(timer);
  if (looking || document.visibilityState === "hidden") return;
  looking = true;
  try {
    newest = (await fetchPart()) ?? newest;
    show();
    failures = 0;
    say("Live: what changes shows by itself.", false);
  } catch (error) {
    failures += 1;
    say(`Not fresh any more: ${error.message}. It is tried again.`, true);
  } finally {
    looking = false;
    next(failures ? Math.min(LONGEST_MS, EVERY_MS * 2 ** failures) : EVERY_MS);
  }
}

function next(ms) {
  clearTimeout(timer);
  timer = setTimeout(keepFresh, ms);
}

function soon() {
  if (!failures) next(SOON_MS);
}

enhanceVerbs(root, {
  acting: (begins) => {
    acts += begins ? 1 : -1;
  },
  changed: soon,
});
document.addEventListener("visibilitychange", () => next(0));
addEventListener("online", () => next(0));
rows.sync();
showConnection(rows.live, document.getElementById("connection"));
rows.live.start();
say("Live: what changes shows by itself.", false);
next(EVERY_MS);
