"""The supervisor with real processes: logs, restarts, an end that leaves nothing behind."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0  # seconds; two shared cores are slow at times

# argv: stop_seconds, then name and Python source (or "PROGRAM" and its path) of each part.
HARNESS = """
import sys
from t2v_site.supervisor import Part, Supervisor
stop_seconds, *rest = sys.argv[1:]
NEVER = 10**9 if 'broken' in rest else 0
argv = lambda c: [c.removeprefix("PROGRAM ")] if "PROGRAM" in c else [sys.executable, "-c", c]
parts = [Part(n, argv(c)) for n, c in zip(rest[::2], rest[1::2])]
asked = []
supervisor = Supervisor(parts, lambda: None, stop_seconds=float(stop_seconds))
sys.exit(supervisor.run(lambda: asked.append(1) or len(asked) == 2 + NEVER, lambda: print("READY")))
"""
# As Python speaks into a pipe or a file where nobody has set otherwise.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
WAITS = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
# Says that it was asked to end, and goes on.
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); " + WAITS
)
PARENT = (
    "import os, subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', "
    "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)']); "
    "print('grandchild', c.pid, flush=True); time.sleep(600)"
)


def eventually(question: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not question():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def all_die(pids: list[int]) -> None:
    """A moment after the signal that kills them."""
    eventually(lambda: not any(alive(pid) for pid in pids), "an orphan is left")


class Site:
    """A supervisor in a process of its own, its output in a file."""

    def __init__(self, log: Path, *parts: str, stop_seconds: float = 8) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HARNESS, str(stop_seconds), *parts],
                cwd=ROOT,
                env=BUFFERED,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.log.read_text()

    def says(self, words: str, times: int = 1) -> None:
        def said() -> bool:
            return len(re.findall(words, self.text())) >= times

        eventually(said, f"{words!r} was not said {times} times:\n{self.text()}")

    def pids(self) -> list[int]:
        """The main processes of the parts, and what their lines call a grandchild."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").parent.parent
        children = [
            int(pid) for task in listed.iterdir() for pid in (task / "children").read_text().split()
        ]
        return children + [int(pid) for pid in re.findall(r"grandchild (\d+)", self.text())]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def start(*parts: str, stop_seconds: float = 8) -> Site:
        made.append(Site(tmp_path / f"{len(made)}.log", *parts, stop_seconds=stop_seconds))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_each_line_says_when_and_from_whom_it_is(site: Callable[..., Site]) -> None:
    run = site("web", WAITS, "worker", "print('é' * 20000, flush=True); " + WAITS)
    run.says(r"\d\d:\d\d:\d\d web +\| here")
    run.says(r"\d\d:\d\d:\d\d worker +\| here")
    assert run.end(signal.SIGINT) == 0
    lines = run.text().splitlines()
    assert max(len(line.encode()) for line in lines) < 9000, "an endless line was printed whole"
    assert sum(line.count("é") for line in lines) >= 19_990


def test_ready_is_asked_until_it_says_yes_and_told_once(site: Callable[..., Site]) -> None:
    run = site("web", WAITS)
    run.says("READY")
    run.says("here")
    assert run.end(signal.SIGTERM) == 0
    assert run.text().count("READY") == 1


def test_a_part_that_dies_starts_again_ever_later_and_then_ends_everything(
    site: Callable[..., Site],
) -> None:
    run = site("broken", "print('no key', flush=True); raise SystemExit(3)", "web", WAITS)
    begin = time.monotonic()
    assert run.process.wait(DEADLINE) == 1
    assert time.monotonic() - begin > 0.5 + 1 + 2 + 4, "the pauses did not double"
    said = run.text()
    assert said.count("broken ended with exit code 3; it starts again in") == 4
    assert said.count("no key") == 5
    assert "5 times within its first 10 s" in said


def test_a_killed_part_comes_back_and_leaves_no_grandchild(site: Callable[..., Site]) -> None:
    run = site("worker", PARENT)
    run.says("grandchild")
    worker = [pid for pid in run.pids() if b"import os, subprocess" in _argv(pid)]
    grandchild = int(re.findall(r"grandchild (\d+)", run.text())[0])
    os.kill(worker[0], signal.SIGKILL)
    run.says("worker was killed by signal 9; it starts again in 0.5 s")
    run.says("grandchild", times=2)
    all_die([grandchild])
    assert run.end(signal.SIGINT) == 0


def _argv(pid: int) -> bytes:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_and_the_exit_code_is_zero(
    site: Callable[..., Site], number: signal.Signals
) -> None:
    run = site("web", WAITS, "worker", PARENT, stop_seconds=DEADLINE)
    run.says("here")
    run.says("grandchild")
    pids = run.pids()
    assert len(pids) == 4  # web, worker, the watchdog, the grandchild
    begin = time.monotonic()
    assert run.end(number) == 0
    assert time.monotonic() - begin < DEADLINE / 2  # it does not wait for its whole time
    all_die(pids)


def test_a_stubborn_part_is_killed_at_the_end_of_its_time(site: Callable[..., Site]) -> None:
    run = site("worker", STUBBORN, stop_seconds=1)
    run.says("here")
    pids = run.pids()
    begin = time.monotonic()
    assert run.end(signal.SIGTERM) == 0
    assert 1 <= time.monotonic() - begin < DEADLINE / 2
    assert "worker did not stop in time" in run.text()
    all_die(pids)


def test_a_second_ctrl_c_does_not_wait(site: Callable[..., Site]) -> None:
    run = site("worker", DEAF, stop_seconds=600)
    run.says("here")
    pids = run.pids()
    run.process.send_signal(signal.SIGINT)
    run.says("asked")  # two signals at the same moment count as one
    assert run.end(signal.SIGINT) == 0
    all_die(pids)


def test_nothing_outlives_a_supervisor_that_was_killed(site: Callable[..., Site]) -> None:
    run = site("web", WAITS, "worker", PARENT, "stubborn", STUBBORN, stop_seconds=1)
    run.says("here", times=2)
    run.says("grandchild")
    pids = run.pids()
    assert len(pids) == 5
    run.process.kill()
    run.process.wait()
    all_die(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_make_alone_reaches_the_site(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "harness.py").write_text(HARNESS)
    (tmp_path / "part.py").write_text(WAITS)
    (tmp_path / "Makefile").write_text(
        f"run:\n\t@exec {shlex.quote(sys.executable).replace('$', '$$')} harness.py 8 web "
        "'exec(open(\"part.py\").read())'\n"
    )
    log = tmp_path / "log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            ["make", "run"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        ) as make,
    ):
        eventually(lambda: "here" in log.read_text(), "the part never started")
        make.send_signal(number)
        make.wait(DEADLINE)
    members = list(Path("/proc").glob("[0-9]*/stat"))
    eventually(lambda: not _of_session(members, make.pid), "the supervisor went on")


def _of_session(stats: list[Path], session: int) -> list[Path]:
    found = []
    for stat in stats:
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[3] == str(session) and fields[0] != "Z":
            found.append(stat)
    return found


def test_a_program_that_does_not_exist_is_said(site: Callable[..., Site], tmp_path: Path) -> None:
    run = site("worker", f"PROGRAM {tmp_path}/nothing")
    run.says(r"worker could not be started: \[Errno 2\] .*; it starts again in 0.5 s")
    assert run.end(signal.SIGTERM) == 0
    assert "Traceback" not in run.text()


def test_a_reader_that_goes_away_ends_the_site(tmp_path: Path) -> None:
    """Whatever is left in the buffer of a pipe that nobody reads: READY, for one."""
    talks = "import itertools, time\nfor n in itertools.count(): print(n, flush=True)"
    command = [sys.executable, "-c", HARNESS, "2", "web", talks]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=BUFFERED)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(DEADLINE) == 0
