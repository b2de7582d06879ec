// The state of the console's frame for Alpine, whose CSP build reads expressions and evaluates none.

const THEME = "t2v-console-theme"; // light, dark or auto
const MENU = "t2v-console-menu"; // "0": hidden on a wide screen
const dark = matchMedia("(prefers-color-scheme: dark)");

document.documentElement.classList.add("scripted");

document.addEventListener("alpine:init", () => {
  const { Alpine } = window;

  Alpine.data("theme", () => ({
    adminTheme: localStorage.getItem(THEME) ?? "auto",
    prefersDark: dark.matches,
    filterOpen: false,
    init() {
      dark.addEventListener("change", () => { this.prefersDark = dark.matches; });
    },
    get adminClass() {
      const asked = this.adminTheme === "dark" || (this.adminTheme === "auto" && this.prefersDark);
      return asked ? "scripted dark" : "scripted";
    },
    switchTheme(name) {
      this.adminTheme = name;
      localStorage.setItem(THEME, name);
    },
  }));

  Alpine.data("frame", () => ({
    activeTab: "general",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem(MENU) !== "0",
    // What unfold's templates name and the CSP build does not give them.
    window: { location: { pathname: location.pathname, search: location.search } },
    toggleDesktop() {
      this.sidebarDesktopOpen = !this.sidebarDesktopOpen;
      localStorage.setItem(MENU, this.sidebarDesktopOpen ? "1" : "0");
    },
  }));

  // "/" goes to the search field of a list.
  Alpine.data("searchForm", () => ({
    applyShortcut(event) {
      const typing = event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key !== "/" || typing) return;
      event.preventDefault();
      this.$refs.searchInput.focus();
    },
  }));
});

// A table that is wider than its box is scrolled with the arrow keys, so the box takes the focus.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".t2v-scroll, .overflow-x-auto[data-simplebar]")) {
    const title = box.closest("section")?.querySelector("h2") ?? document.querySelector("h1");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", title?.textContent.trim() || "Table");
  }
});
