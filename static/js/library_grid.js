// The grid: as many clips as one likes in the list, few cards of them in the document.
//
// Every row is as high as every other, so what is not in the document is room above and below it,
// and the scroll bar never lies. What the list knows of a clip is its item {id, page, card}. Cards
// far from the window are let go of; their page, an address of the server's, brings them back.

import { hang, takeDown } from "./library_posters.js";

const AHEAD = 1; // windows of cards that are put into the document, above and below what is seen,
const BEHIND = 2; // and after how many they are taken out again
const FETCH_AHEAD = 4; // windows before an end at which more is fetched
const CARDS_KEPT = 480; // around what is looked at
const MOST_FETCHES = 3; // at a time
const MOST_ITEMS = 50_000; // where the list ends a link goes on
const AGAIN_MS = 4000; // after a page that could not be fetched

const NOTHING = { pages: [], next: "", previous: "", index: 0, offset: null };

export class Grid extends EventTarget {
  items = [];
  next = ""; // addresses of what follows and of what comes before; "" for nothing
  previous = "";
  #list;
  #fetch;
  #byId = new Map();
  #columns = 1;
  #row = 0; // height with its gap, pixels
  #width = 0;
  #window = [0, 0]; // rows in the document: from, to
  #dirty = true;
  #loading = new Set(); // pages, "next", "previous"
  #blocked = false; // for a moment, after a failure
  #generation = 0; // of the list: answers to an older one come too late
  #frame = 0;
  #skeletons = [];

  /** list: a <ul>. fetch(query): async, a part (library_pages.js). Events: shown (detail: cards new
   * in the document), changed (of the list's length or ends), counted (detail: how many clips more there are), failed (detail: the error). */
  constructor(list, { fetch }) {
    super();
    this.#list = list;
    this.#fetch = fetch;
    addEventListener("scroll", this.#soon, { passive: true });
    new ResizeObserver(() => this.#resized()).observe(list);
  }

  get columns() {
    return this.#columns;
  }

  /** Rows that fit into the window, at least one. */
  get rowsInSight() {
    return Math.max(1, Math.floor(innerHeight / (this.#row || innerHeight)));
  }

  /** Whether all that there is, and its number, is known. */
  get whole() {
    return !this.next && !this.previous;
  }

  has(id) {
    return this.#byId.has(id);
  }

  /** The card, in the document or kept beside it; null where it is not known now. */
  card(id) {
    return this.#byId.get(id)?.card ?? null;
  }

  indexOf(id) {
    const item = this.#byId.get(id);
    return item ? this.items.indexOf(item) : -1;
  }

  // --- The list ---

  /** Begins again with a part. query: its address. known: of an earlier visit, {pages: [[query,
   * count], …], next, previous, index, offset}: the part's first card stood at that index of those,
   * offset pixels below the window's top. */
  begin(part, query, known = null) {
    const { pages, next, previous, index, offset } = { ...NOTHING, ...known };
    this.#generation += 1;
    this.#loading.clear();
    this.#byId.clear();
    this.items = pages.flatMap(([query, count]) => {
      const page = { query };
      return Array.from({ length: count }, () => ({ id: null, page, card: null }));
    });
    const before = this.items.length;
    const own = { query };
    part.cards.forEach((card, at) => {
      this.items[index + at] ??= { id: null, page: own, card: null };
      this.#fill(this.items[index + at], card);
    });
    this.next = this.items.length > before ? part.next : next;
    this.previous = before ? previous : part.previous;
    const there = part.cards.filter((card) => this.#list.contains(card));
    this.#window = [0, 0];
    this.#measure();
    const rowOf = (at) => Math.ceil(at / this.#columns);
    if (there.length) this.#window = [rowOf(index), rowOf(index + there.length)];
    if (offset !== null) {
      this.#leaveRoom();
      this.reveal(index, { offset });
    } else this.update();
    const shown = there.filter((card) => card.isConnected);
    if (shown.length) this.dispatchEvent(new CustomEvent("shown", { detail: shown }));
    this.#changed();
  }

  /** [[query, count], …]: what begin takes when somebody comes back. */
  get pages() {
    const pages = [];
    let last = null;
    for (const { page } of this.items) {
      if (page === last) pages.at(-1)[1] += 1;
      else pages.push([page.query, 1]);
      last = page;
    }
    return pages;
  }

  /** Takes clips out, and what is looked at stays in place. Returns what putBack takes. */
  remove(ids) {
    const gone = [];
    this.#keeping(() => {
      for (const id of ids) {
        const index = this.indexOf(id);
        if (index < 0) continue;
        gone.push({ item: this.items[index], before: this.items[index + 1] ?? null });
        this.items.splice(index, 1);
        this.#byId.delete(id);
      }
    });
    this.#counted(-gone.length);
    return gone;
  }

  putBack(gone, ids) {
    const wanted = new Set(ids);
    const before = this.items.length;
    this.#keeping(() => {
      for (const { item, before } of gone.toReversed()) {
        if (!wanted.has(item.id) || this.#byId.has(item.id)) continue;
        const index = before ? this.items.indexOf(before) : this.items.length;
        this.items.splice(index < 0 ? this.items.length : index, 0, item);
        this.#byId.set(item.id, item);
      }
    });
    this.#counted(this.items.length - before);
  }

  #counted(by) {
    this.dispatchEvent(new CustomEvent("counted", { detail: by }));
  }

  #fill(item, card) {
    const { id } = card.dataset;
    const other = this.#byId.get(id);
    if (other && other !== item) this.items.splice(this.items.indexOf(other), 1);
    item.id = id;
    item.card = card;
    this.#byId.set(id, item);
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
  }

  // --- Sizes and places ---

  /** Of the columns and of one row, which must be in the document for that. */
  #measure() {
    this.#width = this.#list.clientWidth;
    const style = getComputedStyle(this.#list);
    this.#columns = style.gridTemplateColumns.split(" ").length;
    this.#dirty = true;
    if (!this.#list.firstElementChild) this.#show(0, 1);
    const first = this.#list.firstElementChild;
    this.#row = first ? first.getBoundingClientRect().height + Number.parseFloat(style.rowGap) : 0;
    this.#dirty = true;
  }

  #resized() {
    if (this.#list.clientWidth === this.#width) return;
    const anchor = this.anchor();
    this.#measure();
    this.#window = [0, 0];
    this.update();
    if (anchor) this.#return(anchor);
  }

  /** In place of the rows that are not in the document. */
  #leaveRoom() {
    const [from, to] = this.#window;
    const rows = Math.ceil(this.items.length / this.#columns);
    this.#list.style.setProperty("--before", `${from * this.#row}px`);
    this.#list.style.setProperty("--after", `${Math.max(0, rows - to) * this.#row}px`);
  }

  /** The first item that is wholly in sight, and how far below the window's top it begins. */
  anchor() {
    if (!this.#row || !this.items.length) return null;
    const { top } = this.#list.getBoundingClientRect();
    const row = Math.max(0, Math.ceil((this.#head - top) / this.#row - 0.1));
    const index = Math.min(row * this.#columns, this.items.length - 1);
    return { item: this.items[index], index, offset: top + this.#topOf(index) };
  }

  #topOf(index) {
    return Math.floor(index / this.#columns) * this.#row;
  }

  // What lies over the window's edges: said by CSS, which knows header and bars.
  get #head() {
    return Number.parseFloat(getComputedStyle(this.#list).scrollMarginTop) || 0;
  }

  get #foot() {
    return Number.parseFloat(getComputedStyle(this.#list).scrollMarginBottom) || 0;
  }

  #return({ item, offset }) {
    const index = this.items.indexOf(item);
    if (index >= 0) this.reveal(index, { offset });
  }

  /** Scrolls until the item is offset pixels below the window's top; without one only until it is
   * in sight. Its card is in the document then, or a skeleton for it. */
  reveal(index, { offset } = {}) {
    const top = this.#list.getBoundingClientRect().top + this.#topOf(index);
    const lowest = Math.max(this.#head, innerHeight - this.#row - this.#foot);
    const wanted = offset ?? Math.max(this.#head, Math.min(top, lowest));
    if (Math.abs(wanted - top) >= 0.5) scrollBy({ top: top - wanted, behavior: "instant" });
    this.update();
  }

  /** Changes the list; what is looked at stays where it is. */
  #keeping(change) {
    const anchor = this.anchor();
    const after = anchor ? this.items.slice(anchor.index) : [];
    change();
    this.#dirty = true;
    this.update();
    const left = new Set(this.items);
    const item = after.find((each) => left.has(each));
    if (item) this.#return({ item, offset: anchor.offset });
    this.#changed();
  }

  // --- What is in the document ---

  #soon = () => {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.update();
    });
  };

  update() {
    if (!this.items.length) {
      this.#show(0, 0);
      this.#load(0, 0); // a page may be empty, and have a next one
      return;
    }
    if (!this.#row) this.#measure();
    const above = -this.#list.getBoundingClientRect().top; // pixels of the list over the window
    const rows = Math.ceil(this.items.length / this.#columns);
    const [had, hadTo] = this.#window;
    const rowAt = (pixels, round) => Math.max(0, Math.min(rows, Math[round](pixels / this.#row)));
    const reach = (windows) => [
      rowAt(above - windows * innerHeight, "floor"),
      rowAt(above + (1 + windows) * innerHeight, "ceil"),
    ];
    const [[need, needTo], [may, mayTo]] = [reach(AHEAD), reach(BEHIND)];
    const from = Math.max(may, Math.min(had, need));
    const to = Math.min(mayTo, Math.max(hadTo, needTo));
    this.#show(from, to);
    this.#leaveRoom();
    const near = [above - FETCH_AHEAD * innerHeight, above + (1 + FETCH_AHEAD) * innerHeight];
    this.#load(...near.map((pixels) => pixels / this.#row));
  }

  #show(fromRow, toRow) {
    if (!this.#dirty && fromRow === this.#window[0] && toRow === this.#window[1]) return;
    this.#window = [fromRow, toRow];
    this.#dirty = false;
    const from = fromRow * this.#columns;
    const to = Math.min(toRow * this.#columns, this.items.length);
    let skeletons = 0;
    const wanted = this.items.slice(from, to).map(({ card }) => card ?? this.#skeleton(skeletons++));
    const keep = new Set(wanted);
    for (const child of [...this.#list.children]) {
      if (keep.has(child)) continue;
      takeDown(child);
      child.remove();
    }
    const fresh = [];
    let place = this.#list.firstElementChild;
    const size = `${this.whole ? this.items.length : -1}`;
    wanted.forEach((card, at) => {
      const position = `${from + at + 1}`;
      if (card.ariaPosInSet !== position) card.ariaPosInSet = position;
      if (card.ariaSetSize !== size) card.ariaSetSize = size;
      if (card === place) {
        place = place.nextElementSibling;
        return;
      }
      this.#list.insertBefore(card, place);
      hang(card);
      if (this.items[from + at].card) fresh.push(card);
    });
    this.#letGo(from, to);
    if (fresh.length) this.dispatchEvent(new CustomEvent("shown", { detail: fresh }));
  }

  #skeleton(number) {
    const blank = document.getElementById("clip-skeleton").content.firstElementChild;
    return (this.#skeletons[number] ??= blank.cloneNode(true));
  }

  #letGo(from, to) {
    const spare = Math.max(0, CARDS_KEPT - (to - from)) >> 1;
    const letGo = (item) => {
      const had = item?.card;
      if (had) item.card = null;
      return had;
    };
    for (let index = from - spare - 1; letGo(this.items[index]); index -= 1);
    for (let index = to + spare; letGo(this.items[index]); index += 1);
  }

  // --- What comes from the server ---

  #load(firstRow, lastRow) {
    if (this.#blocked) return;
    const from = Math.max(0, Math.floor(firstRow) * this.#columns);
    const to = Math.ceil(lastRow) * this.#columns;
    const pages = new Set();
    for (const item of this.items.slice(from, to)) if (!item.card) pages.add(item.page);
    for (const page of pages) this.#bring(page, page.query, (part) => this.#refill(page, part));
    const room = this.items.length < MOST_ITEMS;
    if (this.next && to >= this.items.length && room) {
      this.#bring("next", this.next, (part, query) => this.#grow(part, query));
    }
    if (this.previous && firstRow <= 0 && room) {
      this.#bring("previous", this.previous, (part, query) => this.#growAbove(part, query));
    }
  }

  async #bring(what, query, take) {
    if (this.#loading.has(what) || this.#loading.size >= MOST_FETCHES) return;
    this.#loading.add(what);
    const generation = this.#generation;
    try {
      const part = await this.#fetch(query);
      if (generation !== this.#generation) return;
      this.#loading.delete(what);
      take(part, query);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#loading.delete(what);
      this.#blocked = true;
      setTimeout(() => {
        this.#blocked = false;
        this.update();
      }, AGAIN_MS);
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
  }

  #grow(part, query) {
    // What came before those is from now on found by where they begin: new clips do not move it.
    const last = this.items.at(-1)?.page;
    if (last && last.query === "" && part.previous) last.query = part.previous;
    const page = { query };
    const fresh = part.cards.filter((card) => !this.has(card.dataset.id));
    for (const card of fresh) {
      const item = { id: null, page, card: null };
      this.items.push(item);
      this.#fill(item, card);
    }
    this.next = part.next;
    this.#dirty = true;
    this.update();
    this.#changed();
  }

  #growAbove(part, query) {
    const page = { query };
    const fresh = part.cards.filter((card) => !this.has(card.dataset.id));
    this.#keeping(() => {
      const items = fresh.map((card) => ({ id: null, page, card }));
      this.items.unshift(...items);
      for (const item of items) this.#fill(item, item.card);
      this.previous = part.previous;
    });
  }

  // A page again: of clips that are known by name those that are still there; else in their order.
  #refill(page, part) {
    const mine = this.items.filter((item) => item.page === page);
    const cards = new Map(part.cards.map((card) => [card.dataset.id, card]));
    const named = new Set(mine.map(({ id }) => id));
    const others = part.cards.filter(({ dataset: { id } }) => !named.has(id) && !this.has(id));
    const gone = [];
    for (const item of mine) {
      const card = item.id === null ? others.shift() : cards.get(item.id);
      if (!card) gone.push(item);
      else if (!item.card) this.#fill(item, card);
    }
    if (!gone.length) {
      this.#dirty = true;
      this.update();
      return;
    }
    this.#keeping(() => {
      const lost = new Set(gone);
      this.items = this.items.filter((item) => !lost.has(item));
      for (const { id } of gone) this.#byId.delete(id);
    });
  }
}
