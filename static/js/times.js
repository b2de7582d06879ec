// <time data-age> shows "3 min ago", data-clock the time of day, data-day the day, data-when both,
// data-full to the second: in the zone and style that the person chose, else in the browser's own.
// {% moment %} makes them.

const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];
const KINDS = "time:is([data-age], [data-clock], [data-day], [data-when], [data-full])";
const EVERY_MS = 15_000;

/** The chosen zone, where this browser knows it. */
export const zone = ((chosen) => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: chosen }).resolvedOptions().timeZone;
  } catch {
    return undefined; // a zone that is newer than the browser: its own is the next best
  }
})(document.body.dataset.timeZone || undefined);

const style = document.body.dataset.dateStyle || undefined; // a language's: en-GB, sv-SE
const format = (options) => new Intl.DateTimeFormat(style, { ...options, timeZone: zone });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const clock = format({ timeStyle: "medium" });
const day = format({ dateStyle: "medium" });
const when = format({ dateStyle: "medium", timeStyle: "short" });
const full = format({ dateStyle: "medium", timeStyle: "medium" });

function age(date) {
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
  }
  return "now";
}

/** A Date in words. */
export const words = {
  age,
  clock: (date) => clock.format(date),
  day: (date) => day.format(date),
  when: (date) => when.format(date),
  full: (date) => full.format(date),
};

function fill(time) {
  const date = new Date(time.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const kind = Object.keys(words).find((name) => name in time.dataset);
  const text = words[kind](date);
  time.title = full.format(date);
  if (time.textContent !== text) time.textContent = text;
}

/** Fills every time below root. */
export function fillTimes(root = document) {
  root.querySelectorAll(KINDS).forEach(fill);
}

/** Keeps the ages true while the page is looked at. */
export function keepTimes() {
  fillTimes();
  setInterval(() => document.visibilityState === "visible" && fillTimes(), EVERY_MS);
  document.addEventListener("visibilitychange", () => fillTimes());
}
