"""Fifty workers in one process: previews and ticks of many jobs at a steady pace.

    python -m tests.live.publisher SECONDS PREVIEWS_A_SECOND OWNER JOB,JOB,…

Every job gets so many previews, and five ticks, a second. Prints how many previews it sent.
"""

import os
import sys
import time
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")
django.setup()

from jobs import stream  # noqa: E402
from jobs.events import PreviewHeader, Progressed  # noqa: E402

IMAGE = bytes(7 * 1024)
TICKS_A_SECOND = 5


def _preview(owner: int, job: UUID, step: int) -> None:
    header = PreviewHeader(
        job=job,
        attempt=1,
        step=step,
        steps=100_000,
        frames=4,
        tile_width=64,
        tile_height=64,
        server_us=time.time_ns() // 1000,
        codec="jpeg",
        size=len(IMAGE),
    )
    stream.put_preview(owner, header, IMAGE)


def _tick(owner: int, job: UUID, step: int) -> None:
    tick = Progressed(
        job=job, attempt=1, phase="denoising", step=step, steps=100_000, seconds_left=60.0
    )
    stream.announce(owner, tick)


def main(seconds: float, rate: int, owner: int, jobs: list[UUID]) -> int:
    """One job after the other, evenly; late ones are sent at once. The previews sent."""
    began, sent = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        due = int(now * rate * len(jobs))
        while sent < due:
            step, number = divmod(sent, len(jobs))
            _preview(owner, jobs[number], step + 1)
            if step % (rate // TICKS_A_SECOND) == 0:
                _tick(owner, jobs[number], step + 1)
            sent += 1
        time.sleep(0.002)
    return sent


if __name__ == "__main__":
    seconds, rate, owner, jobs = sys.argv[1:]
    print(main(float(seconds), int(rate), int(owner), [*map(UUID, jobs.split(","))]))  # noqa: T201
