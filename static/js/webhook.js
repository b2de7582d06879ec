// The log of a webhook while something is on its way: the page is asked again until it has arrived.
import { fillTimes } from "./times.js";
import { toast } from "./toast.js";

const EVERY_MS = 2000;
const MOST_LOOKS = 20; // then it is for a reload, as without a script
const ON_ITS_WAY = '[data-state="pending"]'; // not tried yet; a later try is minutes away

const log = document.querySelector("[data-log]");
let looks = 0;

function look() {
  looks += 1;
  const asked = new XMLHttpRequest(); // it makes a document; fetch makes text alone
  asked.open("GET", location.href);
  asked.responseType = "document";
  asked.addEventListener("error", soon); // the network is away for a moment
  asked.addEventListener("load", () => asked.status === 200 && asked.response && show(asked.response));
  asked.send();
}

function show(fresh) {
  for (const part of [".deliveries", "#delivery"]) {
    const [old, now] = [log.querySelector(part), fresh.querySelector(`[data-log] ${part}`)];
    if (old && now && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(now));
  }
  fillTimes(log);
  if (log.querySelector(ON_ITS_WAY)) soon();
  else toast("It was sent: the log has the answer.", { kind: "info" });
}

function soon() {
  if (looks < MOST_LOOKS) setTimeout(look, EVERY_MS);
}

if (log.querySelector(ON_ITS_WAY)) soon();
