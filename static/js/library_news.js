// Clips that were done while somebody looks: told of, and shown when they ask for them.

import { Live } from "./live.js";

const GATHER_MS = 1000; // several that end together are one question
const MOST_NEWS = 48; // told of; the first part holds no more

/** fetch(): the first part as it is now. show(part): what shows it. Returns the Live. */
export function followNews({ main, grid, fetch, show }) {
  const live = new Live({ draw: async () => {} });
  const pill = document.getElementById("news");
  const served = Number(main.dataset.servedAt) * 1000; // by the clock that finished_at is of
  const news = new Set(); // jobs that were done since, and are not shown
  let timer = 0;
  let waiting = null;

  // The server knows which of them the filters let through.
  async function look() {
    try {
      waiting = await fetch();
    } catch {
      return; // the next clip asks again
    }
    const count = waiting.cards.filter(({ dataset: { id } }) => news.has(id)).length;
    if (!count) return;
    pill.textContent = count === 1 ? "1 new clip" : `${count} new clips`;
    pill.hidden = false;
    document.getElementById("announce").textContent = pill.textContent;
  }

  pill.addEventListener("click", () => {
    pill.hidden = true;
    news.clear();
    show(waiting);
  });
  live.addEventListener("snapshot", ({ detail: { job } }) => {
    const done = job.state === "succeeded" && Date.parse(job.finished_at) >= served;
    if (!done || job.workspace !== main.dataset.workspace || grid.has(job.id)) return;
    if (news.has(job.id) || news.size >= MOST_NEWS) return;
    news.add(job.id);
    clearTimeout(timer);
    timer = setTimeout(look, GATHER_MS);
  });
  live.watchMine();
  live.start();
  return live;
}
