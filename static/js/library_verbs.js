// What is done with clips: shown at once, and taken back where the server refuses.

import { actInTurn, say } from "./act.js";
import { enableTagging, showTags, tagsOf } from "./library_tags.js";
import { MOST_SELECTED } from "./library_select.js";
import { toast } from "./toast.js";

const clips = (number) => (number === 1 ? "1 clip" : `${number} clips`);

export function enableVerbs({ grid, list, selection, keys, main }) {
  const bar = document.getElementById("bar");
  const words = document.getElementById("selected");
  const bulk = document.getElementById("bulk");
  const part = (name) => bar.querySelector(`[data-${name}]`);
  const { actUrl, compareUrl } = main.dataset;

  // --- What each verb changes on the page: apply returns what takes it back for some ids ---

  function star(ids, on) {
    const changed = ids.filter((id) => isStarred(id) !== on);
    for (const id of changed) setStar(id, on);
    return (refused) => changed.filter((id) => refused.has(id)).forEach((id) => setStar(id, !on));
  }

  const starOf = (id) => grid.card(id)?.querySelector("[data-star]");
  const isStarred = (id) => starOf(id)?.ariaPressed === "true";
  const setStar = (id, on) => starOf(id) && (starOf(id).ariaPressed = on);

  function tag(ids, name, on) {
    const before = new Map(ids.filter((id) => grid.card(id)).map((id) => [id, tagsOf(grid.card(id))]));
    for (const [id, had] of before) {
      const others = had.filter((each) => each !== name);
      showTags(grid.card(id), on ? [...others, name] : others);
    }
    return (refused) => {
      for (const [id, had] of before) if (refused.has(id) && grid.card(id)) showTags(grid.card(id), had);
    };
  }

  function take(ids) {
    const near = neighbour(ids);
    const gone = grid.remove(ids);
    selection.set(ids, false);
    if (near) keys.focus(near);
    return (refused) => grid.putBack(gone, [...refused]);
  }

  // Who deleted by keyboard goes on where they were.
  function neighbour(ids) {
    const index = grid.indexOf(keys.focused ?? "");
    if (index < 0 || !ids.includes(keys.focused)) return null;
    const others = [...grid.items.slice(index), ...grid.items.slice(0, index).reverse()];
    return others.find(({ id }) => id && !ids.includes(id))?.id ?? null;
  }

  const APPLY = {
    favourite: (ids) => star(ids, true),
    unfavourite: (ids) => star(ids, false),
    tag: (ids, name) => tag(ids, name, true),
    untag: (ids, name) => tag(ids, name, false),
    delete: take,
  };

  /** Does the verb and says so; quiet: only what went wrong. */
  async function perform(verb, ids, { name = "", quiet = false } = {}) {
    if (!ids.length) return;
    const takeBack = APPLY[verb](ids, name);
    let answer;
    try {
      answer = await actInTurn(actUrl, { verb, job: ids, ...(name && { tag: name }) });
    } catch (error) {
      takeBack(new Set(ids));
      toast(say(error), { kind: "error" });
      return;
    }
    takeBack(new Set(answer.refused.map(({ id }) => id)));
    const action = answer.undo && {
      words: "Undo",
      act: () => takeUndo(answer.undo, takeBack),
      url: actUrl, // on the next page, where nothing of this one is left
      data: answer.undo,
    };
    const refused = answer.refused.length > 0;
    if (refused || !quiet) toast(answer.message, { kind: refused ? "warning" : "success", action });
  }

  async function takeUndo(undo, takeBack) {
    let answer;
    try {
      answer = await actInTurn(actUrl, undo);
    } catch (error) {
      toast(say(error), { kind: "error" });
      return;
    }
    const failed = new Set(answer.refused.map(({ id }) => id));
    takeBack(new Set([undo.job].flat().filter((id) => !failed.has(id))));
    if (failed.size) toast(answer.message, { kind: "warning" });
  }

  // --- Where verbs come from ---

  function toggleStar(ids) {
    const on = !ids.every(isStarred);
    return perform(on ? "favourite" : "unfavourite", ids, { quiet: ids.length === 1 });
  }

  const tagging = enableTagging({ grid, perform, url: main.dataset.tagsUrl });

  function compare() {
    const ids = inOrder([...selection.ids]);
    if (ids.length === 2) location.assign(`${compareUrl}?a=${ids[0]}&b=${ids[1]}`);
    else toast("Select two clips to compare them.", { kind: "info" });
  }

  const inOrder = (ids) => ids.sort((one, other) => grid.indexOf(one) - grid.indexOf(other));

  list.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-star]");
    if (button) toggleStar([button.closest("[data-clip]").dataset.id]);
  });

  bulk.addEventListener("submit", (event) => {
    const { submitter } = event;
    event.preventDefault();
    const ids = [...selection.ids];
    if (submitter?.matches("[data-zip]")) download(ids);
    else if (submitter?.value === "favourite") toggleStar(ids);
    else if (submitter?.name === "verb") perform(submitter.value, ids);
  });

  // A form of its own: the boxes of the list are those in the document alone.
  function download(ids) {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: part("zip").formAction, hidden: true });
    form.append(bulk.querySelector("[name=csrfmiddlewaretoken]").cloneNode());
    const add = (name, value) =>
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    add("next", location.pathname + location.search); // where a refusal is told
    for (const id of ids) add("job", id);
    document.body.append(form);
    form.submit();
    form.remove();
    toast(`${clips(ids.length)} packed as one file; your browser shows how far the download is.`, { kind: "info" });
  }

  part("tag").addEventListener("click", () => tagging.open([...selection.ids]));
  part("compare").addEventListener("click", compare);
  part("clear").addEventListener("click", () => selection.clear());

  function refresh({ fits = true } = {}) {
    const { size } = selection;
    bar.hidden = size === 0;
    words.textContent = `${size} selected`;
    part("compare").disabled = size !== 2;
    if (!fits) toast(`At most ${MOST_SELECTED} clips at a time; the first ${MOST_SELECTED} are selected.`, { kind: "info" });
  }

  selection.addEventListener("changed", ({ detail }) => refresh(detail));
  refresh();

  const dialog = document.getElementById("keys");
  const help = () => (dialog.showModal(), true);
  document.getElementById("keys-button").addEventListener("click", help);
  keys.on("?", help);
  keys.on("/", () => (document.getElementById("q").focus(), true));
  keys.on("Escape", () => selection.size > 0 && (selection.clear(), true));
  keys.on("all", () => selection.all());
  keys.on("f", (id) => (toggleStar(selection.or(id)), true));
  keys.on("t", (id) => (tagging.open(selection.or(id)), true));
  keys.on("c", () => (compare(), true));
  for (const key of ["x", "delete"]) keys.on(key, (id) => (perform("delete", selection.or(id)), true));
}
