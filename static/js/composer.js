// The composer: one intent is one submit, whatever the network does, and nothing written is lost.

import { act, say } from "./act.js";
import { Draft } from "./draft.js";
import { clearFault, clearFaults, faultsOf, showFaults } from "./faults.js";
import { Options } from "./options.js";
import { Prompt } from "./prompt.js";
import { toast } from "./toast.js";

const DRAFT_MS = 400; // after the last key
const ESTIMATE_MS = 300;
const KEPT = ["prompt", "model", "size", "frames", "steps", "guidance", "seed", "quality", "count"];
const OVER_QUOTA = new Set(["too_many_jobs", "gpu_seconds_used_up", "storage_full"]);
const WAITED_SECONDS = 3600; // a page that was told to wait for longer says nothing when it is time
const WAITING = "What you wrote stays here, and this note tells you when it is time.";
const ROOM = "There should be room in the queue now. Send it again: what you wrote is still here.";
const TIME = "You can send it again now: what you wrote is still here.";
const OFFLINE =
  "The site cannot be reached. What you wrote is kept in this browser: send it again when you are " +
  "online. It will be made once, however often you send it.";

const narrow = matchMedia("(max-width: 640px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

// crypto.randomUUID exists on https and localhost only.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Composer {
  #form = document.getElementById("composer");
  #submit = document.getElementById("submit");
  #refusal = document.getElementById("refusal");
  #estimate = document.getElementById("estimate");
  #draftNote = document.getElementById("draft-note");
  #options;
  #prompt;
  #draft;
  #intent = null; // {key, of}: what was sent, and may have arrived
  #busy = false;
  #timers = { draft: 0, estimate: 0, again: 0 };
  #asked = null; // AbortController of the estimate that is on its way
  #expect;

  /** expect: (prompt, count) → {arrived(jobs), failed()}, what stands in for the jobs meanwhile. */
  constructor({ models, expect }) {
    const form = this.#form;
    this.#expect = expect;
    this.#options = new Options(form, models);
    this.#prompt = new Prompt(form.elements.prompt);
    this.#draft = new Draft(form.dataset.user, form.dataset.workspace);
    form.noValidate = true; // messages stand at their fields instead
    if (navigator.platform.startsWith("Mac")) {
      document.querySelector("#prompt-hint kbd").textContent = "⌘";
    }
    this.#restore();
    this.#follow({ keep: form.querySelector('[aria-invalid="true"]') !== null });
    this.#listen();
  }

  #listen() {
    const form = this.#form;
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (!this.#submit.disabled) form.requestSubmit(this.#submit);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    form.addEventListener("input", ({ target }) => {
      if (target.name) clearFault(form, target.name);
      this.#changed();
    });
    form.addEventListener("change", ({ target }) => {
      if (target.name === "model") this.#follow({ keep: false });
    });
    addEventListener("pagehide", () => this.#keep());
    document.addEventListener("visibilitychange", () => this.#keep());
    addEventListener("online", () => {
      if (this.#refusal.dataset.code === "network") this.#refuse("");
    });
    document.getElementById("start-over").addEventListener("click", () => this.#startOver());
  }

  #changed() {
    this.#options.summarise();
    this.#nameButton();
    this.#draftNote.hidden = true;
    clearTimeout(this.#timers.draft);
    this.#timers.draft = setTimeout(() => this.#keep(), DRAFT_MS);
    clearTimeout(this.#timers.estimate);
    this.#timers.estimate = setTimeout(() => this.#ask(), ESTIMATE_MS);
  }

  #follow({ keep }) {
    this.#options.followModel({ keep });
    this.#prompt.followModel(this.#options.model);
    this.#nameButton();
  }

  #nameButton() {
    const count = Number(this.#values().get("count") ?? 1);
    const words = count > 1 ? `Make ${count} videos` : "Make the video";
    this.#submit.textContent = this.#busy ? "Sending…" : words;
  }

  #values() {
    return new FormData(this.#form);
  }

  // --- Drafts ---

  #restore() {
    const kept = "filled" in this.#form.dataset ? null : this.#draft.read();
    if (!kept) return;
    const { model, ...others } = kept.values;
    const has = [...this.#form.querySelectorAll('[name="model"]')].find(({ value }) => value === model);
    if (has) has.checked = true;
    this.#options.followModel({ keep: false });
    for (const [name, value] of Object.entries(others)) {
      const field = KEPT.includes(name) && this.#form.elements[name];
      if (field) field.value = value; // of a list without that value: followModel takes the usual one
    }
    this.#intent = kept.intent ?? null;
    this.#draftNote.hidden = this.#prompt.text === "";
  }

  #keep() {
    clearTimeout(this.#timers.draft);
    const values = Object.fromEntries([...this.#values()].filter(([name]) => KEPT.includes(name)));
    if (!values.prompt) values.seed = ""; // it belonged to what was sent, or never written
    if (values.prompt || !this.#options.areUsual()) this.#draft.keep({ values, intent: this.#intent });
    else this.#draft.forget();
  }

  #startOver() {
    this.#prompt.text = "";
    this.#draftNote.hidden = true;
    document.getElementById("defaults").click();
    this.#draft.forget();
    this.#form.elements.prompt.focus();
  }

  // --- What it would take ---

  async #ask() {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    const entries = [...this.#values()].filter(([name]) => KEPT.includes(name) && name !== "prompt");
    try {
      const url = `${this.#form.dataset.estimateUrl}?${new URLSearchParams(entries)}`;
      const answer = await fetch(url, { signal: asked.signal });
      if (answer.ok && !answer.redirected) this.#estimate.textContent = (await answer.json()).words;
    } catch (error) {
      if (error.name !== "AbortError") this.#estimate.textContent = ""; // nobody knows just now
    }
  }

  // --- Sending ---

  async #send() {
    if (this.#busy || this.#submit.disabled) return;
    clearFaults(this.#form);
    this.#refuse("");
    const faults = faultsOf(this.#form);
    if (Object.keys(faults).length > 0) {
      showFaults(this.#form, faults);
      return;
    }
    const data = this.#values();
    data.set("idempotency_key", this.#keyFor(data));
    this.#keep(); // with the key: the same words after a crash are the same intent
    const prompt = data.get("prompt");
    const waiting = this.#expect(prompt.trim(), Number(data.get("count") ?? 1));
    this.#setBusy(true);
    try {
      const answer = await act(this.#form.action, data);
      waiting.arrived(answer.jobs);
      this.#sent(prompt, answer);
    } catch (error) {
      waiting.failed();
      this.#failed(error);
    } finally {
      this.#setBusy(false);
    }
  }

  #keyFor(data) {
    const of = JSON.stringify([...data].filter(([name]) => !/token|key/.test(name)));
    if (this.#intent?.of !== of) this.#intent = { key: newKey(), of };
    return this.#intent.key;
  }

  #sent(prompt, { message, jobs }) {
    this.#intent = null;
    this.#form.elements.remix_of.value = "";
    this.#form.querySelector('[name="count"][value="1"]').checked = true; // many is asked for anew
    this.#prompt.remember(prompt.trim());
    if (this.#prompt.text === prompt) this.#prompt.text = ""; // else the next one was begun already
    clearTimeout(this.#timers.draft);
    this.#draft.forget();
    this.#draftNote.hidden = true;
    const watch = { words: "Watch", act: () => location.assign(`/jobs/${jobs[0].id}/`) };
    if (narrow.matches) this.#lookAtStrip(message);
    else toast(message, { kind: "success", action: jobs.length === 1 ? watch : null });
    this.#ask();
  }

  // On a phone the composer fills the screen: what was sent is below it, where a toast would lie.
  #lookAtStrip(message) {
    document.getElementById("announce").textContent = message;
    document.activeElement.blur(); // the keyboard on the glass goes
    const behavior = still.matches ? "auto" : "smooth";
    document.getElementById("making-part").scrollIntoView({ block: "start", behavior });
  }

  #failed(error) {
    const rest = showFaults(this.#form, error.fields ?? {});
    if (error.code === "network") this.#refuse(OFFLINE, error.code);
    else if (rest.length > 0) this.#refuse(rest.join(" "), error.code);
    else if (!Object.keys(error.fields ?? {}).length) this.#refuseFor(error);
  }

  // With its moment to come again, where there is one: the note then says so, and loses no focus.
  #refuseFor(error) {
    const { code, retryAfter } = error;
    const short = retryAfter > 0 && retryAfter <= WAITED_SECONDS;
    this.#refuse(short ? `${say(error)} ${WAITING}` : say(error), code);
    if (!short) return;
    this.#timers.again = setTimeout(() => {
      this.#refusal.firstChild.textContent = code === "queue_full" ? ROOM : TIME;
      this.#refusal.dataset.code = "again";
    }, retryAfter * 1000);
  }

  #refuse(words, code = "") {
    const box = this.#refusal;
    clearTimeout(this.#timers.again);
    box.dataset.code = code;
    box.hidden = words === "";
    const said = document.createElement("p");
    said.textContent = words;
    box.replaceChildren(said);
    if (OVER_QUOTA.has(code)) {
      const link = document.createElement("a");
      link.href = box.dataset.usageUrl;
      link.textContent = "See what you use";
      said.append(" ", link);
    }
    if (words) box.focus();
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.#submit.ariaBusy = String(busy);
    this.#nameButton();
  }
}
