// The library: puts its parts together. The list itself is in library_grid.js.

import { showConnection } from "./banner.js";
import { Grid } from "./library_grid.js";
import { enableKeys } from "./library_keys.js";
import { fetchPart, readPart } from "./library_pages.js";
import { keepPlace, placeIn } from "./library_place.js";
import { hideBroken } from "./library_posters.js";
import { enableScrub } from "./library_scrub.js";
import { followForm } from "./library_search.js";
import { Selection } from "./library_select.js";
import { enableVerbs } from "./library_verbs.js";
import { followNews } from "./library_news.js";
import { fillTimes } from "./times.js";

const SETTLED_MS = 300; // after scrolling, before the address says where
const part = (id) => document.getElementById(id);
const main = part("main");
const list = part("clips");
const form = part("find");

let query = withoutPlace(new URLSearchParams(location.search));
let asking = null; // the AbortController of a search under way

function withoutPlace(params) {
  for (const name of ["at", "cursor"]) params.delete(name);
  return params;
}

function addressOf(more = "") {
  const words = [query.toString(), more].filter(Boolean).join("&");
  return `${main.dataset.cardsUrl}${words ? `?${words}` : ""}`;
}

function say(words) {
  part("announce").textContent = words;
}

const grid = new Grid(list, { fetch: (more) => fetchPart(addressOf(more)) });
const selection = new Selection(list, grid);
const keys = enableKeys({ grid, list, selection });

// --- The address, and coming back ---

let settled = 0;

function placeOf() {
  const anchor = grid.anchor();
  const id = anchor?.item.id;
  if (!id || scrollY === 0) return null;
  return { at: id, index: anchor.index, offset: anchor.offset };
}

function remember() {
  clearTimeout(settled);
  const place = placeOf();
  const params = new URLSearchParams(query);
  if (place) params.set("at", place.at);
  const words = params.toString();
  const address = `${location.pathname}${words ? `?${words}` : ""}`;
  if (address !== location.pathname + location.search) history.replaceState(null, "", address);
  const { pages, next, previous } = grid;
  const at = place ?? { at: "", index: 0, offset: null };
  keepPlace(query.toString(), { ...at, focus: keys.focused, pages, next, previous });
}

function begin() {
  const at = new URLSearchParams(location.search).get("at") ?? "";
  const [entry] = performance.getEntriesByType("navigation");
  const back = entry?.type === "back_forward" || entry?.type === "reload";
  const known = back ? placeIn(query.toString(), at) : null;
  const first = readPart(part("found"));
  const stands = known && (at === "" || first.cards[0]?.dataset.id === at);
  const address = new URLSearchParams(location.search).get("cursor");
  const own = at ? `at=${at}` : address ? `cursor=${address}` : "";
  grid.begin(first, own, stands ? known : undefined);
  if (!stands && at && grid.has(at)) grid.reveal(grid.indexOf(at));
  if (stands && known.focus) keys.focus(known.focus, { quietly: true });
}

// --- Search and filters ---

async function find(wanted) {
  asking?.abort();
  asking = new AbortController();
  query = wanted;
  list.ariaBusy = "true";
  try {
    show(await fetchPart(addressOf(), { signal: asking.signal }));
  } catch (error) {
    if (error.name === "AbortError") return;
    failed(error);
  }
  list.ariaBusy = "false";
}

function show(found) {
  for (const id of ["summary", "chips", "empty"]) {
    const fresh = found.found.querySelector(`#${id}`);
    part(id).replaceChildren(...fresh.childNodes);
    part(id).hidden = fresh.hidden;
    if (fresh.dataset.clips) part(id).dataset.clips = fresh.dataset.clips;
    else delete part(id).dataset.clips;
  }
  list.dataset.shape = found.found.querySelector("#clips").dataset.shape;
  part("failed").hidden = true;
  selection.clear();
  scrollTo({ top: 0, behavior: "instant" });
  grid.begin(found, "");
  remember();
  say(part("summary").textContent);
}

function failed(error) {
  part("failed").hidden = false;
  part("failed").querySelector("span").textContent = `${error.message} What is shown may be old.`;
}

const filters = followForm(form, find);

part("found").addEventListener("click", (event) => {
  const chip = event.target.closest("[data-chip]");
  if (!chip || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  filters.set(new URL(chip.href).searchParams);
  part("q").focus();
});
part("failed").querySelector("button").addEventListener("click", () => find(query));

// --- What moves by itself ---

grid.addEventListener("shown", ({ detail: cards }) => {
  for (const card of cards) fillTimes(card);
});
grid.addEventListener("changed", () => {
  part("pages").hidden = true;
});
grid.addEventListener("counted", ({ detail: by }) => {
  const summary = part("summary");
  if (!by || summary.dataset.clips === undefined) return;
  const clips = Number(summary.dataset.clips) + by;
  summary.dataset.clips = clips;
  summary.textContent = `${clips.toLocaleString("en")} ${clips === 1 ? "clip" : "clips"}`;
  if (clips === 0) find(query); // and what to do next
});
grid.addEventListener("failed", ({ detail }) => failed(detail));
addEventListener(
  "scroll",
  () => {
    clearTimeout(settled);
    settled = setTimeout(remember, SETTLED_MS);
  },
  { passive: true },
);
addEventListener("pagehide", remember);

history.scrollRestoration = "manual";
enableScrub(list);
hideBroken(list);
enableVerbs({ grid, list, selection, keys, main });
begin();
const live = followNews({ main, grid, query: () => query, fetch: () => fetchPart(addressOf()), show });
showConnection(live, part("connection"));
