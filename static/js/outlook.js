// Why a job waits and how long it may be (jobs/outlook.py): asked again when its place changed, and
// now and then, as long as somebody looks at it waiting.

import { fillTimes } from "./times.js";
import { placeWords } from "./view.js";

const SOONEST_MS = 2000; // between two questions
const AGAIN_MS = 15_000;

export class Outlook {
  #url;
  #parts;
  #known; // "place/held" that the words on show are for
  #view = null;
  #timer = 0;
  #askedAt = 0; // performance.now()

  /** parts: {title, why, expires}. view: the job as the words in the page tell of it. */
  constructor(url, parts, view) {
    this.#url = url;
    this.#parts = parts;
    this.#known = keyOf(view);
    document.addEventListener("visibilitychange", () => this.follow(this.#view));
  }

  /** The job as it is now, or null. */
  follow(view) {
    this.#view = view?.state === "queued" ? view : null;
    clearTimeout(this.#timer);
    if (!this.#view || document.visibilityState === "hidden") return;
    const stale = keyOf(this.#view) !== this.#known;
    if (stale) this.#parts.title.textContent = placeWords(this.#view);
    const wait = stale ? SOONEST_MS : AGAIN_MS;
    const since = performance.now() - this.#askedAt;
    this.#timer = setTimeout(() => this.#ask(), Math.max(0, wait - since));
  }

  async #ask() {
    this.#askedAt = performance.now();
    const asked = keyOf(this.#view);
    try {
      const answer = await fetch(this.#url, { headers: { Accept: "application/json" } });
      const { outlook } = answer.ok ? await answer.json() : {};
      if (outlook && this.#view && keyOf(this.#view) === asked) this.#show(outlook, asked);
    } catch {
      // The connection's banner says it; the place alone is true meanwhile.
    }
    this.follow(this.#view);
  }

  #show({ title, why, expires_at: expires }, key) {
    this.#known = key;
    this.#parts.title.textContent = title;
    this.#parts.why.textContent = why;
    this.#parts.expires.hidden = !expires;
    if (expires) {
      this.#parts.expires.querySelector("time").dateTime = expires;
      fillTimes(this.#parts.expires);
    }
  }
}

const keyOf = ({ state, place, held }) => `${state}/${place}/${held}`;
