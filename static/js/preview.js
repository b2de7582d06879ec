// Previews: the header before each sprite (jobs/events.py, PreviewHeader), and the player.

const HEADER_BYTES = 52; // "<2sBB16sIIIHHHHQI"
const VERSION = 1;
const TYPES = ["image/jpeg", "image/webp", "image/png"];

/** Throws RangeError when the message is not a preview of this version. */
export function parsePreview(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new RangeError("shorter than a preview's header");
  const view = new DataView(buffer);
  if (view.getUint8(0) !== 0x54 || view.getUint8(1) !== 0x56 || view.getUint8(2) !== VERSION) {
    throw new RangeError(`not a preview of version ${VERSION}`);
  }
  const size = view.getUint32(48, true);
  return {
    job: uuid(new Uint8Array(buffer, 4, 16)),
    attempt: view.getUint32(20, true),
    step: view.getUint32(24, true),
    steps: view.getUint32(28, true),
    frames: view.getUint16(32, true),
    tileWidth: view.getUint16(34, true), // pixels
    tileHeight: view.getUint16(36, true), // pixels
    image: new Blob([new Uint8Array(buffer, HEADER_BYTES, size)], { type: TYPES[view.getUint8(3)] }),
  };
}

function uuid(bytes) {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Loops the newest sprite's tiles on a canvas; holds one decoded sprite at a time. */
export class SpritePlayer {
  #canvas;
  #context;
  #clipSeconds;
  #sprite = null; // ImageBitmap
  #preview = null;
  #tile = -1;
  #request = 0;
  #closed = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas, { clipSeconds }) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#clipSeconds = clipSeconds;
  }

  /** Whether it is drawn now: an older one than the one on show is dropped. */
  async show(preview) {
    if (!this.#isNewer(preview)) return false;
    const sprite = await createImageBitmap(preview.image);
    if (this.#closed || !this.#isNewer(preview)) {
      sprite.close();
      return false;
    }
    this.#sprite?.close();
    this.#sprite = sprite;
    this.#preview = preview;
    this.#tile = -1;
    if (this.#canvas.width !== preview.tileWidth || this.#canvas.height !== preview.tileHeight) {
      this.#canvas.width = preview.tileWidth;
      this.#canvas.height = preview.tileHeight;
    }
    this.#context.imageSmoothingEnabled = false;
    cancelAnimationFrame(this.#request);
    this.#draw(performance.now());
    return true;
  }

  close() {
    this.#closed = true;
    cancelAnimationFrame(this.#request);
    this.#sprite?.close();
    this.#sprite = null;
  }

  #isNewer({ attempt, step }) {
    const shown = this.#preview;
    return !shown || attempt > shown.attempt || (attempt === shown.attempt && step > shown.step);
  }

  // The wall clock picks the tile, so a newer sprite goes on where the older one was.
  #draw = (now) => {
    const { frames, tileWidth, tileHeight } = this.#preview;
    const turn = (now / 1000 / this.#clipSeconds) % 1;
    const tile = this.#still.matches ? frames >> 1 : Math.min(frames - 1, Math.floor(turn * frames));
    if (tile !== this.#tile) {
      this.#tile = tile;
      const from = tile * tileWidth;
      this.#context.drawImage(
        this.#sprite, from, 0, tileWidth, tileHeight, 0, 0, tileWidth, tileHeight,
      );
    }
    if (frames > 1) this.#request = requestAnimationFrame(this.#draw);
  };
}
