// Where somebody was in which list, for when they come back: kept in this tab alone, bounded.

const KEY = "library";
const LISTS = 4; // the last ones looked at
const MOST_PAGES = 400; // of a list, about 60 KB

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // another version wrote it, or there is no storage
  }
}

/** place: {at, index, offset, focus, next, previous, pages}. */
export function keepPlace(query, place) {
  const others = read().filter((each) => each.query !== query);
  const kept = place.pages.length <= MOST_PAGES ? [{ query, ...place }] : [];
  try {
    sessionStorage.removeItem(KEY); // where the rest is full, the address alone brings them back
    sessionStorage.setItem(KEY, JSON.stringify([...kept, ...others].slice(0, LISTS)));
  } catch {
    return; // full, or closed to this site
  }
}

/** What was kept of the list of this query, whose page began at this clip; null if nothing. */
export function placeIn(query, at) {
  return read().find((each) => each.query === query && each.at === at) ?? null;
}
