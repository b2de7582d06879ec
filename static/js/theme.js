// Auto, light or dark: kept in the cookie that base.html reads (accounts/theme.py), so that the next
// page comes in it. Every fieldset[data-themes] (templates/_themes.html) shows and changes it.

const YEAR_SECONDS = 31_536_000;
const SCHEMES = { light: "(prefers-color-scheme: light)", dark: "(prefers-color-scheme: dark)" };

const root = document.documentElement;

export const theme = () => root.dataset.theme || "auto";

/** On this page and those to come. chosen: auto, light or dark. */
export function setTheme(chosen) {
  const age = chosen === "auto" ? 0 : YEAR_SECONDS;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `theme=${chosen}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
  show(chosen);
  other?.postMessage(chosen);
}

function show(chosen) {
  root.dataset.theme = chosen;
  document.querySelector('meta[name="color-scheme"]').content = chosen === "auto" ? "light dark" : chosen;
  for (const [scheme, query] of Object.entries(SCHEMES)) {
    const colour = document.querySelector(`meta[name="theme-color"][data-theme="${scheme}"]`);
    colour.media = chosen === "auto" ? query : chosen === scheme ? "all" : "not all";
  }
  for (const radio of document.querySelectorAll("[data-themes] input")) {
    radio.checked = radio.value === chosen;
  }
}

// The other pages that are open change with this one.
const other = "BroadcastChannel" in globalThis ? new BroadcastChannel("theme") : null;
other?.addEventListener("message", ({ data }) => show(data));
document.addEventListener("change", ({ target }) => {
  if (target.closest("[data-themes]")) setTheme(target.value);
});
