// What operators do on the page of the queue, without leaving it: cancel, try again, drain, resume.

import { act, say } from "./act.js";
import { ask } from "./ask.js";
import { toast } from "./toast.js";

const REASON = {
  label: "Reason",
  hint: "It stands in the audit log beside your name.",
  required: true,
  most: 200,
};
const addressOf = (form) => document.getElementById(form).action;
const jobsOf = (count) => (count === 1 ? "1 job" : `${count} jobs`);
const chosen = (form) => [...document.querySelectorAll(`input[name=job][form="${form}"]:checked`)];

/** acting(true) while something is under way; changed() when the page has something to look for. */
export function enhanceVerbs(root, { acting, changed }) {
  root.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-verb]");
    if (!button) return;
    event.preventDefault();
    if (button.ariaBusy !== "true") await run(button, VERBS[button.dataset.verb], { acting, changed });
  });
  root.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-all]")) return;
    const boxes = target.closest("table").querySelectorAll("input[name=job]");
    for (const box of boxes) box.checked = target.checked;
  });
}

async function run(button, verb, { acting, changed }) {
  const row = button.closest("[data-key]");
  try {
    const asked = await verb.ask(button);
    if (asked === null) return;
    button.ariaBusy = "true";
    row.toggleAttribute("data-acting", true); // it is over for the eye already
    acting(true);
    tell(await verb.act(button, asked), verb);
    for (const box of document.querySelectorAll("#queue [data-all]:checked")) box.checked = false;
  } catch (error) {
    row.toggleAttribute("data-acting", false);
    toast(say(error));
  } finally {
    button.ariaBusy = "false";
    acting(false);
    changed();
  }
}

function tell(answer, { undo }) {
  const { message, made = [], refused = [] } = answer;
  const back = undo?.(answer);
  const [first] = made;
  let action = null;
  if (back) action = { words: "Undo", act: back };
  else if (made.length === 1) action = { words: "Open the new job", act: () => location.assign(first.url) };
  if (message) toast(message, { kind: "success", action });
  if (refused.length) toast(`Left as they are: ${wordsOf(refused)}`, { kind: "warning" });
}

const NAMED = 3;
const wordsOf = (refused) =>
  refused.slice(0, NAMED).map(({ id, detail }) => `${id.slice(0, 8)}: ${detail}`).join(" ") +
  (refused.length > NAMED ? ` And ${refused.length - NAMED} more.` : "");

async function askToCancel(jobs) {
  if (!jobs.length) return null;
  const reason = await ask({
    title: jobs.length === 1 ? `Cancel job ${jobs[0].slice(0, 8)}?` : `Cancel ${jobs.length} jobs?`,
    words: "What waits is cancelled at once, what runs stops after the step at hand. A cancelled job can be tried again later, from its beginning.",
    button: jobs.length === 1 ? "Cancel the job" : `Cancel ${jobs.length} jobs`,
    danger: true,
    field: REASON,
  });
  return reason ? { job: jobs, reason } : null;
}

async function askToRetry(count) {
  const yes = count === 1 || (await ask({
    title: `Try ${jobsOf(count)} again?`,
    words: "Each becomes a new job of the same owner, which goes on from the old one's checkpoint where there is one.",
    button: `Try ${jobsOf(count)} again`,
  }));
  return yes ? count : null;
}

// In parts, so that the page can say how far it is.
async function retryLike(button, count) {
  const words = button.firstChild;
  const form = new FormData(document.getElementById("retry-form"));
  form.set("like", button.value);
  const all = { made: [], refused: [] };
  let answer;
  do {
    answer = await act(addressOf("retry-form"), form);
    all.made.push(...answer.made);
    all.refused.push(...answer.refused);
    words.data = `${all.made.length} of ${Math.max(count, all.made.length + answer.left)} `;
  } while (answer.left && answer.made.length);
  return { ...all, message: `${jobsOf(all.made.length)} tried again.` };
}

const drain = (data) => act(addressOf("drain-form"), data);
const retry = (data) => act(addressOf("retry-form"), data);
const cancel = (_, data) => act(addressOf("cancel-form"), data);

const VERBS = {
  cancel: { ask: ({ value }) => askToCancel([value]), act: cancel },
  "cancel-chosen": { ask: () => askToCancel(chosen("cancel-form").map(({ value }) => value)), act: cancel },
  retry: { ask: async () => 1, act: ({ value }) => retry({ only: value }) },
  "retry-chosen": {
    ask: async () => (chosen("retry-form").length ? askToRetry(chosen("retry-form").length) : null),
    act: () => retry({ job: chosen("retry-form").map(({ value }) => value) }),
  },
  like: { ask: ({ dataset }) => askToRetry(Number(dataset.count)), act: retryLike },
  drain: {
    ask: ({ value }) => ask({
      title: `Drain ${value}?`,
      words: "It hands back what it renders after the step at hand, unspent, and takes nothing more until somebody presses Resume.",
      button: "Drain it",
      danger: true,
      field: REASON,
    }).then((reason) => reason || null),
    act: ({ value }, reason) => drain({ worker: value, reason }),
    undo: ({ worker }) => () => drain({ worker, resume: 1 }),
  },
  resume: { ask: async () => 1, act: ({ value }) => drain({ worker: value, resume: 1 }) },
};
