"""Somebody who looks at the views one after the other, and notes all that a browser minds."""

from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

from tests.browser.house import House
from tests.browser.views import WIDTHS, View

# Moves of what is on show that nobody asked for; before any script of the page.
WATCH = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.hadRecentInput) {
      const moved = entry.sources.map(({node}) => node?.id || node?.className || node?.nodeName);
      window.shifts.push({value: entry.value, moved: moved.join(", ")});
    }
  }
}).observe({type: "layout-shift", buffered: true});
"""
_FETCHED = """() => Object.entries(Object.fromEntries(
  performance.getEntriesByType("resource").map(({name, encodedBodySize}) => [name, encodedBodySize])
))"""
SHIFT = 0.02  # of the window, added up over the page's life


class Onlooker:
    """Of one person, in a window of their own."""

    def __init__(self, browser: Browser, house: House, who: str, **context: object) -> None:
        self._house = house
        self.context = browser.new_context(base_url=house.url, **context)  # type: ignore[arg-type]
        self.context.add_cookies(house.cookies(who))  # type: ignore[arg-type]  # a TypedDict
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self._minds(f"{error}"))
        self.page.on("response", self._answered)
        self.page.on("requestfailed", self._failed)
        self._view: View | None = None
        self.complaints: list[str] = []

    def look(self, view: View) -> Page:
        """At it, after its act, in a wide window and by day."""
        self.leave()
        self.size(1440)
        self.page.emulate_media(color_scheme="light")
        self._view, self.complaints = view, []
        if view.template:
            self._stand_in(view)
        answer = self.page.goto(self._house.at(view.path))
        assert answer is not None
        assert answer.status == view.status, (view.name, answer.status)
        if view.act is not None:
            view.act(self.page, self._house)
        self.page.evaluate("document.fonts.ready")
        return self.page

    def _stand_in(self, view: View) -> None:
        body = self._house.hand.render(view.template)
        self.page.route(
            self._house.at(view.path),
            lambda route: route.fulfill(status=view.status, body=body, content_type="text/html"),
        )

    def leave(self) -> None:
        """What it still asks for ends here, and what its act has broken is whole again."""
        view, self._view = self._view, None
        if view is not None and view.undo is not None:
            view.undo(self.page, self._house)
        self.page.goto("about:blank")

    def size(self, width: int) -> None:
        """As one who turns their tablet: the page stays."""
        self.page.set_viewport_size({"width": width, "height": WIDTHS[width]})

    def overhang(self) -> int:
        """Pixels that the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def shifted(self) -> list[tuple[float, str]]:
        """How much, and what; empty, unless it is more than SHIFT in all."""
        found = self.page.evaluate("window.shifts")
        moves = [(float(each["value"]), str(each["moved"])) for each in found]
        return moves if sum(value for value, _ in moves) > SHIFT else []

    def fetched(self) -> dict[str, float]:
        """Compressed KB of stylesheets and scripts, each once, as the site sent them."""
        sizes: dict[str, float] = {"css": 0.0, "js": 0.0}
        for url, size in self.page.evaluate(_FETCHED):
            kind = urlsplit(url).path.rpartition(".")[2]
            if kind in sizes:
                sizes[kind] += size / 1000
        return sizes

    def _expected(self, url: str) -> bool:
        """That the site refuses it is what the view shows."""
        assert self._view is not None
        at = [*self._view.refused, *([self._view.path] if self._view.status >= 400 else [])]
        return any(url == self._house.url + self._house.at(path) for path in at)

    def _minds(self, words: str) -> None:
        if self._view is not None and not self._view.cut:
            self.complaints.append(words)

    def _said(self, message: ConsoleMessage) -> None:
        if self._view is None or message.type not in {"error", "warning"}:
            return
        if not self._expected(message.location["url"]):
            self._minds(f"{message.type}: {message.text} ({message.location['url']})")

    def _answered(self, answer: Response) -> None:
        if self._view is not None and answer.status >= 400 and not self._expected(answer.url):
            self._minds(f"{answer.status} for {answer.request.method} {answer.url}")

    def _failed(self, request: Request) -> None:
        # A player that has enough of a file for now breaks off by itself; so does a picture that a
        # page gives another file to show before the first one came.
        broken_off = request.resource_type == "image" and request.failure == "net::ERR_ABORTED"
        if request.resource_type != "media" and not broken_off:
            self._minds(f"{request.failure} for {request.method} {request.url}")
