// Whether the picture on show is live, and if not, for how long there was no newer one.

const STALE_MS = 15_000;

// How far the viewer's clock is ahead of the server's: both times are of this page's first byte.
function clockAhead(servedAt) {
  const [navigation] = performance.getEntriesByType("navigation");
  return performance.timeOrigin + (navigation?.responseStart ?? 0) - servedAt;
}

export class Freshness {
  #ahead;
  #madeAt = 0;
  #cameAt = 0; // performance.now()
  #came = 0; // pictures
  #leastLag = Infinity; // what the worker's clock is behind the server's, or less

  /** servedAt: the server's clock as it made the page, milliseconds since 1970. */
  constructor(servedAt) {
    this.#ahead = clockAhead(servedAt);
  }

  came({ madeAt }) {
    this.#madeAt = madeAt;
    this.#cameAt = performance.now();
    this.#came += 1;
    this.#leastLag = Math.min(this.#leastLag, this.#lag());
  }

  /** Seconds; 0 for live. The first picture may have lain on the server for minutes. */
  get staleSeconds() {
    const here = performance.now() - this.#cameAt; // stands still while a laptop sleeps
    const made = this.#lag() - (this.#came > 1 ? this.#leastLag : 0);
    const age = Math.max(here, made);
    return age < STALE_MS ? 0 : Math.round(age / 1000);
  }

  #lag() {
    return Date.now() - this.#ahead - this.#madeAt;
  }
}
