// Previews: the header before each sprite (jobs/events.py, PreviewHeader), and the player.

import { TileLoop } from "./tiles.js";

const HEADER_BYTES = 52; // "<2sBB16sIIIHHHHQI"
const VERSION = 1;
const TYPES = ["image/jpeg", "image/webp", "image/png"];

/** What an acknowledgement names; it stands at the same place in every version. */
export function addressOf(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new RangeError("shorter than a preview's header");
  const view = new DataView(buffer);
  return {
    job: uuid(new Uint8Array(buffer, 4, 16)),
    attempt: view.getUint32(20, true),
    step: view.getUint32(24, true),
  };
}

/** Throws RangeError when the message is not a preview of this version. */
export function parsePreview(buffer) {
  const address = addressOf(buffer);
  const view = new DataView(buffer);
  if (view.getUint8(0) !== 0x54 || view.getUint8(1) !== 0x56 || view.getUint8(2) !== VERSION) {
    throw new RangeError(`not a preview of version ${VERSION}`);
  }
  const size = view.getUint32(48, true);
  return {
    ...address,
    steps: view.getUint32(28, true),
    frames: view.getUint16(32, true),
    tileWidth: view.getUint16(34, true), // pixels
    tileHeight: view.getUint16(36, true), // pixels
    madeAt: Number(view.getBigUint64(40, true) / 1000n), // milliseconds, the worker's clock
    image: new Blob([new Uint8Array(buffer, HEADER_BYTES, size)], { type: TYPES[view.getUint8(3)] }),
  };
}

function uuid(bytes) {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Loops the newest sprite's tiles on a canvas; holds one decoded sprite at a time. */
export class SpritePlayer {
  #loop;
  #sprite = null; // ImageBitmap
  #preview = null;
  #closed = false;

  constructor(canvas, { clipSeconds }) {
    this.#loop = new TileLoop(canvas, { clipSeconds });
  }

  /** Whether it is drawn now: an older one than the one on show is dropped. */
  async show(preview) {
    if (!this.#isNewer(preview)) return false;
    const picture = await createImageBitmap(preview.image);
    if (this.#closed || !this.#isNewer(preview)) {
      picture.close();
      return false;
    }
    const { attempt, step, frames, tileWidth, tileHeight } = preview;
    this.#loop.play({ picture, frames, tileWidth, tileHeight, top: 0 });
    this.#sprite?.close();
    this.#sprite = picture;
    this.#preview = { attempt, step };
    return true;
  }

  /** The canvas keeps what it showed last. */
  close() {
    this.#closed = true;
    this.#loop.close();
    this.#sprite?.close();
    this.#sprite = null;
  }

  #isNewer({ attempt, step }) {
    const shown = this.#preview;
    return !shown || attempt > shown.attempt || (attempt === shown.attempt && step > shown.step);
  }
}
