// One job's page: state, progress, moving preview, and at the end the video, without a reload.

import { enhanceCancel } from "./cancel.js";
import { Live, showConnection } from "./live.js";
import { parsePreview, SpritePlayer } from "./preview.js";
import { fillTimes } from "./times.js";
import {
  factWords, FINAL, leftWords, placeWords, progressWords, setBar, stateWords,
  withPlace, withSnapshot, withTick,
} from "./view.js";

const byId = (id) => document.getElementById(id);
const AGAIN = { succeeded: "Make another", failed: "Change and try again" };
const live = new Live();
const still = matchMedia("(prefers-reduced-motion: reduce)");
let view = JSON.parse(byId("snapshot").textContent);
let player = null;
const pageTitle = document.title;

function render(before) {
  const { state } = view;
  const ended = FINAL.has(state);
  const badge = byId("badge");
  badge.dataset.state = state;
  badge.textContent = stateWords(state);
  byId("attempt").hidden = view.attempt < 2;
  byId("attempt").textContent = `Attempt ${view.attempt}`;
  for (const panel of document.querySelectorAll("[data-panel]")) {
    panel.hidden = panel.dataset.panel !== state || (state === "running" && player !== null);
  }
  byId("place").textContent = placeWords(view.place);
  byId("working").hidden = state !== "running";
  byId("preview").hidden = state !== "running" || player === null;
  byId("cancel").hidden = ended;
  byId("again").hidden = !ended;
  byId("again").textContent = AGAIN[state] ?? "Try again";
  if (state === "running") renderProgress();
  if (ended) renderEnd();
  if (before && before.state !== state) announce();
  renderTitle();
}

function renderProgress() {
  byId("step").textContent = progressWords(view);
  byId("left").textContent = view.cancel_requested ? "" : leftWords(view.seconds_left);
  setBar(byId("bar"), view);
  if (view.cancel_requested) {
    const button = byId("cancel").querySelector("button");
    button.disabled = true;
    button.textContent = "Cancelling…";
  }
}

function renderEnd() {
  for (const reason of document.querySelectorAll("[data-reason]")) {
    reason.textContent = view.error_message;
  }
  byId("spent").textContent = view.attempt;
  if (view.state === "succeeded") showVideo();
  closePlayer();
  live.stop(); // final stays final: nothing more will come
}

function showVideo() {
  const video = byId("video");
  if (view.video_url && !video.getAttribute("src")) {
    video.poster = view.poster_url ?? "";
    video.src = view.video_url;
    byId("download").href = `${view.video_url}?download=1`;
  }
  if (still.matches) {
    video.autoplay = false;
    video.pause();
  }
  video.hidden = false;
  byId("download").hidden = !view.video_url;
}

function closePlayer() {
  player?.close();
  player = null;
}

function renderTitle() {
  const percent = view.state === "running" && view.steps ? Math.round((100 * view.step) / view.steps) : null;
  if (percent !== null) document.title = `${percent}% · ${pageTitle}`;
  else document.title = FINAL.has(view.state) ? pageTitle : `${stateWords(view.state)} · ${pageTitle}`;
}

// For screen readers: each state once, never each step.
function announce() {
  const words = {
    queued: `Back in the queue. ${placeWords(view.place)}.`,
    running: "The render has started.",
    succeeded: "The video is ready.",
  };
  byId("announce").textContent = words[view.state] ?? `${stateWords(view.state)}. ${view.error_message}`;
}

function become(next) {
  if (next === view) return;
  const before = view;
  view = next;
  render(before);
}

function addFact(fact) {
  const words = document.createElement("span");
  words.dataset.words = "";
  words.textContent = factWords(fact);
  const time = document.createElement("time");
  time.dataset.clock = "";
  time.dateTime = fact.at;
  const item = document.createElement("li");
  item.dataset.kind = fact.kind;
  item.append(words, " ", time);
  byId("history").append(item);
  fillTimes(item);
}

async function showPreview(buffer) {
  const preview = parsePreview(buffer);
  if (preview.job !== view.id || view.state !== "running") return;
  const { frames, fps } = view.spec;
  const first = player === null;
  player ??= new SpritePlayer(byId("preview"), { clipSeconds: frames / fps });
  await player.show(preview);
  live.ack(preview);
  if (first) render(view);
}

function offerCopy() {
  const button = byId("copy-recipe");
  if (!navigator.clipboard) return; // only on https and localhost
  button.hidden = false;
  button.addEventListener("click", async () => {
    const rows = [...document.querySelectorAll("#recipe > div")];
    const lines = rows.map((row) => [...row.children].map((cell) => cell.textContent).join(": "));
    await navigator.clipboard.writeText(lines.join("\n"));
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

live.addEventListener("snapshot", ({ detail }) => become(withSnapshot(view, detail.job)));
live.addEventListener("tick", ({ detail }) => become(withTick(view, detail)));
live.addEventListener("place", ({ detail }) => become(withPlace(view, detail.place)));
live.addEventListener("fact", ({ detail }) => addFact(detail));
live.addEventListener("preview", ({ detail }) => showPreview(detail));
live.addEventListener("refused", () => location.reload()); // the server says it properly

showConnection(live, byId("connection"));
enhanceCancel(byId("cancel"));
offerCopy();
render(null);
if (!FINAL.has(view.state)) {
  const shown = document.querySelectorAll("#history > li").length; // seq is dense from 1
  live.watch(view.id, shown);
  live.start();
}
