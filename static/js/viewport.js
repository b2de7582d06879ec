// Which cards are on screen, told a moment after the scrolling stopped.

const SETTLE_MS = 200; // a fast scroll subscribes to nothing that it passes

export class Viewport {
  #inside = new Set();
  #timer = 0;
  #observer;

  constructor(settled) {
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#inside.add(target);
        else this.#inside.delete(target);
      }
      clearTimeout(this.#timer);
      this.#timer = setTimeout(settled, SETTLE_MS);
    });
  }

  has(card) {
    return this.#inside.has(card);
  }

  add(card) {
    this.#observer.observe(card);
  }

  remove(card) {
    this.#observer.unobserve(card);
    this.#inside.delete(card);
  }
}
