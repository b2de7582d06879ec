// What the stage says when the clip does not come: why, and a way to try again.

const WHY = {
  404: "Its file is gone from storage. Whoever runs this site may have a copy.",
  503: "The storage does not answer for the moment.",
};

/** box: #video-failed of jobs/_stage.html. */
export function watchFailures(video, box) {
  const why = box.querySelector("[data-why]");
  const tell = async () => {
    box.hidden = false;
    why.textContent = "";
    why.textContent = await reason(video.currentSrc || video.src);
  };
  video.addEventListener("error", tell);
  if (video.error) tell(); // it failed before this script was there
  video.addEventListener("loadeddata", () => (box.hidden = true));
  box.querySelector("[data-again]").addEventListener("click", () => {
    box.hidden = true;
    video.load();
  });
}

// A video says that it failed and not why. With S3 the address leads to another host, whose answer
// no script may see.
async function reason(url) {
  try {
    const answer = await fetch(url, { headers: { Range: "bytes=0-0" }, redirect: "manual" });
    if (answer.status in WHY) return WHY[answer.status];
    if (answer.ok) return "This browser could not decode it.";
    return "The storage did not give its file.";
  } catch {
    return "The server cannot be reached. Try again when you are online.";
  }
}
