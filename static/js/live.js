// The page's one WebSocket: subscribe, resume after a break, keep alive. See docs/reference/live.md.
//
// Events (CustomEvent, detail = the message): snapshot, fact, tick, place, refused;
// preview (detail = ArrayBuffer); up and down when the connection comes and goes.

const PING_MS = 25_000; // the server closes a viewer that was silent for 90 s
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
const SIGNED_OUT = 4401;
const BAD_MESSAGE = 4400;

export class Live extends EventTarget {
  #socket = null;
  #watched = new Map(); // job → the newest seq seen
  #mine = false;
  #failures = 0;
  #retryTimer = 0;
  #pingTimer = 0;
  #unanswered = false; // a ping is on its way
  #held = new Map(); // job → the acknowledgement that waits until somebody looks
  #wanted = false;

  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
    addEventListener("pagehide", this.#pause);
    addEventListener("pageshow", this.#hurry);
    this.#open();
  }

  stop() {
    this.#wanted = false;
    removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    removeEventListener("pagehide", this.#pause);
    removeEventListener("pageshow", this.#hurry);
    this.#pause();
  }

  watch(job, after = 0) {
    if (this.#watched.has(job)) return;
    this.#watched.set(job, after);
    this.#send({ type: "subscribe", job, after });
  }

  unwatch(job) {
    if (this.#watched.delete(job)) this.#send({ type: "unsubscribe", job });
  }

  watchMine() {
    this.#mine = true;
    this.#send({ type: "subscribe", mine: true });
  }

  /** A preview was drawn: the server may send the next, which is then the latest. */
  ack({ job, attempt, step }) {
    const message = { type: "ack", job, attempt, step };
    if (document.visibilityState === "hidden") this.#held.set(job, message);
    else this.#send(message);
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #open() {
    const url = new URL("/ws/", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", ({ data }) => this.#received(data));
    socket.addEventListener("close", ({ code }) => this.#closed(socket, code));
    this.#socket = socket;
  }

  #opened() {
    this.#unanswered = false;
    if (this.#mine) this.#send({ type: "subscribe", mine: true });
    for (const [job, after] of this.#watched) this.#send({ type: "subscribe", job, after });
    this.#pingTimer = setInterval(() => this.#ping(), PING_MS);
    this.#emit("up");
  }

  #ping() {
    if (this.#unanswered) {
      this.#drop(); // half-open: waiting for TCP to notice would take minutes
      return;
    }
    this.#unanswered = true;
    this.#send({ type: "ping" });
  }

  #received(data) {
    this.#unanswered = false;
    this.#failures = 0;
    if (data instanceof ArrayBuffer) {
      this.#emit("preview", data);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "fact") {
      const seen = this.#watched.get(message.job);
      if (seen === undefined || message.seq <= seen) return; // shown already, before the break
      this.#watched.set(message.job, message.seq);
    }
    if (message.type === "refused") this.#watched.delete(message.job);
    this.#emit(message.type, message);
  }

  #drop() {
    const socket = this.#socket;
    if (!socket) return;
    socket.close();
    this.#closed(socket, 1006); // close() waits for an answer that a dead network never brings
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearInterval(this.#pingTimer);
    if (!this.#wanted) return;
    if (code === SIGNED_OUT) {
      const login = new URL(document.body.dataset.loginUrl, location.href);
      login.searchParams.set("next", location.pathname + location.search);
      location.assign(login);
      return;
    }
    if (code === BAD_MESSAGE) {
      this.stop(); // the same message again would be refused again
      this.#emit("down", "This page is out of date. Reload it.");
      return;
    }
    this.#emit("down", "Reconnecting…");
    const most = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#open(), most * (0.5 + Math.random() / 2));
  }

  // A page that is looked at again, or a network that came back, does not wait for the back-off.
  #hurry = () => {
    if (document.visibilityState === "hidden") return;
    for (const message of this.#held.values()) this.#send(message);
    this.#held.clear();
    if (this.#socket) return;
    clearTimeout(this.#retryTimer);
    this.#open();
  };

  // An open socket would keep the page out of the browser's back-forward cache.
  #pause = () => {
    clearTimeout(this.#retryTimer);
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  };
}

/** Shows the banner when the connection stays away for longer than a blink. */
export function showConnection(live, banner) {
  let timer = 0;
  live.addEventListener("down", ({ detail }) => {
    banner.textContent = detail;
    clearTimeout(timer);
    timer = setTimeout(() => (banner.hidden = false), 1500);
  });
  live.addEventListener("up", () => {
    clearTimeout(timer);
    banner.hidden = true;
  });
}
