// <time data-age> shows "3 min ago", <time data-clock> the viewer's own clock.

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];

function age(date) {
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
  }
  return "now";
}

function set(time, words) {
  if (time.textContent !== words) time.textContent = words;
}

/** Fills every time below root. */
export function fillTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-age], time[data-clock]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.title = full.format(date);
    set(time, "age" in time.dataset ? age(date) : clock.format(date));
  }
}

/** Keeps the ages true while the page is looked at. */
export function keepTimes() {
  fillTimes();
  setInterval(() => document.visibilityState === "visible" && fillTimes(), 15_000);
  document.addEventListener("visibilitychange", () => fillTimes());
}
