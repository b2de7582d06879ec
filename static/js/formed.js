// "Clip" and "How it formed", two tabs over one stage. The second shows the strip of a finished job
// (docs/reference/rendering-files.md), a row for each kept step, scrubbed with a slider or played from
// noise to the clip, in place of the video.

import { isFor } from "./player_controls.js";
import { TileLoop } from "./tiles.js";

const FORMS_MS = 4_000; // all steps
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** parts: {stage, tabs, panels: [clip, formed], canvas, video, slider, toggle, words, others, failed};
 * tabs are two buttons in the order of the panels. others: what says where the clip is. The strip
 * loads when first asked for, and plays then unless somebody wants less motion. */
export class Formed {
  #parts;
  #clipSeconds;
  #url = null;
  #strip = null;
  #picture = null; // a promise of an <img>: it may come from another origin, whose bytes are closed
  #loop = null;
  #wanted = false; // the second tab is chosen
  #played = false; // the video, before it made room
  #playing = 0; // timer, while it forms

  constructor(parts, { clipSeconds }) {
    this.#parts = parts;
    this.#clipSeconds = clipSeconds;
    for (const [place, tab] of this.#tabs.entries()) {
      tab.addEventListener("click", () => this.#choose(place === 1));
      tab.addEventListener("keydown", (event) => this.#pressed(event, place));
    }
    parts.slider.addEventListener("input", () => {
      this.#pause();
      this.#show();
    });
    parts.toggle.addEventListener("click", () => this.#toggle());
    document.addEventListener("keydown", (event) => {
      if (event.key !== " " || !this.#loop || !isFor(parts.stage, event)) return;
      event.preventDefault();
      this.#toggle();
    });
  }

  get #tabs() {
    return [...this.#parts.tabs.querySelectorAll("[role=tab]")];
  }

  /** strip: {columns, rows, tile_width, tile_height, steps}. */
  offer(url, strip) {
    const { tabs, slider } = this.#parts;
    this.#url = url;
    this.#strip = strip;
    slider.max = strip.rows - 1;
    slider.value = 0;
    this.#say();
    tabs.hidden = false;
  }

  #pressed(event, place) {
    const to = { ArrowLeft: 0, ArrowRight: 1, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to === place) return;
    this.#tabs[to].focus();
    this.#choose(to === 1);
  }

  async #choose(formed) {
    const { panels, words, others, failed } = this.#parts;
    this.#wanted = formed;
    for (const [place, tab] of this.#tabs.entries()) {
      const chosen = (place === 1) === formed;
      tab.ariaSelected = String(chosen);
      tab.tabIndex = chosen ? 0 : -1;
      panels[place].hidden = !chosen;
    }
    words.hidden = !formed;
    others.hidden = formed;
    failed.hidden = true;
    if (!formed) return this.#close();
    this.#picture ??= load(this.#url);
    try {
      await this.#picture;
    } catch {
      this.#picture = null; // choosing it again tries again
      failed.hidden = false;
      return;
    }
    if (this.#wanted && !this.#loop) this.#open();
  }

  #open() {
    const { canvas, video } = this.#parts;
    this.#played = !video.paused;
    video.pause();
    video.hidden = true;
    canvas.hidden = false;
    this.#loop = new TileLoop(canvas, { clipSeconds: this.#clipSeconds });
    this.#show();
    if (!still.matches && Number(this.#parts.slider.value) === 0) this.#play();
  }

  #toggle() {
    if (this.#playing) this.#pause();
    else if (this.#loop) this.#play();
  }

  /** From where it stands to the last step; from there once more from noise. */
  #play() {
    const { slider } = this.#parts;
    if (slider.value === slider.max) slider.value = 0;
    this.#playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      this.#show();
      if (slider.value === slider.max) this.#pause();
    }, FORMS_MS / Math.max(1, slider.max));
    this.#renderToggle();
    this.#show();
  }

  #pause() {
    clearInterval(this.#playing);
    this.#playing = 0;
    this.#renderToggle();
    this.#say();
  }

  #renderToggle() {
    const { toggle } = this.#parts;
    toggle.dataset.playing = String(this.#playing > 0);
    toggle.ariaLabel = this.#playing ? "Pause" : "Play how it formed";
  }

  #close() {
    const { canvas, video } = this.#parts;
    this.#pause();
    this.#loop?.close();
    this.#loop = null;
    canvas.hidden = true;
    video.hidden = false;
    if (this.#played) video.play().catch(() => {}); // refused: it has a button for that
    this.#played = false;
  }

  async #show() {
    this.#say();
    const picture = await this.#picture;
    const { columns, tile_width: tileWidth, tile_height: tileHeight } = this.#strip;
    const top = Number(this.#parts.slider.value) * tileHeight;
    this.#loop?.play({ picture, frames: columns, tileWidth, tileHeight, top });
  }

  #say() {
    const { slider, words } = this.#parts;
    const { steps } = this.#strip;
    const said = `Step ${steps[Number(slider.value)]} of ${steps.at(-1)}`;
    words.textContent = said;
    if (!this.#playing) slider.ariaValueText = said; // while it plays nobody is told of each step
    slider.style.setProperty("--fill", `${(100 * slider.value) / Math.max(1, slider.max)}%`);
  }
}

async function load(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}
