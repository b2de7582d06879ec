"""The questions of benchmarks/live.py to one web process: arms beside one another, as rows."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import psutil

from benchmarks.arms import Row, interleave, rows_of
from benchmarks.live_parts import Arm, Helper, Server, cpu_of

FPS = 10.0
SERVERS = ("daphne", "uvicorn")
CPU_GOALS = {"daphne": "≤ 0.20", "uvicorn": "≤ 0.125"}
QUIET_SECONDS = 0.5  # without a message: nothing more comes
LAST_SECONDS = 0.3  # for the last frame, which is on its way
SHARE = 40  # sockets of one person on one process, below our limit of 50
WARM_SOCKETS = 100  # opened and closed before idle ones are counted: caches, threads, imports
IDLE_KIB = 24  # the goal
PAIR, EACH = 2, 1  # previews for one acknowledgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    viewers: int  # of one job's preview
    slice_seconds: float
    rounds: int
    idle: int  # sockets
    idle_rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One arm for some seconds."""

    web: float  # µs of CPU of the web process for one delivered frame
    redis: float  # µs of Redis' for one delivered frame
    worker: float  # µs of the publishing process for one published frame
    p50: float  # ms from the header's clock to the viewer
    p99: float
    delivered: float  # of what was published, to each that read


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    kib: float  # private memory for one socket
    connect: float  # ms of CPU for one socket


class Bench:
    def __init__(self, scale: Scale, world: Helper, viewers: Helper) -> None:
        self._scale, self._world, self._viewers = scale, world, viewers
        self._redis = psutil.Process(world.ask("redis_pid"))

    # --- Frames ---------------------------------------------------------------------------------

    def frames(self) -> dict[str, list[Row]]:
        """All viewers of one job read; then one of them does not."""
        viewers = self._scale.viewers
        cookies = self._cookies(viewers, jobs=0)
        with ExitStack() as stack:
            servers: dict[str, tuple[Server, int]] = {}
            for server in SERVERS:
                for app, each in (("group_send", PAIR), ("ours", PAIR), ("ours", EACH)):
                    arm = Arm(app=app, server=server)
                    name = str(arm) + (", an ack each" if each == EACH else "")
                    servers[name] = (Server(arm), each)
                    stack.callback(servers[name][0].close)
            acts: dict[str, Callable[[], Slice]] = {}
            for name, (web, each) in servers.items():
                act = self._watched(web, name, cookies, each)
                acts[name] = partial(act, stalled=0)
                if each == PAIR:
                    acts[f"{name}, one stalled"] = partial(act, stalled=1)
            slices = interleave(acts, self._scale.rounds)
        found = {}
        for server in SERVERS:
            mine = {name: part for name, part in slices.items() if f"on {server}" in name}
            title = f"{viewers} viewers × {FPS:.0f} frames/s of 7 KB, {server}"
            found[title] = _frame_rows(mine, server)
            found[f"one of {viewers} viewers stalls, {server}"] = _stall_rows(mine, server)
        return found

    def _cookies(self, sockets: int, *, jobs: int) -> list[str]:
        people = self._world.ask("people", count=-(-sockets // SHARE), jobs=jobs)["cookies"]
        return [people[n % len(people)] for n in range(sockets)]

    def _watched(
        self, server: Server, name: str, cookies: list[str], each: int
    ) -> Callable[..., Slice]:
        """With its viewers and a job that renders."""
        server.wait()
        job = self._world.ask("job")
        hello = [f'{{"type":"subscribe","job":"{job}"}}'] if server.arm.pages else []
        self._viewers.ask(
            "open",
            arm=name,
            url=server.url(job),
            cookies=cookies,
            hello=hello,
            pages=server.arm.pages,
            previews_an_ack=each,
        )
        self._viewers.ask("settle", arm=name, seconds=QUIET_SECONDS)
        return partial(self._slice, server, name, job)

    def _slice(self, server: Server, name: str, job: str, *, stalled: int) -> Slice:
        self._viewers.ask("begin", arm=name, stalled=stalled)
        web, redis = server.cpu, cpu_of(self._redis)
        published = self._world.ask(
            "publish",
            how="put_preview" if server.arm.pages else "group_send",
            job=job,
            fps=FPS,
            seconds=self._scale.slice_seconds,
        )
        time.sleep(LAST_SECONDS)
        web, redis = server.cpu - web, cpu_of(self._redis) - redis
        seen = self._viewers.ask("end", arm=name)
        assert seen["frames"], f"{name}: no frame arrived"
        if stalled:
            self._viewers.ask("settle", arm=name, seconds=QUIET_SECONDS)
        return Slice(
            web=web / seen["frames"] * 1e6,
            redis=redis / seen["frames"] * 1e6,
            worker=published["cpu"],
            p50=seen["p50"] / 1000,
            p99=seen["p99"] / 1000,
            delivered=seen["frames"] / (self._scale.viewers - stalled) / published["frames"],
        )

    # --- Sockets that wait ----------------------------------------------------------------------

    def idle(self) -> dict[str, list[Row]]:
        """Each time on a new process, so that nothing is left of the sockets before."""
        jobs = 4  # that wait, of each person
        cookies = self._cookies(self._scale.idle, jobs=jobs)
        mine = ['{"type":"subscribe","mine":true}']
        kinds: dict[str, tuple[str, list[str]]] = {
            "group_send": ("group_send", []),
            "ours": ("ours", []),
            f"ours, my queue of {jobs} jobs": ("ours", mine),
        }
        acts = {
            f"{kind} on {server}": partial(self._waits, Arm(app=app, server=server), cookies, hello)
            for server in SERVERS
            for kind, (app, hello) in kinds.items()
        }
        found: dict[str, list[Idle]] = {name: [] for name in acts}
        for number in range(self._scale.idle_rounds):
            for name in list(acts)[:: -1 if number % 2 else 1]:
                found[name].append(acts[name]())
        rows: list[Row] = []
        for server in SERVERS:
            part = {name: values for name, values in found.items() if name.endswith(server)}
            goals = {name: f"≤ {IDLE_KIB} KiB" for name in part if name.startswith("ours")}
            for field, unit in (("kib", " KiB"), ("connect", " ms CPU to connect")):
                rows += rows_of(
                    {name: [getattr(one, field) for one in many] for name, many in part.items()},
                    f"group_send on {server}",
                    label="a socket",
                    goals=goals if field == "kib" else {},
                    best=min,
                    unit=unit,
                )
        return {f"{self._scale.idle:,} idle sockets": rows}

    def _waits(self, arm: Arm, cookies: list[str], hello: list[str]) -> Idle:
        server, job = Server(arm), str(uuid4())
        try:
            server.wait()
            self._sit(server, job, cookies[:WARM_SOCKETS], hello)
            self._viewers.ask("close", arm=str(arm))
            time.sleep(QUIET_SECONDS)  # the server takes leave of them
            memory, cpu = server.private_kib, server.cpu
            self._sit(server, job, cookies, hello)
            memory, cpu = server.private_kib - memory, server.cpu - cpu
            self._viewers.ask("close", arm=str(arm))
        finally:
            server.close()
        return Idle(kib=memory / len(cookies), connect=cpu / len(cookies) * 1000)

    def _sit(self, server: Server, job: str, cookies: list[str], hello: list[str]) -> None:
        self._viewers.ask(
            "open",
            arm=str(server.arm),
            url=server.url(job),
            cookies=cookies,
            hello=hello,
            pages=server.arm.pages,
            previews_an_ack=PAIR,
        )
        self._viewers.ask("settle", arm=str(server.arm), seconds=1.0)


def _frame_rows(slices: Mapping[str, list[Slice]], server: str) -> list[Row]:
    """Without the stalled ones."""
    whole = {name: part for name, part in slices.items() if "stalled" not in name}
    ours = [name for name in whole if name.startswith("ours")]
    goals = {
        "web": dict.fromkeys(ours, CPU_GOALS[server]),
        "p99": dict.fromkeys(ours, "≤ 0.25"),
    }
    units = {
        "web": ("the web's CPU", " µs a delivered frame"),
        "redis": ("Redis' CPU", " µs a delivered frame"),
        "worker": ("the worker's CPU", " µs a frame"),
        "p50": ("p50", " ms"),
        "p99": ("p99", " ms"),
        "delivered": ("delivered", " of all"),
    }
    rows: list[Row] = []
    for field, (label, unit) in units.items():
        rows += rows_of(
            {name: [getattr(one, field) for one in many] for name, many in whole.items()},
            f"group_send on {server}",
            label=label,
            goals=goals.get(field, {}),
            best=max if field == "delivered" else min,
            unit=unit,
        )
    return rows


def _stall_rows(slices: Mapping[str, list[Slice]], server: str) -> list[Row]:
    """The p99 of the others, beside the same arm's when everybody reads."""
    rows: list[Row] = []
    for app in ("group_send", "ours"):
        base = f"{app} on {server}"
        names = (base, f"{base}, one stalled")
        found = {name: [one.p99 for one in slices[name]] for name in names}
        rows += rows_of(found, base, label="p99", goals={}, best=min, unit=" ms")
    return rows
