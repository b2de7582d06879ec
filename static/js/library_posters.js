// Posters hang on the cards that are in the document, and the same few frames go round.
//
// Chromium keeps pictures that were adopted, or that lost their card before they had loaded, until the
// page ends, each with its card: 40 nodes for every clip that was ever scrolled past.

const SPARE = 100; // frames without a card
const spare = [];

/** Takes the poster off; the card remembers it. */
export function takeDown(card) {
  const image = card.querySelector(".clip-link > img");
  if (!image) return;
  card.dataset.poster = ["src", "width", "height", "class"]
    .map((name) => image.getAttribute(name) ?? "")
    .join(" ");
  image.removeAttribute("src"); // what is on its way no longer keeps others waiting
  image.remove();
  if (image.ownerDocument === document && spare.length < SPARE) spare.push(image);
}

/** Hangs it up again, on a card that is in the document. */
export function hang(card) {
  if (!card.dataset.poster) return;
  const [src, width, height, kind] = card.dataset.poster.split(" ");
  delete card.dataset.poster;
  const image = spare.pop() ?? new Image();
  Object.assign(image, { alt: "", decoding: "async", className: kind, width, height, hidden: false });
  card.querySelector(".clip-link").prepend(image);
  image.src = src;
}

/** Of a poster that storage has lost the dark stage is left, and no browser's sign of it. */
export function hideBroken(list) {
  const hide = (image) => (image.hidden = true);
  list.addEventListener("error", ({ target }) => target.matches(".clip-link > img") && hide(target), true);
  for (const image of list.querySelectorAll(".clip-link > img")) {
    if (image.complete && image.naturalWidth === 0 && image.hasAttribute("src")) hide(image);
  }
}
