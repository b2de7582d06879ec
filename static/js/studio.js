// The studio: the composer, and below it the strip that moves by itself.

import { act, say } from "./act.js";
import { ask } from "./ask.js";
import { showConnection } from "./banner.js";
import { isUnfinished } from "./card.js";
import { Composer } from "./composer.js";
import { Live } from "./live.js";
import { Moving } from "./moving.js";
import { notify } from "./notify.js";
import { Strip } from "./strip.js";
import { toast } from "./toast.js";
import { awaitingNews, FINAL, stateWords, withPlace, withSnapshot, withTick } from "./view.js";

const MOST_WATCHED = 90; // jobs; a page may watch 100 (docs/reference/live.md)
const REFRESH_MS = 5_000; // between two looks at the estimates, at least
const LOOK_MS = 30_000; // for what nothing tells: new jobs of mates

const data = (id) => JSON.parse(document.getElementById(id).textContent);
const { me, unfinishedUrl, retryUrl, more } = document.getElementById("strip").dataset;
const mates = new Set(); // unfinished jobs of others: told of as long as they are
const met = new Set(); // watched only until they introduced themselves
const live = new Live({ draw: (preview) => moving.draw(preview) });
const strip = new Strip({ equip, forgot });
const moving = new Moving({ live, strip, isWatched: (job) => mates.has(job) });
let refreshed = 0; // performance.now()
let refreshing = 0; // timer

function equip(card) {
  moving.add(card);
  card.cancel.addEventListener("submit", (event) => {
    event.preventDefault();
    cancel(card);
  });
}

function forgot(card) {
  moving.remove(card);
  if (mates.delete(card.id)) live.unwatch(card.id);
}

function follow(view) {
  if (view.owner === me || !isUnfinished(view) || mates.size >= MOST_WATCHED - 20) return;
  mates.add(view.id);
  live.watch(view.id, view.version);
}

function become(job, next) {
  const before = strip.views.get(job);
  if (before === next) return;
  strip.become(job, next);
  if (before.state === next.state) return;
  moving.choose();
  refreshSoon();
  if (FINAL.has(next.state)) {
    if (mates.delete(job)) live.unwatch(job);
    else {
      announce(`${next.prompt}: ${stateWords(next.state)}`);
      notify(next);
    }
  }
}

function announce(words) {
  document.getElementById("announce").textContent = words;
}

// A job that waits is cancelled at once, and can be put back: at the end of the queue, for its
// place is gone. What was made of one that runs is lost, so that one is asked about.
async function cancel(card) {
  const view = strip.views.get(card.id);
  if (!view) return;
  if (view.state === "running" && view.step > 0) {
    const words = `It is at step ${view.step} of ${view.steps}. What is done so far is lost.`;
    const goes = await ask({ title: "Stop this video?", words, button: "Stop it", danger: true });
    if (!goes) return;
  }
  card.cancel.hidden = true;
  card.element.toggleAttribute("data-stopping", true);
  try {
    await act(card.cancel.action, card.cancel);
    if (view.state === "queued") {
      const back = { words: "Put it back", act: () => retry(view.id) };
      toast("Cancelled.", { kind: "info", action: retryUrl ? back : null });
    }
  } catch (error) {
    const now = strip.views.get(card.id);
    if (now) card.show(now);
    toast(`It could not be cancelled. ${say(error)}`);
  }
}

async function retry(job) {
  try {
    await act(retryUrl.replace("00000000-0000-0000-0000-000000000000", job));
    refreshSoon();
  } catch (error) {
    toast(`It could not be put back. ${say(error)}`);
  }
}

// --- Estimates, and who is new: by a look that is cheap, and never more often than is of use ---

function refreshSoon() {
  const wait = Math.max(200, refreshed + REFRESH_MS - performance.now());
  refreshing ||= setTimeout(refresh, wait);
}

async function refresh() {
  clearTimeout(refreshing);
  refreshing = 0;
  if (document.visibilityState === "hidden") return; // looked at again, it asks again
  refreshed = performance.now();
  const known = [...strip.unfinished()].map(({ id }) => id);
  try {
    const answer = await fetch(unfinishedUrl);
    if (!answer.ok || answer.redirected) return;
    take(await answer.json(), known);
  } catch {
    return; // the banner says that the site is away
  }
}

function take({ jobs, more }, known) {
  const told = new Map(jobs.map((each) => [each.id, each]));
  for (const { id, eta_seconds } of jobs) {
    const view = strip.views.get(id);
    if (view) become(id, { ...view, eta_seconds });
    else introduce(id);
  }
  for (const job of known) {
    const view = strip.views.get(job);
    if (view && !told.has(job) && view.state === "queued") strip.drop(job); // deleted, or far down now
  }
  strip.more = more;
}

// Its snapshot comes when it is watched.
function introduce(job) {
  if (met.has(job) || met.size + mates.size >= MOST_WATCHED) return;
  met.add(job);
  live.watch(job);
}

live.addEventListener("snapshot", ({ detail: { job: snapshot } }) => {
  const known = strip.views.get(snapshot.id);
  if (met.delete(snapshot.id) && !mates.has(snapshot.id)) live.unwatch(snapshot.id);
  if (known) become(snapshot.id, withSnapshot(known, snapshot));
  else if (strip.offer(snapshot)) {
    follow(snapshot);
    refreshSoon();
  }
});
for (const [type, change] of [
  ["tick", (view, message) => withTick(view, message)],
  ["place", (view, message) => withPlace(view, message.place)],
]) {
  live.addEventListener(type, ({ detail }) => {
    const known = strip.views.get(detail.job);
    if (!known) return;
    become(detail.job, change(known, detail));
    if (type === "place") refreshSoon();
  });
}
live.addEventListener("refused", ({ detail: { job } }) => {
  met.delete(job);
  mates.delete(job);
  strip.drop(job); // deleted, or no longer ours to see
});
live.addEventListener("fresh", () => {
  for (const [job, view] of strip.views) strip.views.set(job, awaitingNews(view));
});
live.addEventListener("history", ({ detail: { job } }) => {
  if (!strip.views.has(job)) return;
  strip.views.set(job, awaitingNews(strip.views.get(job)));
  moving.again(job);
});

strip.begin(data("jobs-data"), Number(more));
for (const view of strip.views.values()) follow(view);
new Composer({ models: data("models"), expect: (prompt, count) => strip.expect(prompt, count) });
showConnection(live, document.getElementById("connection"));
live.watchMine();
live.start();
setInterval(refresh, LOOK_MS);
document.addEventListener("visibilitychange", refreshSoon);
