// A laptop that was asleep: no event tells of it, but the clock went on without us.

const LOOK_MS = 5_000;
const SLEPT_MS = 8_000; // a busy page is late by less; a hidden one, which runs once a minute, is not

/** Calls woke() after the page stood still. Returns what ends the watch. */
export function onWake(woke) {
  let looked = Date.now();
  const timer = setInterval(() => {
    const slept = Date.now() - looked - LOOK_MS;
    looked = Date.now();
    if (slept > SLEPT_MS) woke();
  }, LOOK_MS);
  return () => clearInterval(timer);
}
