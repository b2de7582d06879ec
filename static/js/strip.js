// The live strip: what is being made, in the order in which it will be done, and what was made last.

import { Card, isUnfinished } from "./card.js";

const MOST_MAKING = 80; // jobs/making.py shows 50 of one's own and 30 of others
const MOST_MADE = 8;
const LINES = 6; // of the queue, until somebody unfolds it
const SHOWN_ENDS = new Set(["succeeded", "failed", "parked", "expired"]);

const at = (id) => document.getElementById(id);
const time = (text) => (text ? Date.parse(text) : Infinity);
const ended = (view) => time(view.finished_at);

// Those that run in the order they began, then those that wait in the order of the queue.
function turn(one, other) {
  if (one.state !== other.state) return one.state === "running" ? -1 : 1;
  if (one.state === "running") return time(one.started_at) - time(other.started_at);
  const places = (one.place ?? Infinity) - (other.place ?? Infinity);
  return places || time(one.created_at) - time(other.created_at);
}

// The focus stays where it is, though its card is moved.
function put(list, element, before) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  list.insertBefore(element, before);
  focused?.focus({ preventScroll: true });
}

export class Strip {
  views = new Map(); // job → what is known of it
  #cards = new Map(); // job → Card
  #sending = []; // cards of what is on its way to the server
  #making = at("making");
  #made = at("made");
  #template = at("job-row");
  #me = at("strip").dataset;
  #unfolded = false;
  #more = 0; // unfinished ones of mine that are not here
  #frame = 0;
  #equip;
  #forgot;

  /** equip(card) is called for each that comes; forgot(job) for each that goes. */
  constructor({ equip, forgot }) {
    this.#equip = equip;
    this.#forgot = forgot;
    at("unfold").addEventListener("click", () => {
      this.#unfolded = !this.#unfolded;
      this.#arrange();
    });
  }

  /** jobs: those that the server wrote into the page. */
  begin(jobs, more) {
    this.#more = more;
    for (const view of jobs) {
      const card = new Card(document.querySelector(`[data-job-id="${CSS.escape(view.id)}"]`));
      this.#take(card, view);
    }
    this.#arrange();
  }

  cardOf(job) {
    return this.#cards.get(job);
  }

  *unfinished() {
    for (const view of this.views.values()) if (isUnfinished(view)) yield view;
  }

  set more(count) {
    this.#more = count;
    this.#arrangeSoon();
  }

  /** Whether it is shown: of the workspace, and unfinished, or among the newest that ended. */
  offer(view) {
    if (view.workspace !== this.#me.workspace) return false; // one's own, made somewhere else
    if (isUnfinished(view) ? [...this.unfinished()].length >= MOST_MAKING : !this.#isNew(view)) return false;
    const card = Card.made(this.#template, { ...view });
    card.belongsTo(view, { me: this.#me.me, manages: this.#me.manages === "true" });
    this.#take(card, view);
    this.#arrangeSoon();
    return true;
  }

  #isNew(view) {
    if (!SHOWN_ENDS.has(view.state)) return false;
    const ends = [...this.views.values()].filter((each) => !isUnfinished(each)).map(ended);
    return ends.length < MOST_MADE || ended(view) > Math.min(...ends);
  }

  #take(card, view) {
    this.#cards.set(view.id, card);
    this.views.set(view.id, view);
    card.show(view);
    this.#equip(card);
  }

  become(job, next) {
    const before = this.views.get(job);
    if (before === next) return;
    if (next.eta_seconds === undefined) next.eta_seconds = before.eta_seconds;
    this.views.set(job, next);
    this.#cards.get(job).show(next);
    if (next.state === "cancelled") this.drop(job);
    else if (before.state !== next.state || before.place !== next.place) this.#arrangeSoon();
  }

  drop(job) {
    const card = this.#cards.get(job);
    if (!card) return;
    if (card.element.contains(document.activeElement)) this.#focusNear(card.element);
    this.#forgot(card);
    this.#cards.delete(job);
    this.views.delete(job);
    card.element.remove();
    this.#arrangeSoon();
  }

  #focusNear(element) {
    const near = element.nextElementSibling ?? element.previousElementSibling;
    (near?.querySelector("[data-link]") ?? document.querySelector("#composer textarea")).focus();
  }

  /** Cards for what is on its way: {arrived(jobs), failed()}. */
  expect(prompt, count) {
    const cards = Array.from({ length: count }, () => {
      const card = Card.made(this.#template, { prompt, state: "sending" });
      card.send();
      return card;
    });
    this.#sending.push(...cards);
    this.#arrange();
    const settle = () => {
      for (const card of cards) card.element.remove();
      this.#sending = this.#sending.filter((card) => !cards.includes(card));
    };
    return {
      arrived: (jobs) => {
        settle();
        for (const view of jobs) if (!this.views.has(view.id)) this.offer(view);
        this.#arrange();
      },
      failed: () => {
        settle();
        this.#arrange();
      },
    };
  }

  #arrangeSoon() {
    this.#frame ||= requestAnimationFrame(() => this.#arrange());
  }

  #arrange() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const unfinished = [...this.unfinished()].sort(turn);
    const done = [...this.views.values()].filter((view) => !isUnfinished(view));
    done.sort((one, other) => ended(other) - ended(one));
    for (const view of done.slice(MOST_MADE)) this.drop(view.id);
    const making = [...unfinished.map(({ id }) => this.#cards.get(id)), ...this.#sending];
    this.#order(this.#making, making);
    this.#order(this.#made, done.slice(0, MOST_MADE).map(({ id }) => this.#cards.get(id)));
    this.#fold(making);
    this.#count(unfinished.length + this.#sending.length);
    at("making-part").hidden = making.length === 0;
    at("made-part").hidden = done.length === 0;
    if (making.length + done.length > 0) at("first-time").hidden = true;
  }

  #order(list, cards) {
    for (const [place, { element }] of cards.entries()) {
      const there = list.children[place] ?? null;
      if (there !== element) put(list, element, there);
    }
  }

  #fold(cards) {
    const lines = cards.filter(({ element }) => element.dataset.state !== "running");
    for (const [place, { element }] of lines.entries()) {
      element.hidden = !this.#unfolded && place >= LINES && element.dataset.state !== "sending";
    }
    const button = at("unfold");
    button.hidden = lines.length <= LINES;
    button.ariaExpanded = String(this.#unfolded);
    button.textContent = this.#unfolded ? "Show fewer" : `Show ${lines.length - LINES} more`;
  }

  #count(here) {
    at("making-count").textContent = here + this.#more;
    const more = at("more");
    more.hidden = this.#more === 0;
    more.textContent = this.#more >= 950 ? "and many more of yours" : `and ${this.#more} more of yours`;
  }
}
