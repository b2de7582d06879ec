// One job's page: state, progress, moving preview, and at the end the video, without a reload.

import { showConnection } from "./banner.js";
import { ask } from "./ask.js";
import { enhanceCancel } from "./cancel.js";
import { watchFailures } from "./clip_failed.js";
import { Formed } from "./formed.js";
import { Freshness } from "./freshness.js";
import { History } from "./history.js";
import { offerMarks } from "./job_marks.js";
import { enhanceRetry, enhanceVary, offerBack, offerCopies } from "./job_verbs.js";
import { Live } from "./live.js";
import { notify } from "./notify.js";
import { Outlook } from "./outlook.js";
import { Player } from "./player.js";
import { Controls } from "./player_controls.js";
import { SpritePlayer } from "./preview.js";
import {
  awaitingNews, FINAL, leftWords, placeWords, progressWords, setBar, stateWords,
  withPlace, withSnapshot, withTick,
} from "./view.js";

const byId = (id) => document.getElementById(id);
const HALF = 0.5; // of the steps: from then on a cancel loses so much that it asks first
const HAS_BAR = new Set(["queued", "running", "succeeded"]);
const still = matchMedia("(prefers-reduced-motion: reduce)");
let view = JSON.parse(byId("snapshot").textContent);
let preview = null; // SpritePlayer, while it runs
let player = null; // of the finished clip
let formed = null;
let pictured = ""; // the step of the picture on show, in words
let looking = 0; // timer, while the picture's age is followed
const live = new Live({ draw: showPreview });
const history = new History(byId("history"), JSON.parse(byId("story-tables").textContent));
const outlook = new Outlook(
  byId("stage").dataset.outlookUrl,
  { title: byId("place"), why: byId("why"), expires: byId("expires") },
  view,
);
const freshness = new Freshness(Number(byId("stage").dataset.servedAt) * 1000);
const pageTitle = document.title;

function render(before) {
  const { state } = view;
  const ended = FINAL.has(state);
  if (state !== "running") closePreview(); // another attempt begins with its own first picture
  const badge = byId("badge");
  badge.dataset.state = state;
  badge.textContent = stateWords(state);
  byId("attempt").hidden = view.attempt < 2;
  byId("attempt").textContent = `Attempt ${view.attempt}`;
  for (const panel of document.querySelectorAll("[data-panel]")) {
    panel.hidden = panel.dataset.panel !== state || (panel.id === "waking" && preview !== null);
  }
  byId("working").hidden = state !== "running";
  document.querySelector(".stage-bar").hidden = !HAS_BAR.has(state);
  outlook.follow(view);
  renderVerbs();
  if (state === "running") renderProgress();
  if (ended && !(before && FINAL.has(before.state))) renderEnd();
  if (before && before.state !== state) announce();
  if (before && ended && !FINAL.has(before.state)) notify(view);
  renderTitle();
}

function renderVerbs() {
  for (const verb of document.querySelectorAll("[data-when]")) {
    const fits = verb.dataset.when.split(" ").includes(view.state);
    verb.hidden = !fits || "forbidden" in verb.dataset;
  }
  byId("download").hidden ||= !view.video_url;
  const again = byId("again");
  if (again) again.textContent = view.state === "failed" ? "Change and try again" : "Remix";
  const button = byId("cancel").querySelector("button");
  button.disabled = view.cancel_requested;
  button.textContent = view.cancel_requested ? "Cancelling…" : "Cancel";
}

function renderProgress() {
  byId("step").textContent = progressWords(view);
  byId("left").textContent = view.cancel_requested ? "" : leftWords(view.seconds_left);
  setBar(byId("bar"), view);
}

function renderEnd() {
  for (const reason of document.querySelectorAll("[data-reason]")) {
    reason.textContent = view.error_message;
  }
  const told = history.advice(view.error_code);
  for (const advice of told ? document.querySelectorAll("[data-advice]") : []) {
    advice.textContent = told;
  }
  byId("spent").textContent = `Given up after ${view.attempt} attempt${view.attempt === 1 ? "" : "s"}`;
  if (view.state === "succeeded") showVideo();
  live.stop(); // final stays final: nothing more will come
}

function showVideo() {
  const video = byId("video");
  if (view.video_url && !video.getAttribute("src")) {
    video.poster = view.poster_url ?? "";
    video.src = view.video_url;
    byId("download").href = `${view.video_url}?download=1`;
  }
  offerFile("file-video", view.video_url);
  offerFile("file-poster", view.poster_url);
  if (still.matches) {
    video.autoplay = false;
    video.pause();
  }
  video.hidden = false;
  if (!player) openPlayer(video);
  if (view.strip && view.strip_url) offerFormed(video);
}

function openPlayer(video) {
  video.controls = false; // ours, with the frame's number
  byId("views").hidden = byId("clip").hidden = false;
  watchFailures(video, byId("video-failed"));
  player = new Player(video, view.spec);
  new Controls(player, { stage: byId("stage"), layout: byId("layout") });
}

function offerFile(id, url) {
  const item = byId(id);
  item.hidden = !url;
  if (url) item.querySelector("a").href = `${url}?download=1`;
}

function offerFormed(video) {
  const [words, others, failed] = ["formed-words", "frame-words", "formed-failed"].map(byId);
  const [tabs, slider, canvas, toggle] = ["tabs", "formed-step", "preview", "formed-toggle"].map(byId);
  const panels = [byId("clip"), byId("formed")];
  const stage = byId("stage");
  const parts = { stage, tabs, panels, canvas, video, slider, toggle, words, others, failed };
  formed ??= new Formed(parts, { clipSeconds: clipSeconds() });
  formed.offer(view.strip_url, view.strip);
}

const clipSeconds = () => view.spec.frames / view.spec.fps;

function closePreview() {
  if (!preview) return;
  preview.close();
  preview = null;
  byId("preview").hidden = true;
  byId("liveness").hidden = true;
  clearInterval(looking);
}

function renderTitle() {
  const percent = view.state === "running" && view.steps ? Math.round((100 * view.step) / view.steps) : null;
  if (percent !== null) document.title = `${percent}% · ${pageTitle}`;
  else document.title = FINAL.has(view.state) ? pageTitle : `${stateWords(view.state)} · ${pageTitle}`;
}

// For screen readers: each state once, never each step.
function announce() {
  const words = {
    queued: `Back in the queue. ${placeWords(view)}.`,
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

async function showPreview(news) {
  if (news.job !== view.id || view.state !== "running") return;
  const first = preview === null;
  preview ??= new SpritePlayer(byId("preview"), { clipSeconds: clipSeconds() });
  const showing = preview;
  if (!(await showing.show(news)) || preview !== showing) return;
  freshness.came(news);
  pictured = `step ${news.step} of ${news.steps}`;
  if (first) {
    byId("preview").hidden = false;
    byId("waking").hidden = true;
    looking = setInterval(sayFreshness, 1000);
  }
  sayFreshness();
}

// The dot says "live" only while it is: connected, and a picture that is not old.
function sayFreshness() {
  if (!preview) return;
  const connected = live.state.name === "live";
  const stale = freshness.staleSeconds;
  const liveness = byId("liveness");
  liveness.hidden = false;
  liveness.dataset.live = String(connected && stale === 0);
  if (stale > 0) liveness.textContent = `No new picture for ${stale} s · ${pictured}`;
  else liveness.textContent = `${connected ? "Live" : "Not connected"} · ${pictured}`;
}

// What the page has of the history is not continued: the rest is told from its new beginning.
function forget() {
  history.clear();
  closePreview();
  become(awaitingNews(view));
}

const losesMuch = () => view.state === "running" && view.step > HALF * view.steps;

const aboutCancel = () => ({
  title: "Stop this video?",
  words: `${Math.round((100 * view.step) / view.steps)} % of it is done. What was made so far is lost.`,
  button: "Stop it",
  danger: true,
});

// A deleted video can be brought back; one that was on its way is cancelled, which can not.
async function sureToDelete(event) {
  if (FINAL.has(view.state)) return;
  event.preventDefault();
  const form = event.target;
  const question = {
    title: "Delete this video before it is made?",
    words: "It is cancelled, and what was made so far is lost.",
    button: "Cancel and delete it",
    danger: true,
  };
  if (await ask(question)) form.submit();
}

const showAsked = (cancel_requested) => become({ ...view, cancel_requested });

function offerVerbs() {
  const retry = byId("retry");
  enhanceCancel(byId("cancel"), {
    sure: async () => !losesMuch() || ask(aboutCancel()),
    asked: () => showAsked(true),
    done: ({ message, state }) => state === "cancelled" && offerBack(retry, message),
    refused: () => showAsked(false),
  });
  enhanceRetry(retry);
  if (byId("vary")) enhanceVary(byId("vary"));
  byId("delete")?.addEventListener("submit", sureToDelete);
  offerCopies({
    recipe: byId("recipe"),
    json: byId("recipe-json"),
    buttons: byId("copy-recipe"),
    link: byId("copy-link"),
  });
}

live.addEventListener("fresh", () => (view = awaitingNews(view)));
live.addEventListener("snapshot", ({ detail }) => become(withSnapshot(view, detail.job)));
live.addEventListener("tick", ({ detail }) => become(withTick(view, detail)));
live.addEventListener("place", ({ detail }) => become(withPlace(view, detail.place)));
live.addEventListener("fact", ({ detail }) => history.add(detail));
live.addEventListener("history", forget);
live.addEventListener("state", sayFreshness);
live.addEventListener("refused", () => location.reload()); // the server says it properly

showConnection(live, byId("connection"));
offerVerbs();
offerMarks(byId("marks"));
render(null);
if (!FINAL.has(view.state)) {
  live.watch(view.id, history.newest);
  live.start();
}
