// Moving previews in the strip: the first running ones on screen; who is passed over keeps its last
// picture.

import { SpritePlayer } from "./preview.js";
import { Viewport } from "./viewport.js";

const MOST = 8; // at one time

export class Moving {
  #live;
  #strip;
  #isWatched;
  #viewport = new Viewport(() => this.choose());
  #watched = new Set(); // jobs whose previews come
  #players = new Map(); // job → SpritePlayer

  /** isWatched(job): whether the page watches it anyway, and goes on to. */
  constructor({ live, strip, isWatched }) {
    this.#live = live;
    this.#strip = strip;
    this.#isWatched = isWatched;
  }

  add(card) {
    this.#viewport.add(card.element);
  }

  remove(card) {
    this.#viewport.remove(card.element);
    this.#stop(card.id);
  }

  choose() {
    const chosen = new Set();
    for (const { id, state } of this.#strip.unfinished()) {
      if (chosen.size === MOST) break;
      if (state === "running" && this.#viewport.has(this.#strip.cardOf(id).element)) chosen.add(id);
    }
    for (const job of this.#watched) if (!chosen.has(job)) this.#stop(job);
    for (const job of chosen) {
      if (this.#watched.has(job)) continue;
      this.#watched.add(job);
      if (!this.#isWatched(job)) this.#live.watch(job, this.#strip.views.get(job).version);
    }
  }

  /** Its pictures begin again. */
  again(job) {
    this.#stop(job);
    this.choose();
  }

  async draw(preview) {
    const { job } = preview;
    const card = this.#strip.cardOf(job);
    if (!card || !this.#watched.has(job)) return;
    const { frames, fps } = this.#strip.views.get(job).spec;
    if (!this.#players.has(job)) {
      this.#players.set(job, new SpritePlayer(card.canvas, { clipSeconds: frames / fps }));
    }
    if (await this.#players.get(job).show(preview)) card.canvas.hidden = !this.#players.has(job);
  }

  #stop(job) {
    if (this.#watched.delete(job) && !this.#isWatched(job)) this.#live.unwatch(job);
    this.#players.get(job)?.close();
    this.#players.delete(job);
  }
}
