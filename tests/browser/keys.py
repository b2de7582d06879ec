"""Somebody without a mouse: Tab, Enter and letters, and at every step they see where they are."""

from playwright.sync_api import Locator, Page

MOST_TABS = 120  # of one page, there and round again
# Empty, where an outline shows the focus: its own, of what is painted on it or stands beside it, or
# of one of the four that it lies in.
_RING = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return "";
  const name = `${at.tagName.toLowerCase()}${at.id ? "#" + at.id : ""} “${
    (at.getAttribute("aria-label") ?? at.textContent ?? "").trim().slice(0, 40)}”`;
  const outlined = (each, pseudo) => {
    const style = getComputedStyle(each, pseudo);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  };
  const near = [at, at.nextElementSibling];
  for (let up = at.parentElement; up && near.length < 6; up = up.parentElement) near.push(up);
  const ring = near.some((each) => each && [null, "::before", "::after"].some(
    (pseudo) => outlined(each, pseudo)));
  return ring ? "" : `no ring at ${name}`;
}"""


class Keys:
    """Of one page; fails where the focus cannot be seen, and where Tab gets nowhere."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def go_to(self, there: Locator) -> None:
        """By Tab alone."""
        assert there.count(), f"{there} is not there"
        for _ in range(MOST_TABS):
            if self._is_at(there):
                return
            self.press("Tab")
            hidden: str = self.page.evaluate(_RING)
            assert hidden == "", f"{hidden}, on the way to {there}"
        raise AssertionError(f"{MOST_TABS} tabs do not lead to {there}")

    def use(self, there: Locator) -> None:
        self.go_to(there)
        self.press("Enter")

    def _is_at(self, there: Locator) -> bool:
        return bool(there.first.evaluate("each => each === document.activeElement"))
