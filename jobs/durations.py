"""Seconds as people say them. Pure: no I/O."""

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
LITTLE = 5.0  # seconds; below it nobody promises a number


def rough(seconds: float) -> str:
    """In steps that nobody takes for exact: "< 5 s", "40 s", "12 min", "3 h", "2 days"."""
    if seconds < LITTLE:
        return f"< {LITTLE:.0f} s"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} s"
    if seconds < 90 * MINUTE:
        return f"{round(seconds / MINUTE)} min"
    if seconds < 2 * DAY:
        return f"{round(seconds / HOUR)} h"
    return f"{round(seconds / DAY)} days"


def about(seconds: float) -> str:
    """The same within a sentence: "a few seconds", "about 40 s"."""
    return "a few seconds" if seconds < LITTLE else f"about {rough(seconds)}"
