"""Jobs on the screen until they end: bars for people, lines for programs."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from t2v_cli.failures import Failure
from t2v_cli.follow import FINAL, follow
from t2v_cli.screen import Screen, plain
from t2v_cli.site import Site

PROMPT_CHARS = 32  # of a prompt beside its bar
MOST_BARS = 20  # more would scroll; the others get a bar when one of these has ended


def nothing(job: dict[str, Any]) -> None:
    """For who need not know when a job ends."""


def until_all_end(
    screen: Screen,
    site: Site,
    jobs: Sequence[str],
    *,
    ended: Callable[[dict[str, Any]], None] = nothing,
    aside: bool = False,
) -> dict[str, dict[str, Any]]:
    """The jobs as they ended, by id. ended is called with each as it does. Raises Failure.

    aside: what is told on the way is no result, so that standard output stays free for one.
    """
    ends: dict[str, dict[str, Any]] = {}
    wanted = dict.fromkeys(jobs)
    try:
        with ExitStack() as stack:
            show = _shown(screen, stack, aside=aside)
            heard = follow(site, wanted)
            while len(ends) < len(wanted):
                news = heard.get()
                if isinstance(news, Failure):
                    raise news
                show(news.job, news.message)
                if news.message["type"] != "snapshot":
                    continue
                job = news.message["job"]
                if job["state"] in FINAL and news.job not in ends:
                    ends[news.job] = job
                    ended(job)
    except KeyboardInterrupt:
        left = [job for job in wanted if job not in ends]
        if len(left) == 1:
            screen.tell(f"Stopped watching; the job goes on. See it again: t2v watch {left[0]}")
        else:
            screen.tell(f"Stopped watching; {len(left)} jobs go on. t2v list shows them.")
        raise
    return ends


Show = Callable[[str, dict[str, Any]], None]


def _shown(screen: Screen, stack: ExitStack, *, aside: bool) -> Show:
    if screen.live:
        progress = Progress(
            TextColumn("{task.description}", markup=False),  # a prompt's brackets are its own
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}", markup=False),
            console=screen.err,
        )
        bars = _Bars(stack.enter_context(progress))
        return bars.show
    if not screen.as_json:
        return _Lines(screen.tell if aside else screen.say).show
    return (lambda _, __: None) if aside else (lambda _, message: screen.line(message))


class _Lines:
    """A line for each change of state."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._states: dict[str, str] = {}

    def show(self, job: str, message: dict[str, Any]) -> None:
        if message["type"] != "snapshot":
            return
        state = message["job"]["state"]
        if self._states.get(job) != state:
            self._states[job] = state
            self._say(" ".join([job, state, *_why(message["job"])]))


def _why(job: dict[str, Any]) -> list[str]:
    told = [job.get("error_code"), job.get("error_message")]
    return [str(part) for part in told if part]


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._ended: set[str] = set()

    def show(self, job: str, message: dict[str, Any]) -> None:
        if job in self._ended or not self._has_bar(job):
            return
        task = self._tasks[job]
        match message["type"]:
            case "snapshot":
                self._snapshot(job, task, message["job"])
            case "tick":
                words = f"{message['phase']}, {message['step']} of {message['steps']}"
                if message.get("seconds_left") is not None:
                    words += f", {message['seconds_left']:.0f} s left"
                self._progress.update(
                    task, completed=message["step"], total=message["steps"], words=words
                )
            case "place":
                self._progress.update(task, words=_place(message["place"]))

    def _has_bar(self, job: str) -> bool:
        if job not in self._tasks:
            if len(self._tasks) - len(self._ended) >= MOST_BARS:
                return False
            self._tasks[job] = self._progress.add_task(job[-12:], total=None, words="")
        return True

    def _snapshot(self, job: str, task: TaskID, snapshot: dict[str, Any]) -> None:
        state, prompt = snapshot["state"], plain(snapshot["prompt"])
        cut = prompt if len(prompt) <= PROMPT_CHARS else prompt[: PROMPT_CHARS - 1] + "…"
        words = ", ".join([state, *_why(snapshot)])
        if state == "queued" and snapshot.get("place") is not None:
            words = _place(snapshot["place"])
        self._progress.update(
            task,
            description=f"{job[-12:]} {cut:{PROMPT_CHARS}}",
            completed=snapshot["step"] or 0,
            total=snapshot["steps"],
            words=plain(words),
        )
        if state in FINAL:
            self._progress.stop_task(task)
            self._ended.add(job)


def _place(place: int) -> str:
    return "queued, the next" if place == 0 else f"queued, {place} before it"
