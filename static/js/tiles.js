// Plays one row of equal tiles of a picture as a loop on a canvas.

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class TileLoop {
  #canvas;
  #context;
  #clipSeconds;
  #row = null;
  #shown = -1; // tile
  #request = 0;

  constructor(canvas, { clipSeconds }) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#clipSeconds = clipSeconds;
    still.addEventListener("change", this.#draw);
  }

  /** row: {picture, frames, tileWidth, tileHeight, top}, pixels; the picture stays the caller's. */
  play(row) {
    this.#row = row;
    this.#shown = -1;
    if (this.#canvas.width !== row.tileWidth || this.#canvas.height !== row.tileHeight) {
      this.#canvas.width = row.tileWidth;
      this.#canvas.height = row.tileHeight;
    }
    this.#draw();
  }

  close() {
    still.removeEventListener("change", this.#draw);
    cancelAnimationFrame(this.#request);
    this.#row = null;
  }

  // The clock picks the tile, so a newer row goes on where the older one was.
  #draw = () => {
    cancelAnimationFrame(this.#request);
    if (!this.#row) return;
    const { picture, frames, tileWidth, tileHeight, top } = this.#row;
    const turn = (performance.now() / 1000 / this.#clipSeconds) % 1;
    const tile = still.matches ? frames >> 1 : Math.min(frames - 1, Math.floor(turn * frames));
    if (tile !== this.#shown) {
      this.#shown = tile;
      this.#context.drawImage(
        picture, tile * tileWidth, top, tileWidth, tileHeight, 0, 0, tileWidth, tileHeight,
      );
    }
    if (frames > 1 && !still.matches) this.#request = requestAnimationFrame(this.#draw);
  };
}
