// Two videos that run as one: the longer leads, the other is held to its time at every frame.

const SEEK_SECONDS = 0.25; // who is off by more jumps; by less it catches up
const CATCH_UP = 0.15; // at most so much faster or slower meanwhile

/** A clip: its video, fps and frames. */
class Track {
  constructor(video, { fps, frames }) {
    Object.assign(this, { video, fps, frames, seconds: frames / fps });
  }

  /** The middle of the frame that shows at that time: no rounding ends in the one beside it. */
  middleAt(seconds) {
    const frame = Math.min(this.frames - 1, Math.max(0, Math.floor(seconds * this.fps + 1e-6)));
    return (frame + 0.5) / this.fps;
  }

  seek(seconds) {
    this.video.currentTime = this.middleAt(seconds);
  }
}

/** Event: time (it plays, was paused, or stands at another frame). */
export class Pair extends EventTarget {
  #tracks;
  #leader;
  #other;
  #speed = 1;
  #playing = false;
  #at = 0; // seconds

  /** clips: [{video, fps, frames}, …], two of them. */
  constructor(clips) {
    super();
    this.#tracks = clips.map(({ video, ...clip }) => new Track(video, clip));
    [this.#leader, this.#other] = this.#tracks.toSorted((one, two) => two.seconds - one.seconds);
    this.fps = Math.max(...this.#tracks.map(({ fps }) => fps));
    this.frames = Math.round(this.#leader.seconds * this.fps);
    this.#leader.video.addEventListener("ended", () => this.#again());
    this.#follow();
  }

  get playing() {
    return this.#playing;
  }

  get seconds() {
    return this.#at;
  }

  /** From 0, of the finer of the two rates. */
  get frame() {
    return Math.min(this.frames - 1, Math.floor(this.#at * this.fps + 1e-6));
  }

  set speed(speed) {
    this.#speed = speed;
    for (const { video } of this.#tracks) video.playbackRate = speed;
  }

  async play() {
    this.#playing = true;
    if (this.frame >= this.frames - 1) this.#place(0);
    try {
      await Promise.all(this.#tracks.map((track) => this.#at < track.seconds && track.video.play()));
    } catch (error) {
      if (error.name !== "AbortError") this.pause(); // the browser forbids it, or a file is gone
    }
    this.#tell();
  }

  pause() {
    this.#playing = false;
    for (const { video } of this.#tracks) video.pause();
    this.#place(this.#leader.video.currentTime);
  }

  /** Stands still at that frame. */
  show(frame) {
    if (this.#playing) this.pause();
    this.#place((Math.max(0, Math.min(this.frames - 1, frame)) + 0.5) / this.fps);
  }

  #place(seconds) {
    this.#at = seconds;
    for (const track of this.#tracks) track.seek(seconds);
    this.#tell();
  }

  #again() {
    this.#place(0);
    if (this.#playing) this.play();
  }

  #tell() {
    this.dispatchEvent(new Event("time"));
  }

  #follow() {
    const { video } = this.#leader;
    const next = video.requestVideoFrameCallback
      ? (step) => video.requestVideoFrameCallback((_, { mediaTime }) => step(mediaTime))
      : (step) => requestAnimationFrame(() => step(video.currentTime));
    const step = (seconds) => {
      if (this.#playing) {
        this.#at = seconds;
        this.#hold();
        this.#tell();
      }
      next(step);
    };
    next(step);
  }

  #hold() {
    const { video, seconds, fps } = this.#other;
    const now = this.#leader.video.currentTime;
    if (now >= seconds - 0.5 / fps) {
      if (!video.paused) video.pause();
      this.#other.seek(seconds); // its last frame stays until both begin again
      return;
    }
    if (video.paused) video.play().catch(() => {});
    const drift = video.currentTime - now;
    if (Math.abs(drift) > SEEK_SECONDS) video.currentTime = now;
    const off = Math.abs(drift) > 0.5 / fps ? Math.max(-1, Math.min(1, drift / SEEK_SECONDS)) : 0;
    video.playbackRate = this.#speed * (1 - CATCH_UP * off);
  }
}
