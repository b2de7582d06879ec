// The queue's page in the admin: fetched again every few seconds and merged into what is shown,
// so that nothing chosen, focused or unfolded is lost.

const fresh = document.getElementById("fresh");
const tables = document.getElementById("tables");
const EVERY_MS = Number(fresh.dataset.every) * 1000;
const TIMEOUT_MS = 10_000;

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);
const isBlank = (node) => node.nodeType === Node.TEXT_NODE && !node.data.trim();

/** Makes old's children like next's; what is alike stays the same node. */
function merge(old, next) {
  const keyed = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    while (at && isBlank(at)) at = at.nextSibling;
    if (isBlank(child)) continue;
    const key = keyOf(child);
    let found = key ? keyed.get(key) : at;
    if (found && !key && (keyOf(found) || found.nodeName !== child.nodeName)) found = undefined;
    if (!found) {
      old.insertBefore(child, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else old.insertBefore(found, at);
    update(found, child);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function update(found, child) {
  if (found.nodeType === Node.TEXT_NODE) {
    if (found.data !== child.data) found.data = child.data;
    return;
  }
  for (const { name, value } of child.attributes) {
    if (found.getAttribute(name) !== value) found.setAttribute(name, value);
  }
  for (const { name } of [...found.attributes]) {
    if (!child.hasAttribute(name) && name !== "open") found.removeAttribute(name);
  }
  merge(found, child);
}

async function refresh() {
  const answer = await fetch("?part=1", { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (answer.redirected) throw new Error("you were signed out; reload the page");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const part = new DOMParser().parseFromString(await answer.text(), "text/html");
  // A text that is being selected, to be copied, must stand still.
  if (!getSelection().isCollapsed) return "Stands still while text is selected.";
  merge(tables, part.body);
  return `Fresh every ${EVERY_MS / 1000} s.`;
}

async function keepFresh() {
  if (document.visibilityState === "visible") {
    try {
      fresh.textContent = await refresh();
      fresh.classList.remove("t2v-bad");
    } catch (error) {
      fresh.textContent = `Not fresh any more: ${error.message}.`;
      fresh.classList.add("t2v-bad");
    }
  }
  setTimeout(keepFresh, EVERY_MS);
}

fresh.textContent = `Fresh every ${EVERY_MS / 1000} s.`;
setTimeout(keepFresh, EVERY_MS);
