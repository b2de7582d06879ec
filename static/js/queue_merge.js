// Makes what is shown like what the server sent, node by node: what is alike stays the same node, so
// that nothing chosen, focused or unfolded is lost. Children with data-key are found by it wherever
// they stand; what carries data-held is the page's own and is left alone.

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);
const isBlank = (node) => node.nodeType === Node.TEXT_NODE && !node.data.trim();
const OWN = new Set(["open", "aria-busy"]); // attributes that the server says nothing of

/** hold(list): whether the rows of that [data-rows] must stand still; then only what they say
 * changes. Returns whether anything was kept back. */
export function merge(old, next, hold) {
  if (old.matches("[data-rows]") && hold(old)) return updateRows(old, next, hold);
  const keyed = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let behind = false;
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    while (at && isBlank(at)) at = at.nextSibling;
    if (isBlank(child)) continue;
    const key = keyOf(child);
    let found = key ? keyed.get(key) : at;
    if (found && (found.nodeName !== child.nodeName || (!key && keyOf(found)))) found = undefined;
    if (!found) {
      old.insertBefore(child, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else old.insertBefore(found, at);
    behind = update(found, child, hold) || behind;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
  return behind;
}

function updateRows(old, next, hold) {
  const rows = new Map([...next.children].map((row) => [keyOf(row), row]));
  for (const row of old.children) {
    const news = rows.get(keyOf(row));
    if (news) update(row, news, hold);
  }
  const order = (list) => [...list.children].map(keyOf).join(" ");
  return order(old) !== order(next);
}

function update(found, child, hold) {
  if (found.nodeType !== Node.ELEMENT_NODE) {
    if (found.data !== child.data) found.data = child.data;
    return false;
  }
  if ("held" in found.dataset) return false;
  // A moment is told in the viewer's own words (times.js).
  if (found.localName === "time" && found.dateTime === child.dateTime) return false;
  for (const { name, value } of child.attributes) {
    if (found.getAttribute(name) !== value) found.setAttribute(name, value);
  }
  for (const { name } of [...found.attributes]) {
    if (!child.hasAttribute(name) && !OWN.has(name)) found.removeAttribute(name);
  }
  return merge(found, child, hold);
}
