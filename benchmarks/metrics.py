"""What the metrics cost: an event that is counted, a scrape, and the sweep's counting.

    .venv/bin/python -m benchmarks.metrics [--jobs 1000000] [--no-write]

So many jobs lie in Postgres, one in ten of them queued. An event is set beside a plain dict's
`+= 1` under a lock: the ratio counts, microseconds are this machine's. On a Postgres of its own, in
memory where the machine has /dev/shm. Writes benchmarks/results/metrics.txt.
"""

from benchmarks.stage import measure

if __name__ == "__main__":
    measure(__doc__, counted="--jobs", default=1_000_000)
