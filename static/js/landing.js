// The picture of the landing page: a drawn illustration of denoising, no model runs here.

const SIDE = 64; // pixels
const STEPS = 32;
const CLIP_SECONDS = 25 / 12;
const HOLD_SECONDS = 2.5; // the finished clip is looked at before it starts again
const BACKGROUND = [12, 12, 16]; // red, green, blue
const CIRCLE = [229, 48, 56];
const NOISE = [150, 145, 215]; // at its brightest
const FRAME_MS = 1000 / 12;

const canvas = document.getElementById("demo");
const label = document.getElementById("demo-step");
const context = canvas.getContext("2d");
const picture = context.createImageData(SIDE, SIDE);

function paint(clean, turn) {
  const centre = 10 + turn * 44;
  for (let at = 0; at < SIDE * SIDE; at += 1) {
    const distance = Math.hypot((at % SIDE) - centre, Math.floor(at / SIDE) - 32);
    const inside = Math.min(1, Math.max(0, 11 - distance));
    const noise = Math.random() * (1 - clean);
    for (let channel = 0; channel < 3; channel += 1) {
      const shape = BACKGROUND[channel] + inside * (CIRCLE[channel] - BACKGROUND[channel]);
      picture.data[at * 4 + channel] = shape * clean + NOISE[channel] * noise;
    }
    picture.data[at * 4 + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

const whole = STEPS * 0.16 + HOLD_SECONDS;
let last = -Infinity;

function draw(now) {
  requestAnimationFrame(draw);
  if (now - last < FRAME_MS) return;
  last = now;
  const seconds = (now / 1000) % whole;
  const step = Math.min(STEPS, Math.floor(seconds / 0.16) + 1);
  paint((step / STEPS) ** 1.2, (now / 1000 / CLIP_SECONDS) % 1);
  label.textContent = step === STEPS ? "Ready" : `Step ${step} of ${STEPS}`;
}

if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
  paint(1, 0.5);
  label.textContent = "Ready";
} else {
  requestAnimationFrame(draw);
}
