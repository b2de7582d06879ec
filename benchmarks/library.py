"""What a page of the library costs, by what is asked of it.

    .venv/bin/python -m benchmarks.library [--clips 100000] [--no-write]

Somebody has so many clips in one workspace, and another one as many in theirs. Every question is
asked beside the plain list (GET /api/v1/jobs without a filter: jobs/cursors.py), in turns, in one
process: the ratio counts, milliseconds are this machine's. A page of 48 from the newest clip, and
one from the middle. On a Postgres of its own, in memory where the machine has /dev/shm. Writes
benchmarks/results/library.txt.
"""

from benchmarks.stage import measure

if __name__ == "__main__":
    measure(__doc__, counted="--clips", default=100_000)
