// The running rows between two looks: step, bar and seconds left of those on screen, over the one
// socket; and, where somebody asks for it, the preview.

import { Live } from "./live.js";
import { SpritePlayer } from "./preview.js";
import { leftWords, progressWords, setBar, withTick } from "./view.js";
import { Viewport } from "./viewport.js";

const MOST_WATCHED = 40; // of the 100 that one socket may
const MOST_PEEKED = 6; // previews that move at one time; the oldest stops

export class RunningRows {
  #root;
  #changed;
  #views = new Map(); // job → {state, attempt, step, steps, phase, seconds_left, cancel_requested}
  #rows = new Map(); // job → its row
  #watched = new Set();
  #newest = new Map(); // job → its newest preview, for whoever asks for it next; of watched ones
  #players = new Map(); // job → SpritePlayer, oldest first
  #viewport = new Viewport(() => this.#choose());
  #live = new Live({ draw: (preview) => this.#draw(preview) });

  /** changed: called when a job is no longer what the page shows of it. */
  constructor(root, { changed }) {
    this.#root = root;
    this.#changed = changed;
    this.#live.addEventListener("tick", ({ detail }) => this.#tick(detail));
    this.#live.addEventListener("snapshot", ({ detail }) => this.#snapshot(detail.job));
    this.#live.addEventListener("fact", () => this.#changed());
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-peek]");
      if (button) this.#peek(button.closest("[data-job]").dataset.job, button);
    });
  }

  get live() {
    return this.#live;
  }

  /** Call it when rows came, went or changed. */
  sync() {
    const rows = new Map();
    for (const row of this.#root.querySelectorAll("[data-job]")) rows.set(row.dataset.job, row);
    for (const [job, row] of this.#rows) if (rows.get(job) !== row) this.#forget(job, row);
    for (const [job, row] of rows) {
      if (!this.#rows.has(job)) this.#viewport.add(row);
      this.#take(job, row.dataset);
      this.#render(job, row);
    }
    this.#rows = rows;
  }

  // The row's step is that of the last lease renewal; ticks know better.
  #take(job, { attempt, step, steps, stopping }) {
    const told = { state: "running", attempt: Number(attempt), step: Number(step), steps: Number(steps) };
    const known = this.#views.get(job);
    const view = known?.attempt === told.attempt ? { ...known, step: Math.max(known.step, told.step) } : told;
    this.#views.set(job, { ...view, cancel_requested: stopping !== undefined });
  }

  #forget(job, row) {
    this.#viewport.remove(row);
    this.#unwatch(job);
    this.#views.delete(job);
  }

  #choose() {
    const chosen = new Set();
    for (const [job, row] of this.#rows) {
      if (chosen.size < MOST_WATCHED && (this.#viewport.has(row) || this.#players.has(job))) chosen.add(job);
    }
    for (const job of this.#watched) if (!chosen.has(job)) this.#unwatch(job);
    for (const job of chosen) {
      if (this.#watched.has(job)) continue;
      this.#watched.add(job);
      this.#live.watch(job, Number(this.#rows.get(job).dataset.version));
    }
  }

  #unwatch(job) {
    if (this.#watched.delete(job)) this.#live.unwatch(job);
    this.#newest.delete(job);
    this.#stop(job);
  }

  #tick(tick) {
    const known = this.#views.get(tick.job);
    if (!known) return;
    if (tick.attempt > known.attempt) this.#changed();
    this.#views.set(tick.job, withTick(known, tick));
    this.#render(tick.job, this.#rows.get(tick.job));
  }

  #snapshot(job) {
    const known = this.#views.get(job.id);
    if (!known) return;
    const other = job.state !== known.state || job.attempt !== known.attempt;
    if (other || job.cancel_requested !== known.cancel_requested) this.#changed();
  }

  #render(job, row) {
    const view = this.#views.get(job);
    const say = (part, words) => {
      const node = row.querySelector(`[data-${part}]`);
      if (node.textContent !== words) node.textContent = words;
    };
    setBar(row.querySelector("[data-bar]"), view);
    say("words", progressWords(view));
    if (view.seconds_left !== undefined) say("left", leftWords(view.seconds_left));
    const told = this.#root.querySelector(`[data-step-of="${CSS.escape(job)}"]`);
    if (told && view.step) told.textContent = `at step ${view.step} of ${view.steps}`;
  }

  // --- Previews -------------------------------------------------------------------------------

  #peek(job, button) {
    if (this.#players.has(job)) return this.#stop(job);
    const { clip } = this.#rows.get(job).dataset;
    while (this.#players.size >= MOST_PEEKED) this.#stop(this.#players.keys().next().value);
    const player = new SpritePlayer(button.querySelector("canvas"), { clipSeconds: Number(clip) });
    this.#players.set(job, player);
    button.ariaPressed = "true";
    button.dataset.peeks = "waiting"; // until a picture comes
    this.#choose();
    const known = this.#newest.get(job);
    if (known) this.#draw(known);
    return undefined;
  }

  #stop(job) {
    this.#players.get(job)?.close();
    if (!this.#players.delete(job)) return;
    const button = this.#rows.get(job)?.querySelector("[data-peek]");
    if (!button) return;
    button.ariaPressed = "false";
    delete button.dataset.peeks;
  }

  async #draw(preview) {
    const { job } = preview;
    if (!this.#watched.has(job)) return;
    this.#newest.set(job, preview);
    const drawn = await this.#players.get(job)?.show(preview);
    const button = this.#rows.get(job)?.querySelector("[data-peek]");
    if (drawn && this.#players.has(job) && button) button.dataset.peeks = "shown";
  }
}
