"""What a backup and a restore take, beside a plain pg_dump and pg_restore of the same database.

    .venv/bin/python -m benchmarks.backup [--jobs 100000] [--no-write]

A tenth of so many jobs, and all of them, each with a video of 4 KB in a folder: the database grows
with the jobs, the rest with the files. On a Postgres of its own, in memory where the machine has
/dev/shm; the copies go there too, so a disk's or a network's time comes on top. Seconds are this
machine's. Writes benchmarks/results/backup.txt.
"""

from benchmarks.stage import measure

if __name__ == "__main__":
    measure(__doc__, counted="--jobs", default=100_000)
