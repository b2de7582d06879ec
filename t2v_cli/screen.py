"""What the person sees. Results go to standard output, everything else to standard error."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from t2v_cli.failures import Failure


def plain(text: object) -> str:
    """One line without what a terminal would obey: a prompt may hold anything."""
    return "".join(
        " " if sign.isspace() else "\ufffd" if unicodedata.category(sign)[0] == "C" else sign
        for sign in str(text)
    )


_BARE: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}


class Screen:
    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # Whatever FORCE_COLOR says: a file wants no colours.
        self.out = Console(force_terminal=sys.stdout.isatty(), **_BARE)
        self.err = Console(stderr=True, force_terminal=sys.stderr.isatty(), **_BARE)

    @property
    def live(self) -> bool:
        """Whether a person looks on: bars and colours only then."""
        return self.out.is_terminal and self.err.is_terminal and not self.as_json

    def tell(self, message: str) -> None:
        self.err.print(Text(plain(message)))

    def document(self, body: Any) -> None:
        """The one JSON document."""
        indent = 2 if self.out.is_terminal else None
        sys.stdout.write(json.dumps(body, indent=indent) + "\n")

    def line(self, body: Any) -> None:
        """One of many JSON documents, at once."""
        sys.stdout.write(json.dumps(body) + "\n")
        sys.stdout.flush()

    def say(self, line: object) -> None:
        """A line of the result."""
        self.out.print(Text(plain(line)))

    def rows(
        self, names: Sequence[str], rows: Iterable[Sequence[object]], *, head: bool = True
    ) -> None:
        """Columns for people; for programs lines with tabs, without a head and uncut."""
        table = [[plain(cell) for cell in row] for row in rows]
        if not self.out.is_terminal:
            for row in table:
                sys.stdout.write("\t".join(row) + "\n")
            return
        widths = [
            max(len(name), *(len(row[at]) for row in table)) if table else len(name)
            for at, name in enumerate(names)
        ]
        if head:
            self._row([name.upper() for name in names], widths, style="bold")
        for row in table:
            self._row(row, widths)

    def _row(self, cells: Sequence[str], widths: Sequence[int], style: str = "") -> None:
        """The last column gets what is left of the terminal's width."""
        text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        line = Text(text.rstrip(), style=style)
        line.truncate(self.out.width, overflow="ellipsis")
        self.out.print(line)

    def failure(self, failure: Failure) -> None:
        self.err.print(Text(plain(failure), style="bold red" if self.err.is_terminal else ""))
        for field, sentence in failure.fields.items():
            self.err.print(Text(f"  {plain(field)}: {plain(sentence)}"))
        if failure.advice:
            self.err.print(Text(plain(failure.advice)))

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values, one under the other."""
        shown = [(plain(name), plain(value)) for name, value in pairs]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.out.print(Text.assemble((name.ljust(width + 2), "dim"), value))
