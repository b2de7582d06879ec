// Parts of the library's list as the server writes them: cards, and what stands above them.

import { takeDown } from "./library_posters.js";
import { signInAgain } from "./sign_in.js";

/** What could not be fetched: the words are for people. */
export class Unreachable extends Error {}

/** A part of the page from url: {cards, next, previous, found}; next and previous are queries.
 * Rejects with Unreachable, or with the signal's reason. */
export function fetchPart(url, { signal } = {}) {
  // Parsed by the browser itself, no scripts run: trusted types have nothing against that.
  const request = new XMLHttpRequest();
  request.responseType = "document";
  return new Promise((resolve, reject) => {
    const fail = (words) => reject(new Unreachable(words));
    signal?.addEventListener("abort", () => {
      request.abort();
      reject(signal.reason);
    });
    request.addEventListener("error", () => fail("The server cannot be reached."));
    request.addEventListener("load", () => {
      const found = request.response?.getElementById("found");
      const { pathname } = new URL(request.responseURL);
      if (pathname.startsWith("/accounts/")) {
        signInAgain();
        fail("You were signed out.");
      } else if (pathname !== new URL(url, location.href).pathname) {
        location.reload(); // which leads to the same place: in no workspace any more
        fail("You work in no workspace any more.");
      } else if (request.status !== 200 || !found) fail(`The server answered ${request.status}.`);
      else {
        found.querySelectorAll("[data-clip]").forEach(takeDown);
        resolve(readPart(document.adoptNode(found)));
      }
    });
    request.open("GET", url);
    request.send();
  });
}

/** The same of a part that is in the document already, where its cards stay. */
export function readPart(found) {
  const cards = [...found.querySelectorAll("[data-clip]")];
  return { cards, next: found.dataset.next, previous: found.dataset.previous, found };
}
