// What somebody wrote and did not send yet, kept in this browser: one draft for each workspace of
// whoever is signed in, and nobody else's. app.js forgets all of them at sign-out.

const PREFIX = "t2v-draft:";
const MOST_CHARACTERS = 20_000; // of one draft: a prompt of 10,000 and its options
const MOST_DRAFTS = 8; // the oldest go

let over = false; // this page is being left by signing out: its end keeps nothing

function stored() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return []; // the browser keeps nothing for this site
  }
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function forget(which) {
  for (const key of stored()) if (which(key)) localStorage.removeItem(key);
}

/** At sign-out: all of them, and none is kept from now on. */
export function forgetDrafts() {
  over = true;
  forget(() => true);
}

export class Draft {
  #key;

  /** user, workspace: whose, and where. Drafts of others on this computer are forgotten. */
  constructor(user, workspace) {
    const own = `${PREFIX}${user}:`;
    this.#key = own + workspace;
    forget((key) => !key.startsWith(own));
  }

  /** {values, intent}, as kept; null where there is none. */
  read() {
    const kept = stored().includes(this.#key) ? read(this.#key) : null;
    return kept?.values ? kept : null;
  }

  keep(draft) {
    const text = JSON.stringify({ ...draft, at: Date.now() });
    if (over || text.length > MOST_CHARACTERS) return;
    try {
      localStorage.setItem(this.#key, text);
    } catch {
      return; // full, or closed: what is on the page is all there is
    }
    const others = stored().filter((key) => key !== this.#key);
    const newest = others.sort((a, b) => (read(b)?.at ?? 0) - (read(a)?.at ?? 0));
    for (const key of newest.slice(MOST_DRAFTS - 1)) localStorage.removeItem(key);
  }

  forget() {
    forget((key) => key === this.#key);
  }
}
