// Which clips are selected: by their boxes, by Shift for all between, by a long press.

export const MOST_SELECTED = 200; // what one verb takes
const PRESS_MS = 450; // a finger that rests selects
const PRESS_PX = 10; // and may tremble by so much

/** Event: changed. */
export class Selection extends EventTarget {
  ids = new Set();
  #grid;
  #list;
  #from = null; // where a range begins: id

  constructor(list, grid) {
    super();
    this.#grid = grid;
    this.#list = list;
    list.addEventListener("click", this.#clicked);
    this.#pressing();
    grid.addEventListener("shown", ({ detail: cards }) => cards.forEach((card) => this.#mark(card)));
  }

  get size() {
    return this.ids.size;
  }

  /** Those selected, else the one: what a letter acts on. */
  or(id) {
    return this.size ? [...this.ids] : id ? [id] : [];
  }

  /** Returns whether all found room. */
  set(ids, on) {
    let fits = true;
    for (const id of ids) {
      if (!on) this.ids.delete(id);
      else if (this.size < MOST_SELECTED) this.ids.add(id);
      else fits = fits && this.ids.has(id);
      const card = this.#grid.card(id);
      if (card) this.#mark(card);
    }
    this.#list.closest("main").toggleAttribute("data-selecting", this.size > 0);
    this.dispatchEvent(new CustomEvent("changed", { detail: { fits } }));
    return fits;
  }

  toggle(id, { range = false } = {}) {
    const on = !this.ids.has(id);
    const ids = range ? this.#between(this.#from, id) : [id];
    this.#from = id;
    this.set(ids, range || on);
  }

  all() {
    this.set(this.#grid.items.flatMap(({ id }) => (id ? [id] : [])), true);
  }

  clear() {
    this.set([...this.ids], false);
  }

  #between(one, other) {
    const [from, to] = [one, other].map((id) => this.#grid.indexOf(id)).sort((a, b) => a - b);
    if (from < 0) return [other];
    return this.#grid.items.slice(from, to + 1).flatMap(({ id }) => (id ? [id] : []));
  }

  #mark(card) {
    const on = this.ids.has(card.dataset.id);
    card.toggleAttribute("data-selected", on);
    card.querySelector("[name=job]").checked = on;
  }

  // While something is selected a click selects: Enter and the other keys open as ever.
  #clicked = (event) => {
    const card = event.target.closest("[data-clip]");
    if (!card) return;
    const { id } = card.dataset;
    if (event.target.matches("[name=job]")) this.toggle(id, { range: event.shiftKey });
    else if (event.target.closest("label")) return; // its box gets a click of its own
    else if (event.target.closest(".clip-link, .clip-words") && this.size && event.detail > 0) {
      if (event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.toggle(id, { range: event.shiftKey });
    }
  };

  #pressing() {
    let timer = 0;
    let start = null;
    let selected = false;
    const end = () => clearTimeout(timer);
    this.#list.addEventListener("pointerdown", (event) => {
      const card = event.pointerType === "touch" && event.target.closest("[data-clip]");
      selected = false;
      if (!card || event.target.closest("button, label")) return;
      start = event;
      timer = setTimeout(() => {
        selected = true;
        this.toggle(card.dataset.id);
        navigator.vibrate?.(10);
      }, PRESS_MS);
    });
    this.#list.addEventListener("pointermove", (event) => {
      if (start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > PRESS_PX) end();
    });
    for (const type of ["pointerup", "pointercancel"]) addEventListener(type, end);
    // A long press is neither a click nor a menu.
    this.#list.addEventListener("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
    this.#list.addEventListener(
      "click",
      (event) => {
        if (!selected) return;
        selected = false;
        event.preventDefault();
        event.stopPropagation();
      },
      { capture: true },
    );
  }
}
