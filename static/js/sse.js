// The same events as server-sent events, where WebSockets do not get through: the second transport
// (connection.js says what one is). One stream for each job, one for all of mine; previews are
// fetched when one is announced.

import { FINAL } from "./view.js";

const KINDS = ["snapshot", "fact", "tick", "place", "history"];
const ANSWER_MS = 10_000; // to the first answer, and for a preview
const AGAIN_MS = 8_000; // the browser opens a stream that ended again by itself, after 2 s
const SILENT_MS = 330_000; // the server ends every stream after 300 s; later it is dead
const DOUBTFUL_MS = 45_000; // what was silent so long is opened anew when in doubt
const LOST = 1006;
const SILENT = 4408;
const SIGNED_OUT = 4401;
const TOO_MANY = 4429;
const MINE = "mine";

// Over HTTP/1.1 a browser keeps 6 connections to a site for all its pages together, and a page
// that held them all could load nothing more.
function mostJobs() {
  const [navigation] = performance.getEntriesByType("navigation");
  return navigation?.nextHopProtocol.startsWith("http/1") ? 1 : 4;
}

export class EventStreams {
  name = "sse";
  #sink;
  #heard = false;
  #closed = false;
  #most = mostJobs();
  #streams = new Map(); // job or MINE → Stream
  #waiting = new Map(); // job → after, of those that found no place

  constructor(sink) {
    this.#sink = sink;
    queueMicrotask(() => this.#closed || sink.ready());
  }

  subscribe(job, after) {
    if (this.#streams.has(job)) return;
    if (this.#streams.size - this.#streams.has(MINE) >= this.#most) this.#waiting.set(job, after);
    else this.#open(job, `/api/v1/jobs/${job}/events?after=${after}`);
  }

  unsubscribe(job) {
    this.#waiting.delete(job);
    this.#streams.get(job)?.close();
    if (!this.#streams.delete(job) || this.#waiting.size === 0) return;
    const [next, after] = this.#waiting.entries().next().value;
    this.#waiting.delete(next);
    this.subscribe(next, after);
  }

  subscribeMine() {
    if (!this.#streams.has(MINE)) this.#open(MINE, "/api/v1/events");
  }

  ack({ job }) {
    this.#streams.get(job)?.drawn();
  }

  /** A stream cannot be asked whether it lives; one that was silent for long is opened anew. */
  probe() {
    const now = performance.now();
    const doubtful = [...this.#streams.values()].some(({ at }) => now - at > DOUBTFUL_MS);
    if (doubtful) this.#end(SILENT);
  }

  /** Without a word to the sink. */
  close() {
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#waiting.clear();
  }

  #open(name, url) {
    const stream = new Stream(url, {
      heard: () => this.#hear(),
      message: (message) => this.#take(message),
      preview: (buffer) => this.#sink.preview(buffer),
      lost: () => this.#end(LOST),
      refused: () => this.#askWhy(name),
    });
    this.#streams.set(name, stream);
  }

  #take(message) {
    if (message.type === "refused" && !message.job) this.#end(TOO_MANY);
    else this.#sink.message(message);
  }

  #hear() {
    if (this.#heard) return;
    this.#heard = true;
    this.#sink.heard();
  }

  // A stream that the server refused, or ended for good, does not say why.
  async #askWhy(name) {
    const job = name === MINE ? null : name;
    let answer;
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      answer = await fetch(job ? `/api/v1/jobs/${job}` : "/api/v1/jobs?limit=1", { signal });
    } catch {
      return this.#end(LOST); // the network went away meanwhile
    }
    if (this.#closed) return;
    if (answer.status === 401 || answer.status === 403) return this.#end(SIGNED_OUT);
    if (job && answer.status === 404) {
      this.unsubscribe(job);
      return this.#sink.message({ type: "refused", job, status: 404 });
    }
    if (!job || !answer.ok) return this.#end(LOST);
    const snapshot = await answer.json();
    if (this.#closed) return;
    if (!FINAL.has(snapshot.state)) return this.#end(LOST);
    this.#hear();
    this.unsubscribe(job);
    this.#sink.message({ type: "snapshot", job: snapshot });
  }

  #end(code) {
    if (this.#closed) return;
    this.close();
    this.#sink.ended(code);
  }
}

class Stream {
  at = performance.now(); // of the last sign of life
  #source;
  #listener;
  #opened = false;
  #deadline = 0; // timer
  #due = null; // address of a preview that was announced and not fetched
  #busy = false; // one is being fetched or drawn

  constructor(url, listener) {
    this.#listener = listener;
    this.#source = new EventSource(url);
    this.#source.onopen = () => this.#live();
    this.#source.onerror = () => this.#stumbled();
    for (const kind of KINDS) this.#source.addEventListener(kind, this.#received);
    this.#source.addEventListener("preview", this.#announced);
    this.#expectWithin(ANSWER_MS);
  }

  drawn() {
    this.#busy = false;
    this.#fetchNewest();
  }

  close() {
    clearTimeout(this.#deadline);
    this.#source.onopen = this.#source.onerror = null;
    this.#source.close();
  }

  #live() {
    this.at = performance.now();
    this.#opened = true;
    this.#expectWithin(SILENT_MS);
    this.#listener.heard();
  }

  #received = ({ data }) => {
    this.#live();
    this.#listener.message(JSON.parse(data));
  };

  #announced = ({ data }) => {
    this.#live();
    this.#due = JSON.parse(data);
    this.#fetchNewest();
  };

  async #fetchNewest() {
    if (this.#busy || !this.#due) return;
    const { job } = this.#due;
    this.#due = null;
    this.#busy = true; // until drawn() says otherwise
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await fetch(`/api/v1/jobs/${job}/preview`, { signal });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const preview = await answer.arrayBuffer();
      if (this.#source.readyState !== EventSource.CLOSED) this.#listener.preview(preview);
    } catch (error) {
      console.debug(`a preview did not come: ${error.message}`); // the next one is announced soon
      this.#busy = false;
    }
  }

  #stumbled() {
    if (this.#source.readyState === EventSource.CLOSED) {
      clearTimeout(this.#deadline);
      this.#listener.refused();
    } else if (this.#opened) this.#expectWithin(AGAIN_MS);
    else this.#listener.lost(); // the back-off of the connection is better than the browser's
  }

  #expectWithin(ms) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#listener.lost(), ms);
  }
}
