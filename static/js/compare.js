// The page that compares two clips: controls, keys, and how the two lie.

import { Pair } from "./compare_pair.js";

const part = (id) => document.getElementById(id);
const player = part("player");
const figures = [...document.querySelectorAll(".pair-clip")];
const [play, scrub, time, wipe] = ["play", "scrub", "time", "wipe"].map(part);

const pair = new Pair(
  figures.map((figure) => ({
    video: figure.querySelector("video"),
    fps: Number(figure.dataset.fps),
    frames: Number(figure.dataset.frames),
  })),
);

function follow() {
  play.ariaLabel = pair.playing ? "Pause" : "Play";
  player.toggleAttribute("data-playing", pair.playing);
  scrub.value = pair.frame;
  const words = `Frame ${pair.frame + 1} of ${pair.frames}`;
  scrub.ariaValueText = words;
  const digits = String(pair.frames).length;
  time.textContent = `${String(pair.frame + 1).padStart(digits, "\u2007")} / ${pair.frames} · ${pair.seconds.toFixed(2)} s`;
}

function setMode(mode) {
  player.dataset.mode = mode;
  part("wipe-row").hidden = mode !== "wipe";
  for (const link of [location, part("swap")]) {
    const address = new URL(link.href);
    address.searchParams.set("mode", mode);
    if (link === location) history.replaceState(null, "", address);
    else link.href = address;
  }
}

const setWipe = (percent) => {
  wipe.value = percent;
  part("pair").style.setProperty("--wipe", `${wipe.value}%`);
};

const toggle = () => (pair.playing ? pair.pause() : pair.play());
const step = (frames) => pair.show(pair.frame + frames);

const KEYS = {
  " ": toggle,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  Home: () => pair.show(0),
  End: () => pair.show(pair.frames - 1),
};

for (const figure of figures) {
  const video = figure.querySelector("video");
  const failed = figure.querySelector(".pair-failed");
  video.controls = false;
  video.addEventListener("error", () => (failed.hidden = false));
  failed.querySelector("button").addEventListener("click", () => {
    failed.hidden = true;
    video.load();
  });
}

scrub.max = pair.frames - 1;
scrub.addEventListener("input", () => pair.show(Number(scrub.value)));
play.addEventListener("click", toggle);
part("back").addEventListener("click", () => step(-1));
part("forward").addEventListener("click", () => step(1));
part("speed").addEventListener("change", ({ target }) => (pair.speed = Number(target.value)));
part("modes").addEventListener("change", ({ target }) => setMode(target.value));
wipe.addEventListener("input", () => setWipe(wipe.value));
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (!KEYS[key] || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (target.closest("input, select, textarea, dialog")) return;
  if (key === " " && target.closest("button, a, summary")) return;
  event.preventDefault();
  KEYS[key]();
});

// In a wipe the picture itself is the slider; a click where nothing is dragged plays.
let dragging = false;
part("pair").addEventListener("pointerdown", (event) => {
  if (player.dataset.mode !== "wipe" || event.target.closest("a, button")) return;
  dragging = true;
  event.currentTarget.setPointerCapture(event.pointerId);
});
part("pair").addEventListener("pointermove", (event) => {
  if (!dragging) return;
  const box = figures[0].querySelector(".pair-stage").getBoundingClientRect();
  setWipe(Math.max(0, Math.min(100, ((event.clientX - box.left) / box.width) * 100)));
});
for (const type of ["pointerup", "pointercancel"]) {
  part("pair").addEventListener(type, () => (dragging = false));
}
pair.addEventListener("time", follow);
setWipe(50);
follow();
