// One WebSocket to /ws/, the better of the two transports (connection.js says what one is).

import { addressOf } from "./preview.js";

const PING_MS = 25_000; // the server closes a viewer that was silent for 90 s
const ANSWER_MS = 10_000; // a proxy that swallows upgrades would leave us waiting for ever
const PROBE_MS = 5_000;
const ACK_MS = 250; // an acknowledgement waits for a second preview, and answers for both
const LOST = 1006; // as browsers report a connection that went without a word

const same = (one, other) =>
  one.job === other.job && one.attempt === other.attempt && one.step === other.step;

export class Socket {
  name = "socket";
  #socket;
  #sink;
  #heard = false;
  #previews = []; // addresses of what came and was not acknowledged, at most two
  #drawn = 0; // of them, from the first on
  #acks = 0; // timer
  #pings = 0; // timer
  #deadline = 0; // timer

  constructor(sink) {
    const url = new URL("/ws/", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#sink = sink;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = ({ data }) => this.#received(data);
    this.#socket.onclose = ({ code }) => this.#end(code);
    this.#expectWithin(ANSWER_MS);
  }

  subscribe(job, after) {
    this.#send({ type: "subscribe", job, after });
  }

  unsubscribe(job) {
    this.#send({ type: "unsubscribe", job });
  }

  subscribeMine() {
    this.#send({ type: "subscribe", mine: true });
  }

  ack(address) {
    const at = this.#previews.findIndex((preview) => same(preview, address));
    this.#drawn = Math.max(this.#drawn, at + 1);
    if (this.#drawn > 1) this.#acknowledge();
    else if (this.#drawn) this.#acks ||= setTimeout(() => this.#acknowledge(), ACK_MS);
  }

  /** After a sleep, say: whether somebody is there. Waiting for TCP to notice takes minutes. */
  probe() {
    this.#ping(PROBE_MS);
  }

  /** Without a word to the sink. */
  close() {
    clearInterval(this.#pings);
    clearTimeout(this.#acks);
    clearTimeout(this.#deadline);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  #opened() {
    this.#sink.ready();
    this.#ping(ANSWER_MS); // so that something answers, also where nothing is subscribed to
    this.#pings = setInterval(() => this.#ping(ANSWER_MS), PING_MS);
  }

  // Answers for all that came before it, too.
  #acknowledge() {
    clearTimeout(this.#acks);
    this.#acks = 0;
    const { job, attempt, step } = this.#previews[this.#drawn - 1];
    this.#previews.splice(0, this.#drawn);
    this.#drawn = 0;
    this.#send({ type: "ack", job, attempt, step });
  }

  #ping(ms) {
    if (this.#socket.readyState !== WebSocket.OPEN) return; // the deadline of the opening runs
    this.#send({ type: "ping" });
    this.#expectWithin(ms);
  }

  #expectWithin(ms) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end(LOST), ms);
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #received(data) {
    clearTimeout(this.#deadline);
    if (!this.#heard) {
      this.#heard = true;
      this.#sink.heard();
    }
    if (data instanceof ArrayBuffer) {
      this.#previews.push(addressOf(data));
      this.#sink.preview(data);
      return;
    }
    const message = JSON.parse(data);
    // The server holds its text back until this comes.
    if (message.type === "ping") this.#send({ type: "pong", n: message.n });
    else if (message.type !== "pong") this.#sink.message(message);
  }

  #end(code) {
    this.close();
    this.#sink.ended(code);
  }
}
