// The buttons, the bar and the keys of the player (jobs/_player.html), and what it remembers.

import { SPEEDS } from "./player.js";

const KEPT = "t2v.player"; // in localStorage: {loop, speed}
const WIDE = "wide"; // a cookie: the server lays the page out by it, so that nothing moves later
const YEAR_SECONDS = 31_536_000;
const ANYWHERE = new Set([" ", "ArrowLeft", "ArrowRight"]); // no letters: those could be somebody's own
const LOOPS_BELOW_SECONDS = 15; // shorter clips play again and again unless somebody says no

/** What this browser's owner chose before; empty where nothing may be kept. */
function recall() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {}; // storage is closed to this page, or holds what is none of ours
  }
}

function remember(change) {
  try {
    localStorage.setItem(KEPT, JSON.stringify({ ...recall(), ...change }));
  } catch {
    // closed to this page: then it holds for this visit
  }
}

/** Whether a key is meant for the stage: it has the focus, or nothing has, and it is in sight. */
export function isFor(stage, { target, key, ctrlKey, metaKey, altKey, shiftKey, defaultPrevented }) {
  if (ctrlKey || metaKey || altKey || defaultPrevented) return false;
  if (document.querySelector("dialog[open]")) return false;
  if (stage.contains(target)) return !(key === " " && target.matches("button, a, summary"));
  const nowhere = target === document.body || target.id === "main";
  if (!nowhere || shiftKey || !ANYWHERE.has(key)) return false;
  const { top, bottom } = stage.getBoundingClientRect();
  return top < innerHeight && bottom > 0;
}

export class Controls {
  #player;
  #stage;
  #layout;
  #clip;
  #scrub;
  #words;
  #speed;

  /** stage: the section with all of it; layout: what data-wide makes large. */
  constructor(player, { stage, layout }) {
    const part = (id) => stage.querySelector(`#${id}`);
    this.#player = player;
    this.#stage = stage;
    this.#layout = layout;
    this.#clip = part("clip");
    [this.#scrub, this.#words, this.#speed] = ["scrub", "frame-words", "speed"].map(part);
    this.#restore();
    this.#listen();
    this.#render();
    this.#renderFrame();
  }

  #restore() {
    const { loop, speed } = recall();
    this.#player.loop = loop ?? this.#player.clipSeconds <= LOOPS_BELOW_SECONDS;
    if (SPEEDS.includes(speed)) this.#player.speed = speed;
    this.#button("fullscreen").hidden = !this.#fullscreen;
  }

  #listen() {
    const { video } = this;
    for (const button of this.#clip.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.#do(button.dataset.do));
    }
    this.#scrub.addEventListener("input", () => this.#player.seek(Number(this.#scrub.value)));
    this.#speed.addEventListener("change", () => this.#setSpeed(Number(this.#speed.value)));
    video.addEventListener("click", () => {
      this.#player.toggle();
      this.#stage.focus({ preventScroll: true }); // so that the keys are the player's
    });
    video.addEventListener("dblclick", () => this.#do("fullscreen"));
    document.addEventListener("keydown", (event) => this.#pressed(event));
    this.#player.addEventListener("change", () => this.#render());
    this.#player.addEventListener("frame", () => this.#renderFrame());
    document.addEventListener("fullscreenchange", () => this.#render());
  }

  get video() {
    return this.#stage.querySelector("#video");
  }

  // An iPhone makes only the <video> itself fill its screen.
  get #fullscreen() {
    if (document.fullscreenEnabled) return () => this.#stage.requestFullscreen();
    return this.video.webkitEnterFullscreen?.bind(this.video);
  }

  #do(what) {
    const player = this.#player;
    switch (what) {
      case "toggle":
        return player.toggle();
      case "back":
        return player.step(-1);
      case "forward":
        return player.step(1);
      case "first":
        return player.seek(0);
      case "last":
        return player.seek(player.frames - 1);
      case "loop":
        player.loop = !player.loop;
        return remember({ loop: player.loop });
      case "slower":
      case "faster":
        return this.#setSpeed(SPEEDS[SPEEDS.indexOf(player.speed) + (what === "faster" ? 1 : -1)]);
      case "wide":
        return this.#setWide(!("wide" in this.#layout.dataset));
      case "fullscreen":
        return document.fullscreenElement ? document.exitFullscreen() : this.#fullscreen?.();
      case "keys":
        return document.getElementById("keys").showModal();
    }
  }

  #setSpeed(times) {
    if (!times) return; // already the slowest, or the fastest
    this.#player.speed = times;
    remember({ speed: times });
  }

  #setWide(wide) {
    if (wide) this.#layout.dataset.wide = "";
    else delete this.#layout.dataset.wide;
    const kept = wide ? YEAR_SECONDS : 0;
    document.cookie = `${WIDE}=1; path=/; max-age=${kept}; samesite=lax`;
    this.#render();
  }

  #pressed(event) {
    if (this.#clip.hidden || !isFor(this.#stage, event)) return;
    const { target, key } = event;
    if (target.matches("select, [role=tab]")) return; // these keys are their own
    if (target === this.#scrub && /^(Arrow|Home|End|Page)/.test(key)) return;
    const what = KEYS[key] ?? KEYS[key.toLowerCase()];
    if (!what) return;
    event.preventDefault();
    if (!this.#stage.contains(target)) this.#stage.focus({ preventScroll: true }); // all keys, from now on
    this.#do(what);
  }

  #button(what) {
    return this.#clip.querySelector(`[data-do=${what}]`);
  }

  #render() {
    const { playing, loop, speed } = this.#player;
    const toggle = this.#button("toggle");
    toggle.dataset.playing = String(playing);
    name(toggle, playing ? "Pause" : "Play");
    this.#button("loop").ariaPressed = String(loop);
    this.#button("wide").ariaPressed = String("wide" in this.#layout.dataset);
    const full = document.fullscreenElement === this.#stage;
    name(this.#button("fullscreen"), full ? "Leave full screen" : "Full screen");
    this.#button("fullscreen").dataset.full = String(full);
    this.#speed.value = String(speed);
    if (!playing) this.#scrub.ariaValueText = this.#said;
  }

  get #said() {
    const { frame, frames } = this.#player;
    return `Frame ${frame + 1} of ${frames}`;
  }

  // While it plays a screen reader is not told of each frame.
  #renderFrame() {
    const { frame, frames, seconds, playing } = this.#player;
    this.#scrub.value = frame;
    this.#scrub.style.setProperty("--fill", `${(100 * frame) / Math.max(1, frames - 1)}%`);
    this.#words.textContent = `${this.#said} · ${seconds.toFixed(2)} s`;
    if (!playing) this.#scrub.ariaValueText = this.#said;
  }
}

const KEYS = {
  " ": "toggle",
  ArrowLeft: "back",
  ArrowRight: "forward",
  Home: "first",
  End: "last",
  l: "loop",
  "<": "slower",
  ">": "faster",
  w: "wide",
  f: "fullscreen",
  "?": "keys",
};

function name(button, words) {
  if (button.ariaLabel === words) return;
  button.ariaLabel = words;
  button.dataset.tip = words;
}
