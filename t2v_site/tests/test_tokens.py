"""The design's tokens: what is used is there, no sheet has colours of its own, all can be read."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parent.parent.parent / "static"
CSS = STATIC / "css"
TOKENS = (CSS / "tokens.css").read_text()
# The console's stands in another's frame, the docs' page is white whatever it is about.
OTHERS = {"tokens.css", "admin.css", "docs.css"}
SHEETS = sorted(path for path in CSS.glob("*.css") if path.name not in OTHERS)
MANY = {
    # What is read: text on what it lies on (WCAG 2.2, 1.4.3)
    4.5: [
        *((text, ground) for text in ("text", "text-quiet", "accent", "bad", "good", "warn")
          for ground in ("bg", "surface", "raised", "sunken")),
        ("text", "pressed"),
        ("text-quiet", "pressed"),
        *((text, "accent-soft") for text in ("text", "text-quiet", "accent", "accent-hover")),
        ("good", "good-soft"),
        ("warn", "warn-soft"),
        ("bad", "bad-soft"),
        ("on-accent", "accent"),
        ("on-accent", "accent-hover"),
        ("on-bad", "bad"),
        ("on-bad", "bad-hover"),
        ("bg", "text"),  # a tip
        *((text, "stage") for text in ("stage-text", "stage-quiet", "stage-accent", "stage-good",
                                       "stage-warn", "stage-bad")),
    ],
    # What is drawn: the edge of a field, a focus ring, a switch (1.4.11)
    3.0: [
        *((drawn, ground) for drawn in ("line-input", "accent")
          for ground in ("bg", "surface", "raised", "sunken")),
    ],
}  # fmt: skip


def colours(face: int, css: str = TOKENS) -> dict[str, str]:
    """Each token that is a plain colour; face: 0 light, 1 dark."""
    found = {}
    for name, value in re.findall(r"^\s*--([a-z0-9-]+): (.+?);", css, re.MULTILINE):
        pair = re.fullmatch(r"light-dark\((#\w{6}), (#\w{6})\)", value)
        if pair:
            found[name] = pair[face + 1]
        elif re.fullmatch(r"#\w{6}", value):
            found[name] = value
    return found


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, definitions of contrast ratio and of relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_the_standards_own() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known miss


@pytest.mark.parametrize("face", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("more", [False, True], ids=["usual", "more"])
def test_every_pair_in_use_can_be_read_in_both_themes(face: int, *, more: bool) -> None:
    usual, _, wanted = TOKENS.partition("@media (prefers-contrast: more)")
    tokens = colours(face, usual) | (colours(face, wanted) if more else {})
    bad = [
        f"{front} on {back}: {ratio:.2f}, not {least}"
        for least, pairs in MANY.items()
        for front, back in pairs
        if (ratio := contrast(tokens[front], tokens[back])) < least
    ]
    assert not bad


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_no_sheet_but_the_tokens_names_a_colour(sheet: Path) -> None:
    css = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
    raw = r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch|color)a?\(|\b(?:white|black)\b"
    assert not re.findall(rf"[\w-]+:[^;{{}}]*(?:{raw})[^;{{}}]*;", css)


def test_every_name_that_a_sheet_uses_is_defined() -> None:
    scripts = "".join(path.read_text() for path in (STATIC / "js").glob("*.js"))
    made = set(re.findall(r"(--[a-z0-9-]+)\s*[:\"'`]", scripts))
    sheets = {path.name: path.read_text() for path in [*SHEETS, CSS / "tokens.css"]}
    for css in sheets.values():
        made |= set(re.findall(r"^\s*(--[a-z0-9-]+):", css, re.MULTILINE))
    missing = {
        (name, used)
        for name, css in sheets.items()
        for used in re.findall(r"var\((--[a-z0-9-]+)", css)
        if used not in made
    }
    assert not missing


def test_the_window_s_own_colour_is_the_ground_of_each_theme() -> None:
    head = (STATIC.parent / "templates" / "_head.html").read_text()
    shown = dict(re.findall(r'data-theme="(light|dark)".*content="(#\w{6})"', head))
    assert shown == {"light": colours(0)["bg"], "dark": colours(1)["bg"]}
