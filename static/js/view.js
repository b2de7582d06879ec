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

export const withPlace = (view, place) => (view.state === "queued" ? { ...view, place } : view);

export const stateWords = (state) => state.charAt(0).toUpperCase() + state.slice(1);

export function placeWords(place) {
  if (place === null || place === undefined) return "Waiting";
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

const FACTS = {
  submitted: () => "Submitted",
  claimed: ({ attempt }) => `Attempt ${attempt} started`,
  succeeded: () => "Video ready",
  failed: () => "Failed",
  requeued: () => "Back in the queue",
  released: () => "Handed back by its worker",
  resumed: ({ data }) =>
    `Went on from step ${data.step} of attempt ${data.from_attempt}` +
    (data.differs
      ? `, on another kind of machine (${data.differs}): ` +
        "the video may differ slightly from an undisturbed one"
      : ""),
  parked: ({ attempt }) => `Gave up after attempt ${attempt}`,
  cancel_requested: () => "Cancel requested",
  cancelled: () => "Cancelled",
  expired: () => "Expired",
};

export function factWords(fact) {
  const words = FACTS[fact.kind]?.(fact) ?? fact.kind;
  return fact.data?.message ? `${words}: ${fact.data.message}` : words;
}

/** A bar without a value sweeps: the work goes on, and nobody can say how far. */
export function setBar(bar, { phase, step, steps }) {
  bar.max = steps;
  if (step === 0 || phase === "loading") bar.removeAttribute("value");
  else bar.value = step;
}
