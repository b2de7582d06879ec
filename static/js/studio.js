// The studio: the list of videos moves by itself. The composer is in composer.js.

import { enhanceCancel } from "./cancel.js";
import "./composer.js";
import { Live, showConnection } from "./live.js";
import { parsePreview, SpritePlayer } from "./preview.js";
import { fillTimes } from "./times.js";
import {
  FINAL, placeWords, progressWords, setBar, stateWords, withPlace, withSnapshot, withTick,
} from "./view.js";

const MOST_PREVIEWS = 4; // moving at one time in the list
const list = document.getElementById("jobs");
const live = new Live();
const views = new Map(); // job → what is known of it
const players = new Map(); // job → SpritePlayer
const still = matchMedia("(prefers-reduced-motion: reduce)");

const cardOf = (job) => list.querySelector(`[data-job-id="${CSS.escape(job)}"]`);

function render(card, view) {
  const part = (name) => card.querySelector(`[data-${name}]`);
  const waits = !FINAL.has(view.state);
  card.dataset.state = view.state;
  part("badge").dataset.state = view.state;
  part("badge").textContent = stateWords(view.state);
  part("live").hidden = !waits;
  part("cancel").hidden = !waits;
  if (view.state === "running") {
    part("note").textContent = progressWords(view);
    setBar(part("bar"), view);
  } else if (waits) {
    part("note").textContent = placeWords(view.place);
    part("bar").value = 0;
  }
  const poster = part("poster");
  if (view.poster_url && poster.getAttribute("src") !== view.poster_url) {
    poster.src = view.poster_url;
    poster.hidden = false;
  }
  part("canvas").hidden = !players.has(view.id);
}

function become(job, next) {
  const before = views.get(job);
  if (next === before) return;
  views.set(job, next);
  const card = cardOf(job);
  if (before && before.state !== next.state) announce(next);
  watchPreview(next);
  if (card) render(card, next);
}

function announce(view) {
  const words = `${view.prompt}: ${stateWords(view.state)}`;
  document.getElementById("announce").textContent = words;
}

function watchPreview(view) {
  if (view.state === "running") {
    const running = [...views.values()].filter(({ state }) => state === "running");
    if (running.length <= MOST_PREVIEWS) live.watch(view.id, view.version);
    return;
  }
  live.unwatch(view.id);
  players.get(view.id)?.close();
  players.delete(view.id);
}

async function showPreview(buffer) {
  const preview = parsePreview(buffer);
  const view = views.get(preview.job);
  const card = cardOf(preview.job);
  if (!card || view?.state !== "running") return;
  const canvas = card.querySelector("[data-canvas]");
  if (!players.has(view.id)) {
    const clipSeconds = view.spec.frames / view.spec.fps;
    players.set(view.id, new SpritePlayer(canvas, { clipSeconds }));
  }
  await players.get(view.id).show(preview);
  live.ack(preview);
  canvas.hidden = !players.has(view.id);
}

// A job made in another window, or by a program. Only the first page grows at its top.
function addCard(view) {
  const newest = list.querySelector("time[data-age]")?.dateTime;
  const isNew = !newest || Date.parse(view.created_at) > Date.parse(newest);
  if (list.dataset.firstPage !== "1" || !isNew) return;
  const copy = document.getElementById("job-row").content.cloneNode(true);
  const card = copy.querySelector("[data-job-id]");
  const nil = card.dataset.jobId;
  card.dataset.jobId = view.id;
  card.querySelector("a").href = card.querySelector("a").getAttribute("href").replace(nil, view.id);
  const cancel = card.querySelector("[data-cancel]");
  cancel.action = cancel.getAttribute("action").replace(nil, view.id);
  card.querySelector("[data-prompt]").textContent = view.prompt;
  const quality = card.querySelector("[data-quality]");
  quality.textContent = view.quality_label ?? "";
  quality.hidden = !view.quality_label;
  card.querySelector("time").dateTime = view.created_at;
  equip(card);
  list.prepend(card);
  fillTimes(card);
  document.getElementById("empty").hidden = true;
  const count = document.getElementById("count");
  count.textContent = Number(count.textContent) + 1;
  count.parentElement.hidden = false;
  while (list.children.length > Number(list.dataset.perPage)) forget(list.lastElementChild);
  become(view.id, view);
}

function forget(card) {
  const job = card.dataset.jobId;
  live.unwatch(job);
  players.get(job)?.close();
  players.delete(job);
  views.delete(job);
  card.remove();
}

// A finished clip plays while the pointer or the focus is on its card.
function equip(card) {
  enhanceCancel(card.querySelector("[data-cancel]"));
  const link = card.querySelector(".job-link");
  let video = null;
  const play = () => {
    const url = views.get(card.dataset.jobId)?.video_url;
    if (!url || video || still.matches) return;
    video = document.createElement("video");
    Object.assign(video, { muted: true, loop: true, playsInline: true, autoplay: true, src: url });
    video.ariaHidden = "true";
    card.querySelector(".thumb").append(video);
  };
  const stop = () => {
    video?.remove();
    video = null;
  };
  link.addEventListener("pointerenter", play);
  link.addEventListener("focus", play);
  link.addEventListener("pointerleave", stop);
  link.addEventListener("blur", stop);
}

live.addEventListener("snapshot", ({ detail: { job: snapshot } }) => {
  const known = views.get(snapshot.id);
  if (known) become(snapshot.id, withSnapshot(known, snapshot));
  else addCard(snapshot);
});
for (const [type, change] of [
  ["tick", (view, message) => withTick(view, message)],
  ["place", (view, message) => withPlace(view, message.place)],
]) {
  live.addEventListener(type, ({ detail }) => {
    const known = views.get(detail.job);
    if (known) become(detail.job, change(known, detail));
  });
}
live.addEventListener("preview", ({ detail }) => showPreview(detail));

for (const job of JSON.parse(document.getElementById("jobs-data").textContent)) {
  views.set(job.id, job);
  const card = cardOf(job.id);
  equip(card);
  render(card, job);
  if (job.state === "running") watchPreview(job);
}
showConnection(live, document.getElementById("connection"));
live.watchMine();
live.start();
