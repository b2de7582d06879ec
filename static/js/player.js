// Our own player over a <video>, exact to the frame: a clip is frames at a steady rate, and where it
// stands is a frame's number. Events: "frame" (another one is on show), "change" (of anything else).

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];

export class Player extends EventTarget {
  #video;
  #frames;
  #fps;
  #frame = 0; // on show, or asked for
  #asked = null; // a frame, while the browser still looks for an earlier one

  /** frames: how many there are; fps: frames a second. */
  constructor(video, { frames, fps }) {
    super();
    this.#video = video;
    this.#frames = frames;
    this.#fps = fps;
    for (const name of ["play", "pause", "ratechange", "ended"]) {
      video.addEventListener(name, () => this.#emit("change"));
    }
    video.addEventListener("seeked", this.#landed);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(this.#presented);
    else video.addEventListener("timeupdate", () => this.#show(Math.floor(video.currentTime * fps + 0.01)));
  }

  get frame() {
    return this.#frame;
  }

  get frames() {
    return this.#frames;
  }

  /** Of the frame on show, from the beginning of the clip. */
  get seconds() {
    return this.#frame / this.#fps;
  }

  get clipSeconds() {
    return this.#frames / this.#fps;
  }

  get playing() {
    return !this.#video.paused && !this.#video.ended;
  }

  get loop() {
    return this.#video.loop;
  }

  set loop(on) {
    this.#video.loop = on;
    this.#emit("change");
  }

  get speed() {
    return this.#video.playbackRate;
  }

  set speed(times) {
    this.#video.defaultPlaybackRate = times; // of the next file, too
    this.#video.playbackRate = times;
  }

  play() {
    this.#video.play().catch(() => this.#emit("change")); // not allowed: it has a button for that
  }

  pause() {
    this.#video.pause();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** To that frame, and stands there. Of two that come quickly the later one wins. */
  seek(frame) {
    this.pause();
    const to = Math.min(this.#frames - 1, Math.max(0, frame));
    this.#show(to);
    if (this.#video.seeking) this.#asked = to;
    else this.#go(to);
  }

  /** One or more frames on, or back; from an end to the other where it loops. */
  step(by) {
    const to = this.#frame + by;
    this.seek(this.loop ? (to + this.#frames) % this.#frames : to);
  }

  // The middle of a frame: its edges are the neighbours', too.
  #go(frame) {
    this.#video.currentTime = (frame + 0.5) / this.#fps;
  }

  #landed = () => {
    const asked = this.#asked;
    this.#asked = null;
    if (asked !== null) this.#go(asked);
  };

  #presented = (now, { mediaTime }) => {
    this.#video.requestVideoFrameCallback(this.#presented);
    if (!this.#video.seeking && this.#asked === null) this.#show(Math.round(mediaTime * this.#fps));
  };

  #show(frame) {
    const shown = Math.min(this.#frames - 1, frame);
    if (shown === this.#frame) return;
    this.#frame = shown;
    this.#emit("frame");
  }

  #emit(type) {
    this.dispatchEvent(new Event(type));
  }
}
