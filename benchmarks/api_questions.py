"""The questions of benchmarks/api.py: arms beside one another, as rows."""

import os
import signal
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.api_parts import Calls, Postgres, Server, Slice
from benchmarks.arms import Row, interleave, rows_of
from benchmarks.live_parts import Helper

JOB = {"prompt": "a red circle moving right"}
JOBS = "/api/v1/jobs"
POOLED = 4  # connections
PROGRAMS = 50  # of as many people, who post in turn
MANY_WORKSPACES = 50  # of one person
OTHERS = 100  # jobs of somebody who has a few
POOLS = {0: "a connection for each request", POOLED: f"a pool of {POOLED} connections"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    rows: int  # jobs that wait in the deep database
    requests: int  # of one arm, one round
    rounds: int
    batches: int  # of one arm, one round
    batch: int  # jobs
    pools: tuple[int, ...] = tuple(POOLS)  # connections


class Bench:
    def __init__(self, scale: Scale, *, deep: Helper, empty: Helper, urls: tuple[str, str]) -> None:
        self._scale, self._deep, self._empty = scale, deep, empty
        self._deep_url, self._empty_url = urls
        self._servers: dict[tuple[str, str, int], Server] = {}
        found = deep.ask("begin", rows=scale.rows)
        empty.ask("begin", rows=0)
        self._postgres, self._redis = Postgres(found["backend"]), int(found["redis"])
        self._tokens = {
            world: world.ask("tokens", like="submitter-", count=PROGRAMS) for world in (deep, empty)
        }

    # --- The questions ------------------------------------------------------------------------

    def admitted(self) -> list[Row]:
        """One job beside one INSERT, on the same server."""
        rows = []
        for pool in self._scale.pools:
            calls = Calls(self._tokens[self._empty], JOBS, JOB)
            keyed = Calls(self._tokens[self._empty], JOBS, JOB, keyed=True)
            bare = self._server("bare", self._empty_url, pool)
            ours = self._server("ours", self._empty_url, pool)
            found = self._slices(
                {"bare": (bare, calls), "job": (ours, calls), "job, a key": (ours, keyed)}
            )
            rows += _rows(found, "bare", label=POOLS[pool], goals={"job": "<= 1.5"})
        return rows

    def depth(self) -> list[Row]:
        """A submit where nobody waits, and where so many do."""
        deep = f"depth {self._scale.rows:,}"
        arms = {
            "depth 0": (
                self._server("ours", self._empty_url),
                Calls(self._tokens[self._empty], JOBS, JOB),
            ),
            deep: (
                self._server("ours", self._deep_url),
                Calls(self._tokens[self._deep], JOBS, JOB),
            ),
        }
        found = self._slices(arms, before=self._look)
        return _rows(found, "depth 0", label="submit", goals={deep: "<= 1.1"})

    def lists(self) -> list[Row]:
        """Pages of 20, where few jobs are in the database, and where a million are."""
        self._empty.ask("submit", email="crowd-0@example.com", count=OTHERS)
        few = self._empty.ask("tokens", like="crowd-0@", count=1)
        crowd = self._deep.ask("tokens", like="crowd-", count=PROGRAMS)
        veteran = self._deep.ask("tokens", like="veteran@", count=1)
        everybody, ended = f"{self._scale.rows:,} jobs", f"{self._scale.rows // 10:,} of one's own"
        path = f"{JOBS}?limit=20"
        shallow = self._server("ours", self._empty_url)
        deep = self._server("ours", self._deep_url)
        found = self._slices(
            {
                f"{OTHERS} jobs": (shallow, Calls(few, path)),
                everybody: (deep, Calls(crowd, path)),
                ended: (deep, Calls(veteran, path)),
            }
        )
        return _rows(found, f"{OTHERS} jobs", label="list of 20", goals={})

    def people(self) -> list[Row]:
        """Of somebody in one workspace and of somebody in fifty: a page of 20, and one job."""
        where = {
            f"in {count}": self._deep.ask("visitor", workspaces=count)
            for count in (1, MANY_WORKSPACES)
        }
        server = self._server("ours", self._deep_url)
        rows = []
        paths = {"list of 20": f"{JOBS}?limit=20", "one job": JOBS + "/{job}"}
        for label, path in paths.items():
            asked = {name: path.format(job=visitor["job"]) for name, visitor in where.items()}
            found = self._slices(
                {
                    name: (server, Calls([visitor["token"]], asked[name]))
                    for name, visitor in where.items()
                }
            )
            goals = {f"in {MANY_WORKSPACES}": "<= 1.1"}
            rows += _rows(found, "in 1", label=label, goals=goals)
            for name, visitor in where.items():
                count = self._deep.ask("queries", token=visitor["token"], path=asked[name])
                what = f"{label}, {name}: statements"
                rows.append(Row(what=what, median=count, best=count, unit=""))
        visitor = where[f"in {MANY_WORKSPACES}"]
        for what, value in self._deep.ask("rights", **visitor).items():
            rows.append(Row(what=what, median=value, best=value, unit=" µs"))
        return rows

    def batches(self) -> list[Row]:
        """Jobs a second, one in a request and many."""
        body = {"jobs": [JOB] * self._scale.batch}
        tokens = self._tokens[self._empty]
        server = self._server("ours", self._empty_url)
        one, many = Calls(tokens, JOBS, JOB), Calls(tokens, f"{JOBS}/batch", body)

        def rate(calls: Calls, requests: int, jobs: int) -> float:
            self._empty.ask("clear")
            taken = server.slice(calls, requests, self._postgres)
            return jobs * 1000 / taken.p50

        batch = f"batches of {self._scale.batch}"
        found = interleave(
            {
                "one by one": partial(rate, one, self._scale.requests, 1),
                batch: partial(rate, many, self._scale.batches, self._scale.batch),
            },
            self._scale.rounds,
        )
        return rows_of(found, "one by one", label="jobs admitted", goals={})

    def frozen(self) -> list[Row]:
        """Submits while Redis stands still: its first request finds out, the others do not ask."""
        calls = Calls(self._tokens[self._empty], JOBS, JOB)
        server = self._server("ours", self._empty_url)

        def usual() -> Slice:
            server.wait_counting(calls)
            self._empty.ask("clear")
            return server.slice(calls, self._scale.requests, self._postgres)

        def stopped() -> Slice:
            self._empty.ask("clear")
            os.kill(self._redis, signal.SIGSTOP)
            try:
                return server.slice(calls, self._scale.requests, self._postgres)
            finally:
                os.kill(self._redis, signal.SIGCONT)

        found = interleave({"Redis runs": usual, "Redis frozen": stopped}, self._scale.rounds)
        rows = _rows(found, "Redis runs", label="submit", goals={"Redis frozen": "<= 1.1"})
        worst = {name: [each.worst for each in slices] for name, slices in found.items()}
        return rows + rows_of(
            worst, "Redis runs", label="submit, worst", goals={}, best=min, unit=" ms"
        )

    def readings(self) -> list[Row]:
        """Parts of a submit, and the sweep's look at the pool, each by itself."""
        depths = {"depth 0": self._empty, f"depth {self._scale.rows:,}": self._deep}
        found: dict[str, float] = {}
        for depth, world in depths.items():
            looks = [world.ask("look") * 1000 for _ in range(5)]
            parts = world.ask("readings") | {"load.refresh()": statistics.median(looks)}
            found |= {f"{name}, {depth}": value for name, value in parts.items()}
        return [
            Row(what=name, median=value, best=value, unit=" ms") for name, value in found.items()
        ]

    # --- Their parts --------------------------------------------------------------------------

    def _server(self, app: str, url: str, pool: int = POOLED) -> Server:
        """One for all questions: an idle one costs nothing."""
        key = (app, url, pool)
        if key not in self._servers:
            self._servers[key] = Server(app, database=url, pool=pool)
            self._servers[key].wait()
        return self._servers[key]

    def close(self) -> None:
        for server in self._servers.values():
            server.close()

    def _look(self) -> None:
        for world in (self._empty, self._deep):
            world.ask("look")
        self._empty.ask("clear")

    def _slices(
        self,
        arms: Mapping[str, tuple[Server, Calls]],
        before: Callable[[], None] | None = None,
    ) -> dict[str, list[Slice]]:
        def one(server: Server, calls: Calls) -> Slice:
            if before is not None:
                before()
            return server.slice(calls, self._scale.requests, self._postgres)

        acts = {name: partial(one, *arm) for name, arm in arms.items()}
        return interleave(acts, self._scale.rounds)


def _rows(
    found: dict[str, list[Slice]], baseline: str, *, label: str, goals: dict[str, str]
) -> list[Row]:
    """CPU with its goals, then walls."""
    rows = []
    for what, unit in (("web", " µs CPU"), ("postgres", " µs CPU"), ("p50", " ms"), ("p99", " ms")):
        values = {name: [getattr(each, what) for each in slices] for name, slices in found.items()}
        aims = goals if what in {"web", "p50"} else {}
        title = f"{label}, {what}"
        rows += rows_of(values, baseline, label=title, goals=aims, best=min, unit=unit)
    return rows
