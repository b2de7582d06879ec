"""When somebody who was refused comes again. Pure."""

from collections.abc import Sequence

from tests.load.plan import Character

REFUSING = frozenset({429, 503})
TRIES = 4  # of an honest one, in all
LONGEST_SECONDS = 180.0  # told to wait for longer, one goes away


def seconds_of(header: str | None) -> float | None:
    """Of a Retry-After in seconds (RFC 9110 §10.2.3); None: there is none that says so."""
    if header is None or not header.strip().isdecimal():
        return None
    return float(header)


def wait(
    character: Character, *, tries: int, retry_after: float | None, nudges: Sequence[float]
) -> float | None:
    """Seconds until the next try; None: gives up. tries: made so far.

    An honest one comes exactly when Retry-After says, never sooner, and not at all where nothing
    is said. An impatient one does not read it.
    """
    if character.impatient:
        return nudges[tries - 1] if tries <= len(nudges) else None
    if tries >= TRIES or retry_after is None or retry_after > LONGEST_SECONDS:
        return None
    return retry_after
