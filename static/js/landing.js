// Plays the landing page's recording (gpu_worker/nano/landing.py): previews, then the finished clip.

const SIDE = 64; // pixels, of a frame
const COLUMNS = 8; // frames in a row of the sprite
const PREVIEWED = [1, 4, 8, 12, 16, 20, 24, 28, 30]; // steps, a row each; the clip's rows follow
const STEPS = 32;
const CLIP_FRAMES = 25;
const CLIP_SECONDS = CLIP_FRAMES / 12;
const PREVIEW_SECONDS = 0.6; // how long a step is on show
const FINISHED_SECONDS = 3 * CLIP_SECONDS;
const WHOLE_SECONDS = PREVIEWED.length * PREVIEW_SECONDS + FINISHED_SECONDS;

const canvas = document.getElementById("demo");
const label = document.getElementById("demo-step");
const pause = document.getElementById("demo-pause");
const context = canvas.getContext("2d");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const sprite = new Image();
let visible = false;
let paused = false;
let request = 0;
let shown = -1; // tile of the sprite

function show(tile, step) {
  if (tile === shown) return;
  shown = tile;
  const left = (tile % COLUMNS) * SIDE;
  const top = Math.floor(tile / COLUMNS) * SIDE;
  context.drawImage(sprite, left, top, SIDE, SIDE, 0, 0, SIDE, SIDE);
  label.textContent = `Step ${step} of ${STEPS}`;
}

function draw(now) {
  request = requestAnimationFrame(draw);
  const seconds = (now / 1000) % WHOLE_SECONDS;
  const row = Math.min(PREVIEWED.length, Math.floor(seconds / PREVIEW_SECONDS));
  // The wall clock picks the frame, so the motion goes on where the step before had it.
  const turn = (now / 1000 / CLIP_SECONDS) % 1;
  if (row < PREVIEWED.length) show(row * COLUMNS + Math.floor(turn * COLUMNS), PREVIEWED[row]);
  else show(row * COLUMNS + Math.floor(turn * CLIP_FRAMES), STEPS);
}

function play() {
  cancelAnimationFrame(request);
  pause.hidden = still.matches;
  pause.textContent = paused ? "Play" : "Pause";
  if (still.matches) show(PREVIEWED.length * COLUMNS + (CLIP_FRAMES >> 1), STEPS);
  else if (visible && !paused) request = requestAnimationFrame(draw);
}

sprite.src = canvas.dataset.sprite;
await sprite.decode();
pause.addEventListener("click", () => {
  paused = !paused;
  play();
});
still.addEventListener("change", play);
new IntersectionObserver((entries) => {
  visible = entries.at(-1).isIntersecting;
  play();
}).observe(canvas);
