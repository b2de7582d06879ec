// Tags: what a card shows of them, and the dialog that adds and takes them away.

const MOST_SHOWN = 2; // on a card; the others are a number

/** All tags of a card. */
export const tagsOf = (card) => JSON.parse(card.dataset.tags || "[]");

export function showTags(card, names) {
  card.dataset.tags = JSON.stringify(names);
  const shown = names.slice(0, MOST_SHOWN).map((name) => {
    const tag = document.createElement("span");
    tag.className = "clip-tag";
    tag.textContent = name;
    return tag;
  });
  if (names.length > MOST_SHOWN) {
    const more = document.createElement("span");
    more.className = "clip-tag";
    more.textContent = `+${names.length - MOST_SHOWN}`;
    more.title = names.slice(MOST_SHOWN).join(", ");
    shown.push(more);
  }
  card.querySelector(".clip-tags").replaceChildren(...shown);
}

/** perform(verb, ids, {name}): of library_verbs.js. Returns {open(ids)}. */
export function enableTagging({ grid, perform, url }) {
  const dialog = document.getElementById("tagging");
  const form = dialog.querySelector("form");
  const field = document.getElementById("tag-name");
  const names = document.getElementById("tag-names");
  const now = document.getElementById("tag-now");
  let ids = [];

  function showNow() {
    const all = ids.flatMap((id) => (grid.card(id) ? tagsOf(grid.card(id)) : []));
    const chips = [...new Set(all)].map((name) => {
      const chip = document.createElement("span");
      chip.className = "chip";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "×";
      button.ariaLabel = `Take the tag ${name} away`;
      button.addEventListener("click", () => {
        perform("untag", ids, { name });
        showNow();
        field.focus();
      });
      chip.append(name, button);
      return chip;
    });
    now.replaceChildren(...chips);
    now.hidden = !chips.length;
  }

  async function complete() {
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { tags } = await answer.json();
      names.replaceChildren(...tags.map(({ name }) => Object.assign(document.createElement("option"), { value: name })));
    } catch {
      names.replaceChildren(); // no network: whatever is typed still is a tag
    }
  }

  form.addEventListener("submit", (event) => {
    const name = field.value.trim().replaceAll(/\s+/g, " ");
    if (!name) return event.preventDefault();
    perform("tag", ids, { name });
  });
  form.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());

  return {
    open(which) {
      if (!which.length) return;
      ids = which;
      const count = ids.length === 1 ? "this clip" : `${ids.length} clips`;
      document.getElementById("tagging-title").textContent = `Tag ${count}`;
      field.value = "";
      showNow();
      complete();
      dialog.showModal();
      field.focus();
    },
  };
}
