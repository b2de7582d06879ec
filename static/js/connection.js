// Keeps one transport open, whatever happens to the network, the server, the laptop and the page.
//
// A transport (socket.js, sse.js) has a name and subscribe(job, after), unsubscribe(job),
// subscribeMine(), ack(address), probe(), close(). It tells its sink: ready() when it takes
// subscriptions, heard() at the first sign of the server, message(object), preview(buffer), and
// ended(code) once, the code being one of a WebSocket.
//
// Event: state, also kept in .state: {name, …} with the names
//   connecting {again}      the first time, or again after a break
//   live {over}             by "socket" or "sse"
//   waiting {until, words}  for the next try, at Date.now() = until
//   offline {until}         the same, and the browser says that there is no network
//   stopped {words, reload} nothing more will come

import { signInAgain } from "./sign_in.js";
import { EventStreams } from "./sse.js";
import { Socket } from "./socket.js";
import { onWake } from "./wake.js";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
const STABLE_MS = 10_000; // what lived shorter than that was no success: the back-off goes on
const MOST_UNHEARD = 2; // sockets in a row that brought nothing, before the fallback is tried;
const MOST_UNHEARD_AGAIN = 6; // where one worked before: most likely the server is away
const BETTER_MS = 300_000; // between two tries to come back from the fallback
const BETTER_SOON_MS = 15_000; // where one worked before
const LOST = 1006; // as browsers report a connection that went, or never came, without a word
const CROWDED = { first: 60_000, last: 300_000 };
const OUT_OF_DATE = { stop: "This page is out of date. Reload it.", reload: true };

const ENDS = {
  4400: OUT_OF_DATE, // the same message again would be refused again
  4401: { signIn: true },
  4403: { stop: "This account was closed." },
  4408: { atOnce: true }, // we were silent: asleep, most likely
  4410: { atOnce: true }, // rights changed: they are looked up again as we open
  4413: OUT_OF_DATE,
  4428: { first: 20_000 },
  4503: { first: 20_000, last: 60_000, words: "The site is closed for a while." },
  4429: { ...CROWDED, words: "Too many of your pages are open at once. Close some." },
};

export class Connection extends EventTarget {
  state = { name: "connecting", again: false };
  #listener;
  #transport = null;
  #better = null; // a socket that is tried while the fallback serves
  #heard = false; // by the transport of now
  #worked = false; // a socket did, on this page
  #unheard = 0; // transports in a row that brought nothing
  #failures = 0;
  #timers = { retry: 0, stable: 0, better: 0 };
  #stopWake = null; // while it runs

  /** listener: ready(transport), message(object), preview(buffer, transport). */
  constructor(listener) {
    super();
    this.#listener = listener;
  }

  get transport() {
    return this.#transport;
  }

  get #mostUnheard() {
    return this.#worked ? MOST_UNHEARD_AGAIN : MOST_UNHEARD;
  }

  start() {
    if (this.#stopWake) return;
    this.#stopWake = onWake(this.#hurry);
    addEventListener("online", this.#cameOnline);
    addEventListener("offline", this.#doubt);
    addEventListener("pageshow", this.#shown);
    addEventListener("pagehide", this.#pause);
    document.addEventListener("visibilitychange", this.#looked);
    document.addEventListener("freeze", this.#pause);
    document.addEventListener("resume", this.#hurry);
    this.#open();
  }

  stop() {
    if (!this.#stopWake) return;
    this.#stopWake();
    this.#stopWake = null;
    removeEventListener("online", this.#cameOnline);
    removeEventListener("offline", this.#doubt);
    removeEventListener("pageshow", this.#shown);
    removeEventListener("pagehide", this.#pause);
    document.removeEventListener("visibilitychange", this.#looked);
    document.removeEventListener("freeze", this.#pause);
    document.removeEventListener("resume", this.#hurry);
    this.#pause();
  }

  tryNow() {
    if (this.#stopWake && !this.#transport) this.#open();
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #open() {
    clearTimeout(this.#timers.retry);
    this.#heard = false;
    const over = this.#unheard - this.#mostUnheard;
    this.#transport = this.#make(over >= 0 && over % 2 === 0 ? EventStreams : Socket);
    this.#become({ name: "connecting", again: this.#failures > 0 });
  }

  #make(Transport) {
    const current = () => transport === this.#transport;
    const transport = new Transport({
      ready: () => current() && this.#listener.ready(transport),
      heard: () => this.#hear(transport),
      message: (message) => current() && this.#listener.message(message),
      preview: (buffer) => current() && this.#listener.preview(buffer, transport),
      ended: (code) => this.#ended(transport, code),
    });
    return transport;
  }

  #hear(transport) {
    if (transport === this.#better) {
      this.#better = null;
      this.#transport?.close();
      this.#transport = transport;
      this.#listener.ready(transport);
    }
    if (transport !== this.#transport) return;
    const over = transport.name;
    this.#heard = true;
    this.#unheard = 0;
    if (over === "socket") this.#worked = true;
    else this.#tryBetter(this.#worked ? BETTER_SOON_MS : BETTER_MS);
    clearTimeout(this.#timers.stable);
    this.#timers.stable = setTimeout(() => (this.#failures = 0), STABLE_MS);
    this.#become({ name: "live", over });
  }

  #tryBetter(ms) {
    clearTimeout(this.#timers.better);
    this.#timers.better = setTimeout(() => {
      if (this.#transport?.name === "sse") this.#better ??= this.#make(Socket);
    }, ms);
  }

  #ended(transport, code) {
    if (transport === this.#better) {
      this.#better = null;
      this.#tryBetter(BETTER_MS);
    }
    if (transport !== this.#transport) return;
    this.#drop();
    // A site that gives a reason was reached. A fallback that served is the first to be tried again.
    if (!this.#heard && code === LOST) this.#unheard += 1;
    else if (this.#heard && transport.name === "sse") this.#unheard = this.#mostUnheard;
    const end = ENDS[code] ?? {};
    if (end.signIn) this.#signIn();
    else if (end.stop) {
      this.stop();
      this.#become({ name: "stopped", words: end.stop, reload: end.reload ?? false });
    } else this.#retry(end);
  }

  #retry({ first = FIRST_RETRY_MS, last = LAST_RETRY_MS, atOnce = false, words = "" }) {
    const offline = !navigator.onLine;
    const most = offline ? last : Math.min(last, first * 2 ** this.#failures);
    const ms = atOnce && this.#failures === 0 ? 0 : most * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#timers.retry = setTimeout(() => this.#open(), ms);
    this.#become({ name: offline ? "offline" : "waiting", until: Date.now() + ms, words });
  }

  #signIn() {
    this.stop();
    signInAgain();
  }

  #drop() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#transport?.close();
    this.#better?.close();
    this.#transport = this.#better = null;
  }

  // An open connection would keep the page out of the browser's back-forward cache, and a frozen
  // page answers nothing.
  #pause = () => this.#drop();

  // Whoever comes back does not wait for the back-off; what seems to live may be long dead.
  #hurry = () => {
    if (this.#transport) this.#transport.probe();
    else this.#open();
  };

  #doubt = () => this.#transport?.probe();

  #cameOnline = () => {
    this.#hurry(); // which may have given the transport up
    this.#tryBetter(0);
  };

  #looked = () => document.visibilityState === "visible" && this.#hurry();

  #shown = ({ persisted }) => persisted && this.#hurry();
}
