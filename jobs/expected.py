"""How long, and behind how many, in words for people. Pure: no I/O.

static/js/card.js says the same.
"""

UNIT = "\u00a0"  # between a number and its unit: no line ends there
FAR = 1_000  # jobs before one are counted up to this


def about(seconds: float | None) -> str:
    """ "about 40 s", "about 3 min"; empty where nobody knows."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(1, round(seconds))}{UNIT}s"
    minutes = seconds / 60
    return (
        f"about {round(minutes)}{UNIT}min"
        if minutes < 90
        else f"about {round(minutes / 60)}{UNIT}h"
    )


def before(place: int) -> str:
    """place: how many jobs are before it."""
    if place == 0:
        return "Next in line"
    return f"More than {FAR:,} before you" if place >= FAR else f"{place} before you"


def of_new(*, seconds: float | None, ahead: int, workers: int, count: int) -> str:
    """Beside the button: what a job that were submitted now has to wait for.

    seconds: until the first of count is there. ahead: jobs that wait already.
    """
    if not workers:
        return "No worker is up: it starts as soon as one is"
    when = about(seconds)
    parts = [f"{when} for the first" if when and count > 1 else when]
    parts.append(before(ahead) if ahead else "")
    return " · ".join(filter(None, parts))
