// The clip on its card, from the sprite that lies beside it: the pointer's place picks the frame,
// and where the focus rests it plays. Nothing is fetched before somebody points at a card.

const SPRITES_KEPT = 6; // decoded, at most 800 × 800 pixels each
const DRAG_PX = 8; // a finger that moved less taps
const CLICK_MS = 300; // after a finger went up, in which some browsers send a click
const still = matchMedia("(prefers-reduced-motion: reduce)");
const sprites = new Map(); // address → Image, the last used at the end

function spriteOf(card) {
  const { sprite } = card.dataset;
  const image = sprites.get(sprite) ?? Object.assign(new Image(), { decoding: "async", src: sprite });
  sprites.delete(sprite);
  sprites.set(sprite, image);
  if (sprites.size > SPRITES_KEPT) sprites.delete(sprites.keys().next().value);
  return image;
}

/** Draws frames of one card at a time into a canvas that it lends it. */
class Screen {
  #canvas = document.createElement("canvas");
  #line = document.createElement("span");
  #card = null;
  #image = null;
  #tile = -1;
  #frame = 0;

  constructor() {
    this.#canvas.className = "clip-frame";
    this.#canvas.ariaHidden = "true";
    this.#line.className = "clip-scrub";
  }

  get card() {
    return this.#card;
  }

  async #take(card) {
    if (this.#card === card) return;
    this.leave();
    this.#card = card;
    this.#image = spriteOf(card);
    try {
      await this.#image.decode();
    } catch {
      sprites.delete(card.dataset.sprite); // gone from storage, or away: the poster stays
      if (this.#card === card) this.#image = null;
      return;
    }
    if (this.#card !== card || !this.#image) return;
    this.#canvas.width = Number(card.dataset.tileWidth);
    this.#canvas.height = Number(card.dataset.tileHeight);
    card.querySelector(".clip-link").append(this.#canvas, this.#line);
  }

  /** at: 0 to 1 along the clip. */
  async show(card, at) {
    cancelAnimationFrame(this.#frame);
    this.#line.style.setProperty("--at", `${at * 100}%`);
    await this.#take(card);
    if (this.#card === card) this.#draw(at);
  }

  async play(card) {
    if (still.matches) return;
    await this.#take(card);
    const seconds = Number(card.dataset.seconds);
    const began = performance.now();
    const draw = (now) => {
      if (this.#card !== card) return;
      const at = (Math.max(0, now - began) / 1000 / seconds) % 1;
      this.#line.style.setProperty("--at", `${at * 100}%`);
      this.#draw(at);
      this.#frame = requestAnimationFrame(draw);
    };
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(draw);
  }

  #draw(at) {
    if (!this.#image?.complete || !this.#canvas.isConnected) return;
    const { tiles, columns, tileWidth, tileHeight } = this.#card.dataset;
    const tile = Math.min(tiles - 1, Math.floor(at * tiles));
    if (tile === this.#tile) return;
    this.#tile = tile;
    const [width, height] = [Number(tileWidth), Number(tileHeight)];
    const [left, top] = [(tile % columns) * width, Math.floor(tile / columns) * height];
    const context = this.#canvas.getContext("2d");
    context.drawImage(this.#image, left, top, width, height, 0, 0, width, height);
  }

  leave() {
    cancelAnimationFrame(this.#frame);
    this.#canvas.remove();
    this.#line.remove();
    this.#card = this.#image = null;
    this.#tile = -1;
  }
}

/** Scrubs the cards of a list, whichever they are. */
export function enableScrub(list) {
  const screen = new Screen();
  let touch = null; // a finger on a card: {card, x, moved}

  const cardAt = (event) => event.target.closest?.("[data-sprite]");
  const stageAt = (event) => event.target.closest?.("[data-stage]") && cardAt(event);
  const along = (card, x) => {
    const box = card.querySelector("[data-stage]").getBoundingClientRect();
    return Math.max(0, Math.min(0.999, (x - box.left) / box.width));
  };

  const swallow = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };

  list.addEventListener("pointermove", (event) => {
    if (touch) {
      touch.moved ||= Math.abs(event.clientX - touch.x) > DRAG_PX;
      if (touch.moved) screen.show(touch.card, along(touch.card, event.clientX));
      return;
    }
    const card = event.pointerType === "mouse" && stageAt(event);
    if (card) screen.show(card, along(card, event.clientX));
    else if (event.pointerType === "mouse" && screen.card) screen.leave();
  });
  list.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && screen.leave());
  list.addEventListener("pointerdown", (event) => {
    const card = event.pointerType === "touch" && stageAt(event);
    touch = card ? { card, x: event.clientX, moved: false } : null;
  });
  // touch-action lets the page scroll up and down; sideways is ours, and no tap.
  addEventListener("pointercancel", () => (touch = null));
  addEventListener("pointerup", () => {
    if (!touch) return;
    if (touch.moved) {
      list.addEventListener("click", swallow, { capture: true });
      setTimeout(() => list.removeEventListener("click", swallow, { capture: true }), CLICK_MS);
      screen.leave();
    }
    touch = null;
  });
  list.addEventListener("focusin", (event) => {
    const card = cardAt(event);
    if (card && event.target.matches(".clip-link:focus-visible")) screen.play(card);
    else screen.leave();
  });
  list.addEventListener("focusout", () => screen.leave());
}
