// One job of the studio: a line while it waits, a picture while it forms, a clip when it is done.

import { setIcon } from "./icons.js";
import { fillTimes } from "./times.js";
import { FINAL, leftWords, placeWords, progressWords, setBar, stateWords } from "./view.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const UNIT = "\u00a0"; // between a number and its unit: no line ends there
const SMALL = 160; // pixels of width: below it a clip is enlarged without blur

export const isUnfinished = (view) => !FINAL.has(view.state);

/** "about 40 s"; jobs/expected.py says the same. */
function aboutWords(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))}${UNIT}s`;
  const minutes = seconds / 60;
  return `about ${minutes < 90 ? `${Math.round(minutes)}${UNIT}min` : `${Math.round(minutes / 60)}${UNIT}h`}`;
}

function noteOf(view) {
  if (view.state === "running") {
    return [progressWords(view), leftWords(view.seconds_left)].filter(Boolean).join(" · ");
  }
  if (!isUnfinished(view)) return "";
  if (view.held) return "Waits for others to end";
  return [placeWords(view), aboutWords(view.eta_seconds)].filter(Boolean).join(" · ");
}

function set(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

export class Card {
  #part;
  #video = null;
  #url = null;

  /** element: of templates/jobs/_job_row.html. */
  constructor(element) {
    this.element = element;
    this.#part = (name) => element.querySelector(`[data-${name}]`);
    element.addEventListener("pointerenter", ({ pointerType }) => {
      if (pointerType === "mouse" && !still.matches) this.#play();
    });
    element.addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType === "mouse") this.#stop();
    });
    const link = this.#part("link");
    link.addEventListener("focus", () => {
      if (link.matches(":focus-visible") && !still.matches) this.#play();
    });
    link.addEventListener("blur", () => this.#stop());
    this.#part("play").addEventListener("click", () => (this.#video ? this.#stop() : this.#play()));
  }

  static made(template, { prompt, id = "", state }) {
    const card = new Card(document.importNode(template.content.firstElementChild, true));
    card.element.dataset.state = state;
    card.#part("link").textContent = prompt;
    if (id) card.#name(id);
    return card;
  }

  get id() {
    return this.element.dataset.jobId;
  }

  get canvas() {
    return this.#part("canvas");
  }

  get cancel() {
    return this.#part("cancel");
  }

  get link() {
    return this.#part("link");
  }

  /** On its way to the server: no job yet. */
  send() {
    this.#part("note").textContent = "Sending…";
    this.#part("note").hidden = false;
    this.#part("badge").hidden = true;
    this.cancel.hidden = true;
    this.link.removeAttribute("href");
  }

  #name(id) {
    const nil = this.id;
    this.element.dataset.jobId = id;
    const link = this.#part("link");
    link.href = link.getAttribute("href").replace(nil, id);
    this.cancel.action = this.cancel.getAttribute("action").replace(nil, id);
  }

  /** Of another: whose it is, and whether one may cancel it. */
  belongsTo(view, { me, manages }) {
    const owner = this.#part("owner");
    owner.hidden = view.owner === me;
    owner.textContent = `by ${view.owner}`;
    owner.title = view.owner;
    if (view.owner !== me && !manages) this.cancel.dataset.forbidden = "";
    const quality = this.#part("quality");
    quality.textContent = view.quality_label ?? "";
    quality.hidden = !view.quality_label;
    const time = this.element.querySelector("time");
    time.dateTime = view.created_at;
    fillTimes(this.element);
  }

  show(view) {
    const part = this.#part;
    const goesOn = isUnfinished(view);
    this.element.dataset.state = view.state;
    this.element.toggleAttribute("data-small", view.spec.width <= SMALL);
    this.element.toggleAttribute("data-stopping", view.cancel_requested && goesOn);
    part("badge").dataset.state = view.state;
    set(part("badge"), stateWords(view.state));
    this.cancel.hidden = !goesOn || view.cancel_requested || "forbidden" in this.cancel.dataset;
    const note = noteOf(view);
    set(part("note"), note);
    part("note").hidden = note === "";
    part("bar").hidden = view.state !== "running";
    if (view.state === "running") setBar(part("bar"), view);
    const reason = part("reason");
    reason.hidden = goesOn || !view.error_message;
    set(reason, view.error_message ?? "");
    this.#showPoster(view);
    this.#url = view.video_url;
    part("play").hidden = !this.#url;
    if (view.state !== "running") this.canvas.hidden = true;
  }

  #showPoster(view) {
    const poster = this.#part("poster");
    if (!view.poster_url || poster.getAttribute("src") === view.poster_url) return;
    poster.src = view.poster_url;
    poster.hidden = false;
  }

  #play() {
    if (!this.#url || this.#video) return;
    const video = (this.#video = document.createElement("video"));
    Object.assign(video, { muted: true, loop: true, playsInline: true, autoplay: true, src: this.#url });
    video.ariaHidden = "true";
    this.element.querySelector(".clip-stage").prepend(video);
    this.#namePlay("Stop");
  }

  #stop() {
    if (!this.#video) return;
    this.#video.remove();
    this.#video = null;
    this.#namePlay("Play");
  }

  #namePlay(words) {
    const button = this.#part("play");
    button.ariaLabel = `${words} this clip`;
    setIcon(button.querySelector("svg"), words === "Stop" ? "pause" : "play");
  }
}
