// A message of the page's own, beside those the server put there.

export function toast(words, kind = "error") {
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain icon";
  close.ariaLabel = "Dismiss";
  close.textContent = "×";
  const text = document.createElement("span");
  text.textContent = words;
  const box = document.createElement("div");
  box.className = `toast ${kind}`;
  box.append(text, close);
  close.addEventListener("click", () => box.remove());
  document.getElementById("toasts").append(box);
}
