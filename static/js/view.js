// What the page knows of a job: snapshots and ticks merged so that nothing goes backwards.
// And how that is said in words.

export const FINAL = new Set(["succeeded", "failed", "parked", "cancelled", "expired"]);

export function withSnapshot(view, snapshot) {
  if (view && snapshot.version < view.version) return view;
  const goesOn = view?.state === "running" && snapshot.state === "running";
  if (!goesOn || view.attempt !== snapshot.attempt) return snapshot;
  // The row's step is that of the last lease renewal; ticks know better.
  return {
    ...snapshot,
    step: Math.max(view.step, snapshot.step),
    phase: view.phase,
    seconds_left: view.seconds_left,
  };
}

export function withTick(view, tick) {
  if (view.state !== "running" || tick.attempt !== view.attempt || tick.step < view.step) return view;
  const { phase, step, steps, seconds_left } = tick;
  return { ...view, phase, step, steps, seconds_left };
}

/** What is known until a new connection tells everything again: even older versions may be news
 * then, when the database was restored. */
export const awaitingNews = (view) => ({ ...view, version: 0 });

export const withPlace = (view, place) => (view.state === "queued" ? { ...view, place, held: null } : view);

export const stateWords = (state) => state.charAt(0).toUpperCase() + state.slice(1);

export function placeWords({ place, held }) {
  if (place === null || place === undefined) return held ?? "Waiting";
  if (place === 0) return "Next in line";
  return place >= 1000 ? "More than 1,000 before you" : `${place} before you`;
}

const PHASES = {
  loading: "Loading the model",
  decoding: "Decoding the frames",
  encoding: "Encoding the video",
  saving: "Saving the video",
};

export function progressWords({ phase, step, steps, cancel_requested }) {
  if (cancel_requested) return "Cancelling…";
  return PHASES[phase] ?? (step ? `Step ${step} of ${steps}` : "Starting");
}

export function leftWords(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return "almost done";
  if (seconds < 90) return `about ${Math.ceil(seconds)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

/** A bar without a value sweeps: the work goes on, and nobody can say how far. */
export function setBar(bar, { phase, step, steps }) {
  bar.max = steps;
  if (step === 0 || phase === "loading") bar.removeAttribute("value");
  else bar.value = step;
}
