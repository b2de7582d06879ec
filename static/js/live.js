// What a page sees of the live side: it watches jobs, and every event comes once and in order,
// over whichever transport gets through. The protocol: docs/reference/live.md.
//
// Events (CustomEvent, detail = the message): snapshot, fact, tick, place, refused, history;
// fresh when a new connection begins to tell everything again; state (see connection.js).

import { Connection } from "./connection.js";
import { addressOf, parsePreview } from "./preview.js";

export class Live extends EventTarget {
  #connection;
  #draw;
  #watched = new Map(); // job → the newest seq seen
  #mine = false;
  #held = []; // acknowledgements that wait until somebody looks: [transport, address]

  /** draw: async, shows a parsed preview; the next one comes when it is done. */
  constructor({ draw }) {
    super();
    this.#draw = draw;
    this.#connection = new Connection({
      ready: (transport) => this.#resume(transport),
      message: (message) => this.#received(message),
      preview: (buffer, transport) => this.#show(buffer, transport),
    });
    this.#connection.addEventListener("state", () => this.#emit("state", this.state));
  }

  get state() {
    return this.#connection.state;
  }

  start() {
    document.addEventListener("visibilitychange", this.#looked);
    this.#connection.start();
  }

  stop() {
    document.removeEventListener("visibilitychange", this.#looked);
    this.#connection.stop();
    this.#held = [];
  }

  tryNow() {
    this.#connection.tryNow();
  }

  watch(job, after = 0) {
    if (this.#watched.has(job)) return;
    this.#watched.set(job, after);
    this.#connection.transport?.subscribe(job, after);
  }

  unwatch(job) {
    if (this.#watched.delete(job)) this.#connection.transport?.unsubscribe(job);
  }

  watchMine() {
    this.#mine = true;
    this.#connection.transport?.subscribeMine();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #resume(transport) {
    this.#held = []; // a new connection has its own credit
    this.#emit("fresh");
    if (this.#mine) transport.subscribeMine();
    for (const [job, after] of this.#watched) transport.subscribe(job, after);
  }

  #received(message) {
    const { type, job } = message;
    if (type === "fact") {
      const seen = this.#watched.get(job);
      if (seen === undefined || message.seq <= seen) return; // shown already, before the break
      this.#watched.set(job, message.seq);
    } else if (type === "history") {
      if (this.#watched.has(job)) this.#watched.set(job, message.first - 1);
    } else if (type === "refused") this.#watched.delete(job);
    this.#emit(type, message);
  }

  // Two previews that nobody acknowledged, and no more would ever come: hence finally.
  async #show(buffer, transport) {
    const address = addressOf(buffer);
    try {
      await this.#draw(parsePreview(buffer));
    } catch (error) {
      console.warn(`a preview could not be drawn: ${error.message}`); // the next one replaces it
    } finally {
      if (document.visibilityState === "hidden") this.#held.push([transport, address]);
      else this.#ack(transport, address);
    }
  }

  #ack(transport, address) {
    if (transport === this.#connection.transport) transport.ack(address);
  }

  #looked = () => {
    if (document.visibilityState === "hidden") return;
    for (const [transport, address] of this.#held.splice(0)) this.#ack(transport, address);
  };
}
