"""What the tests of the live page need beside a browser: a worker that does as it is told."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from t2v_site.embedded import DATABASE, REDIS, SECRET, Machine
from tests.stage import ROOT, System

_CODE = "import django; django.setup(); from tests.browser import backstage; backstage.main()"


class Stagehand:
    """Speaks to tests/browser/backstage.py; every order is done when its method returns."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _do(self, verb: str, **order: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": verb, **order}) + "\n")
        self._process.stdin.flush()
        return self.hear(verb)

    def hear(self, verb: str = "its start") -> Any:
        """The next answer."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer, f"backstage did not survive {verb}: its last words are above"
        return json.loads(answer)

    def start(self, count: int = 1, prompt: str = "a red circle moving right") -> list[str]:
        """Running jobs of alice; their ids."""
        made: list[str] = self._do("start", count=count, prompt=prompt)
        return made

    def preview(
        self, job: str, *, step: int, age_seconds: float = 0.0, broken: bool = False
    ) -> None:
        self._do("preview", job=job, step=step, age_seconds=age_seconds, broken=broken)

    def tick(self, job: str, *, step: int) -> None:
        self._do("tick", job=job, step=step)

    def flood(self, *jobs: str, per_second: float) -> None:
        """Previews until stop()."""
        self._do("flood", jobs=jobs, per_second=per_second)

    def stop(self) -> None:
        self._do("stop")

    def restart(self, job: str) -> None:
        """Its next attempt."""
        self._do("restart", job=job)

    def fail(self, job: str) -> None:
        self._do("fail", job=job)

    def set_active(self, email: str, active: bool) -> None:
        """Closes an account, or opens it again."""
        self._do("set_active", email=email, active=active)

    def fail_all(self) -> None:
        self._do("fail_all")

    def furnish(self) -> dict[str, str]:
        """What tests/browser/scenery.py makes: what stands in addresses, by name."""
        names: dict[str, str] = self._do("furnish")
        return names

    def session(self, email: str) -> str:
        """The key of a session of theirs."""
        return str(self._do("session", email=email))

    def render(self, template: str) -> str:
        """A page of the site's that only a failure brings about."""
        return str(self._do("render", template=template))

    def crowd(self, count: int) -> None:
        """So many clips more of alice, and they are known to the planner."""
        self._do("crowd", count=count)

    def cost(self, path: str, who: str, *, times: int) -> dict[str, Any]:
        """What an answer takes in Django alone: see benchmarks/pages.py."""
        found: dict[str, Any] = self._do("cost", path=path, who=who, times=times)
        return found

    def take(self, job: str) -> None:
        """Begins a job that waits."""
        self._do("take", job=job)

    def form(self, job: str, *, step: int) -> None:
        """A job that runs has come so far, and shows it."""
        self._do("form", job=job, step=step)

    def finish(self, job: str) -> None:
        """With its video."""
        self._do("finish", job=job)


@contextmanager
def stagehand(system: System) -> Iterator[Stagehand]:
    settings = Machine(system.var, frozenset({DATABASE, REDIS, SECRET})).environment()
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("T2V_")},
            **settings,
            "T2V_VAR": str(system.var),
            "T2V_MAX_UNFINISHED": "1000",
            "DJANGO_SETTINGS_MODULE": "t2v_site.settings",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Stagehand(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
