// The prompt: it grows with its text, and is filled by examples, recent prompts and words.

import { toast } from "./toast.js";

const MOST_RECENT = 8; // jobs/making.py
const grows = CSS.supports("field-sizing", "content"); // by the sheet alone

function chip(text, kind) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.dataset[kind] = "";
  button.textContent = text;
  return button;
}

function wordRow({ part, words: choices }) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const choice = document.createElement("dd");
  term.textContent = part;
  choice.append(...choices.map((text) => chip(text, "word")));
  row.append(term, choice);
  return row;
}

export class Prompt {
  #box;
  #recent = document.getElementById("recent");
  #list = document.getElementById("recent-prompts");
  #words = document.getElementById("words");

  constructor(box) {
    this.#box = box;
    box.setSelectionRange(box.value.length, box.value.length); // words go to the end
    box.addEventListener("input", () => this.measure());
    document.addEventListener("click", ({ target }) => {
      const chosen = target.closest("[data-example], [data-recent]");
      if (chosen) this.#replace(chosen.textContent);
      if (!target.closest("#recent") || chosen) this.#recent.open = false;
    });
    this.#words.addEventListener("click", (event) => this.#addWord(event));
    this.#recent.addEventListener("keydown", (event) => this.#walk(event));
  }

  get text() {
    return this.#box.value;
  }

  set text(value) {
    this.#box.value = value;
    this.measure();
  }

  followModel({ limits, understands, examples, words }) {
    this.#box.maxLength = limits.max_prompt_chars;
    this.#box.placeholder = examples[0] ?? "Describe one scene";
    document.getElementById("understands").textContent = understands;
    const several = examples.map((text) => chip(text, "example"));
    document.getElementById("examples").replaceChildren(...several);
    const cards = document.querySelectorAll(".first-card");
    for (const [at, card] of cards.entries()) {
      card.textContent = examples[at] ?? "";
      card.parentElement.hidden = at >= examples.length;
    }
    this.#words.replaceChildren(...words.map(wordRow));
    this.#words.hidden = words.length === 0;
    this.measure();
  }

  measure() {
    const { value, maxLength } = this.#box;
    document.getElementById("prompt-count").textContent = `${value.length} / ${maxLength}`;
    if (grows) return;
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }

  /** The newest is on top, and none stands twice. */
  remember(prompt) {
    for (const each of [...this.#list.children]) if (each.textContent.trim() === prompt) each.remove();
    const item = document.createElement("li");
    const button = chip(prompt, "recent");
    button.className = "plain";
    item.append(button);
    this.#list.prepend(item);
    while (this.#list.children.length > MOST_RECENT) this.#list.lastElementChild.remove();
    this.#recent.hidden = false;
  }

  #changed() {
    this.#box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #replace(text) {
    const before = this.#box.value;
    this.#box.value = text;
    this.#changed();
    this.#box.focus();
    if (before.trim() === "" || before === text) return;
    const back = () => {
      this.#box.value = before;
      this.#changed();
      this.#box.focus();
    };
    toast("Your prompt was replaced.", { kind: "info", action: { words: "Undo", act: back } });
  }

  // At the cursor, in place of what is selected, with a space where another word touches it.
  #insert(word) {
    const { value, selectionStart, selectionEnd, maxLength } = this.#box;
    const [before, after] = [value.slice(0, selectionStart), value.slice(selectionEnd)];
    const text = (/\S$/.test(before) ? " " : "") + word + (/^\S/.test(after) ? " " : "");
    const fits = before.length + text.length + after.length <= maxLength;
    if (fits) this.#box.setRangeText(text, selectionStart, selectionEnd, "end");
    return fits;
  }

  #addWord({ target, detail }) {
    const chosen = target.closest("[data-word]");
    if (!chosen) return;
    const word = chosen.textContent;
    const fits = this.#insert(word);
    document.getElementById("announce").textContent =
      fits ? `Added: ${word}` : `The prompt is full; ${word} does not fit.`;
    this.#changed();
    // By keyboard (detail 0) or finger one goes on to the next word; a mouse may go back to typing.
    if (detail > 0 && matchMedia("(pointer: fine)").matches) this.#box.focus();
  }

  // Up and down through the list, Escape out of it.
  #walk(event) {
    const buttons = [...this.#list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && this.#recent.open) {
      this.#recent.open = false;
      this.#recent.querySelector("summary").focus();
    } else if (step) {
      this.#recent.open = true;
      buttons[Math.max(0, Math.min(buttons.length - 1, at + step))].focus();
    } else return;
    event.preventDefault();
  }
}
