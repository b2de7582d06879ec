// What happened to a job, line by line, in the words of jobs/story.py: its tables come with the page,
// and are filled in here by the same rules.

import { fillTimes } from "./times.js";

const MOST = 200; // lines, as the server's; a job has a dozen, one that was retried for days some hundred
const ENDS_A_JOB = new Set(["failed", "parked", "expired"]);

/** The parts whose values are all there, filled in. */
export function said(parts, values) {
  return parts.map((part) => filled(part, values)).join("");
}

function filled(part, values) {
  const named = [...part.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  if (named.some((name) => !values[name])) return "";
  return part.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A length of time; its smaller half is left out where nobody would miss it. */
export function span(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

export class History {
  #list;
  #tables;

  /** tables: {words, message, ends, from, advice}, as jobs/story.py has them. */
  constructor(list, tables) {
    this.#list = list;
    this.#tables = tables;
  }

  /** seq of the newest fact in it; 0 for none. */
  get newest() {
    return Number(this.#list.lastElementChild?.dataset.seq ?? 0);
  }

  add(fact) {
    const { kind, seq, attempt, at, data } = fact;
    const words = this.#tables.words[kind] ?? [kind];
    const item = element("li");
    Object.assign(item.dataset, { kind, seq, attempt });
    const head = element("div", "fact-head");
    const line = element(kind === "claimed" ? "h3" : "span");
    line.dataset.words = "";
    line.textContent = said([...words, this.#tables.message], { ...data, attempt });
    const time = element("time");
    time.dataset.clock = "";
    time.dateTime = at;
    head.append(line, " ", time);
    item.append(head);
    if (kind === "claimed") {
      const cameTo = element("p", "quiet");
      cameTo.dataset.cameTo = "";
      item.append(cameTo);
    }
    const advice = ENDS_A_JOB.has(kind) ? this.advice(data?.code) : "";
    if (advice) {
      const told = element("p", "quiet");
      told.textContent = advice;
      item.append(told);
    }
    this.#list.append(item);
    this.#tellAttempt(fact);
    fillTimes(item);
    while (this.#list.children.length > MOST) this.#list.firstElementChild.remove();
  }

  /** What to do about an error; empty where there is nothing to say. */
  advice(code = "") {
    const { advice } = this.#tables;
    return advice[code] ?? advice[`${code.split("_")[0]}_`] ?? "";
  }

  clear() {
    this.#list.replaceChildren();
  }

  // What an attempt came to stands beside its name.
  #tellAttempt({ kind, at, data }) {
    const { ends, from } = this.#tables;
    const claim = [...this.#list.querySelectorAll("[data-kind=claimed]")].at(-1);
    if (!claim || claim.dataset.ended) return;
    let told = kind === "resumed" ? said([from], data) : "";
    if (kind in ends) {
      const began = Date.parse(claim.querySelector("time").dateTime);
      const took = span(Math.floor((Date.parse(at) - began) / 1000));
      told = said([ends[kind]], { took });
      claim.dataset.ended = "yes";
    }
    const line = claim.querySelector("[data-came-to]");
    if (told) line.textContent = [line.textContent, told].filter(Boolean).join(" · ");
  }
}

function element(tag, classes = "") {
  const made = document.createElement(tag);
  made.className = classes;
  return made;
}
