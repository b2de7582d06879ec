// The keyboard in the grid: one clip has the focus, arrows move it, and letters act on it.

const CONTROLS = "a, button, input";

/** Returns {focus(id), focused, on(key, act)}. */
export function enableKeys({ grid, list, selection }) {
  const acts = new Map();
  let current = null; // id

  // One stop for Tab: the controls of one card. The others are reached by arrows.
  function stopAt(card) {
    for (const each of list.querySelectorAll("[data-stop]")) {
      if (each !== card) unstop(each);
    }
    if (!card) return;
    card.dataset.stop = "";
    for (const control of card.querySelectorAll(CONTROLS)) control.tabIndex = 0;
  }

  function unstop(card) {
    delete card.dataset.stop;
    for (const control of card.querySelectorAll(CONTROLS)) control.tabIndex = -1;
  }

  function settle() {
    const card = current && grid.card(current);
    stopAt(card?.isConnected ? card : list.querySelector("[data-clip]"));
  }

  /** Brings the clip into sight and gives it the focus; quietly: where it is. */
  function focus(id, { quietly = false } = {}) {
    const index = grid.indexOf(id);
    if (index < 0) return false;
    current = id;
    if (!quietly) grid.reveal(index);
    const card = grid.card(id);
    if (!card?.isConnected) return false;
    settle();
    card.querySelector(".clip-link").focus({ preventScroll: true });
    return true;
  }

  function move(index) {
    const at = Math.max(0, Math.min(grid.items.length - 1, index));
    const item = grid.items[at];
    if (item?.id) focus(item.id);
    else if (item) grid.reveal(at); // its card is on its way
  }

  const MOVES = {
    ArrowLeft: (at) => at - 1,
    ArrowRight: (at) => at + 1,
    ArrowUp: (at) => (at >= grid.columns ? at - grid.columns : at),
    ArrowDown: (at) => Math.min(at + grid.columns, grid.items.length - 1),
    PageUp: (at) => Math.max(at % grid.columns, at - grid.columns * grid.rowsInSight),
    PageDown: (at) => Math.min(at + grid.columns * grid.rowsInSight, grid.items.length - 1),
    Home: () => 0,
    End: () => grid.items.length - 1,
  };

  list.addEventListener("focusin", ({ target }) => {
    const card = target.closest("[data-clip]");
    if (!card) return;
    current = card.dataset.id;
    stopAt(card);
  });

  // Of the list, and of nothing in particular: a card that had the focus may have scrolled away.
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const typing = target.matches("input:not([type=checkbox]), textarea, select");
    if (!typing && !event.altKey && (key === "/" || key === "?" || key === "Escape")) {
      if (acts.get(key)?.(current)) event.preventDefault();
      return;
    }
    if (!list.contains(target) && !(target === document.body && current && grid.has(current))) return;
    const at = grid.indexOf(current);
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a") {
      event.preventDefault();
      acts.get("all")?.(current);
    } else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (MOVES[key] && at >= 0) {
      if (key === "Home" || key === "End" || !event.shiftKey) {
        event.preventDefault();
        move(MOVES[key](at));
      }
    } else if (key === " " && target.matches(".clip-link")) {
      event.preventDefault();
      selection.toggle(current, { range: event.shiftKey });
    } else if (!event.shiftKey && acts.get(key.toLowerCase())?.(current)) event.preventDefault();
  });

  grid.addEventListener("shown", ({ detail: cards }) => {
    cards.forEach(unstop);
    settle();
    // A card that had the focus scrolled away, and it comes back: so does the focus.
    const card = current && grid.card(current);
    if (inside && card?.isConnected && document.activeElement === document.body) {
      card.querySelector(".clip-link").focus({ preventScroll: true });
    }
  });
  let inside = false; // where the focus was last
  for (const type of ["focusin", "pointerdown"]) {
    document.addEventListener(type, ({ target }) => (inside = list.contains(target)));
  }

  return {
    focus,
    settle,
    get focused() {
      return inside ? current : null;
    },
    on: (key, act) => acts.set(key, act),
  };
}
