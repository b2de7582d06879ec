// The banner that says what became of the connection, when it stays away for longer than a blink.

const BLINK_MS = 1500;

function wordsOf(state) {
  switch (state.name) {
    case "connecting":
      return state.again ? "Reconnecting…" : "Connecting…";
    case "waiting":
      return state.words || "Reconnecting";
    case "offline":
      return "You are offline. This page goes on when the network is back.";
    default:
      return state.words;
  }
}

/** Keeps banner, the one of base.html, in step with live. */
export function showConnection(live, banner) {
  const part = (name) => banner.querySelector(`[data-${name}]`);
  const [words, count, button] = ["words", "count", "act"].map(part);
  let blink = 0;
  let counting = 0;

  // Hidden from screen readers: they hear the words once, not a countdown.
  const countDown = () => {
    const seconds = Math.max(1, Math.ceil((live.state.until - Date.now()) / 1000));
    count.textContent = `${live.state.words ? "Trying again in" : "in"} ${seconds} s`;
  };

  const follow = () => {
    const { state } = live;
    clearInterval(counting);
    counting = 0;
    banner.dataset.state = state.name;
    banner.dataset.over = state.over ?? "";
    if (state.name === "live") {
      clearTimeout(blink);
      blink = 0;
      banner.hidden = true;
      return;
    }
    words.textContent = wordsOf(state);
    count.hidden = state.name !== "waiting";
    button.hidden = state.name === "connecting" || (state.name === "stopped" && !state.reload);
    button.textContent = state.name === "stopped" ? "Reload" : "Try now";
    if (state.name === "waiting") {
      countDown();
      counting = setInterval(countDown, 1000);
    }
    if (state.name === "stopped") banner.hidden = false;
    else blink ||= setTimeout(() => (banner.hidden = false), BLINK_MS);
  };

  button.addEventListener("click", () => {
    if (live.state.name === "stopped") location.reload();
    else live.tryNow();
  });
  live.addEventListener("state", follow);
}
