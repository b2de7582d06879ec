// A verb of a page: what its form would post, and an answer instead of the next page.

import { signInAgain } from "./sign_in.js";

const MESSAGES = {
  network: "The server cannot be reached. Nothing was changed; try again when you are online.",
  403: "You may not do this any more. Reload the page to see what you may do.",
  404: "It is not there any more, or you may not see it.",
};

/** What the server refused, or what kept it from answering (code "network"). */
export class Refused extends Error {
  /** retryAfter: seconds, until it may work; 0: nobody said. */
  constructor({ status = 0, code = "network", detail = MESSAGES.network, fields = {}, retryAfter = 0 } = {}) {
    super(detail);
    Object.assign(this, { status, code, detail, fields, retryAfter });
  }
}

/** Whether it was deleted meanwhile, in another tab or by somebody else: the page itself says so. */
export const isGone = (error) => error instanceof Refused && error.status === 404;

/** The sentence about error for a person. */
export const say = (error) =>
  error instanceof Refused ? error.detail : "Something broke on this page. Reload it and try again.";

function bodyOf(data) {
  if (data instanceof HTMLFormElement) return new FormData(data);
  if (data instanceof FormData) return data;
  const body = new URLSearchParams(); // daphne answers 400 to a FormData without any field
  for (const [name, value] of Object.entries(data)) {
    for (const each of [value].flat()) body.append(name, each);
  }
  return body;
}

async function refusalOf(answer) {
  const { status } = answer;
  const retryAfter = Number(answer.headers.get("Retry-After") ?? 0) || 0;
  if ((answer.headers.get("Content-Type") ?? "").includes("json")) {
    const { code, detail, fields } = await answer.json();
    return new Refused({ status, code, detail, fields, retryAfter });
  }
  const detail = MESSAGES[status] ?? `The server answered ${status}. Try again in a moment.`;
  return new Refused({ status, code: `http_${status}`, detail, retryAfter });
}

let turn = Promise.resolve(); // ends with the last of those that go in turn

/** As act(), but sent when what was given before it is answered: what shows at once and is changed
 * again soon must not be overtaken by its own undoing. Outlives the page. */
export function actInTurn(url, data = {}) {
  const body = bodyOf(data);
  const answer = turn.then(() => post(url, body, { keepalive: true }));
  turn = answer.catch(() => {}); // whoever asked is told; the next one goes all the same
  return answer;
}

/** Posts data (a form, FormData or an object; lists are repeated) to url, with the page's token.
 * Resolves to the JSON that was answered; throws Refused. */
export const act = (url, data = {}, { signal } = {}) => post(url, bodyOf(data), { signal });

async function post(url, body, options) {
  let answer;
  try {
    answer = await fetch(url, {
      method: "POST",
      body,
      headers: {
        Accept: "application/json",
        "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "",
      },
      ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused();
  }
  if (answer.redirected && new URL(answer.url).pathname.startsWith("/accounts/")) {
    signInAgain();
    throw new Refused({ status: 401, code: "signed_out", detail: "You were signed out." });
  }
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}
