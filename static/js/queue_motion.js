// Rows that change places glide there, so that the eye can follow; new ones fade in.

const GLIDE = { duration: 200, easing: "ease-out" }; // ms: --calm
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Call it before the change; what it returns, after. */
export function watchRows(root) {
  if (still.matches) return () => {};
  const rows = () => root.querySelectorAll("[data-rows] > [data-key]");
  const before = new Map([...rows()].map((row) => [row, row.getBoundingClientRect().top]));
  const from = scrollY;
  return () => {
    for (const row of rows()) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom < 0 || top > innerHeight) continue;
      const was = before.get(row);
      if (was === undefined) row.animate({ opacity: [0, 1] }, GLIDE);
      else {
        const moved = was - top + (from - scrollY);
        if (Math.abs(moved) > 1) row.animate({ transform: [`translateY(${moved}px)`, "none"] }, GLIDE);
      }
    }
  };
}

/** Whether rows must not move now: the pointer is at them, and was moved a moment ago. */
export class Pointer {
  #movedAt = -Infinity;
  #over = null;

  constructor(root, { left }) {
    root.addEventListener("pointermove", ({ target, pointerType }) => {
      if (pointerType === "touch") return;
      this.#over = target.closest("[data-rows]");
      this.#movedAt = performance.now();
    });
    root.addEventListener("pointerleave", () => this.#leave(left));
    root.addEventListener("pointerout", ({ target, relatedTarget }) => {
      const rows = target.closest("[data-rows]");
      if (rows && !rows.contains(relatedTarget)) this.#leave(left);
    });
  }

  holds = (rows) => rows === this.#over && performance.now() - this.#movedAt < RESTS_MS;

  #leave(left) {
    this.#over = null;
    left();
  }
}

const RESTS_MS = 10_000; // a pointer that lies still is nobody who is about to press
