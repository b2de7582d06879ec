"""Start, stop and restart of `make run`: nothing is left over, no job is left in a lie."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import urllib3

from tests.stage import PASSWORD, ROOT, Caller, System, running, running_first

pytestmark = [pytest.mark.whole, pytest.mark.timeout(900)]
STOP_SECONDS = 20  # 8 for the parts, or they are killed; then Postgres and Redis


def _shell(system: System, code: str) -> str:
    """manage.py in a second terminal: it finds the running services by itself."""
    env = {"T2V_VAR": str(system.var), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


_SUBMIT = """
from accounts.models import User
from jobs import actions, offer
spec = offer.make_spec(model=None, prompt="a red circle moving right", size=None, frames=None,
                       steps={steps}, guidance=None, seed=1)
print(actions.submit(owner=User.objects.get(email="alice@example.com"), spec=spec).pk)
"""
_LOOK = """
from jobs.models import Job
job = Job.objects.get(pk="{job}")
print(job.state, job.attempt, job.spent, job.step, job.error_code)
"""


def _submitted(system: System) -> str:
    """A job of 600 steps, as soon as it runs: a shell may need longer than the render to see it."""
    alice = Caller(system.url)
    job = alice.submit(steps=600)
    alice.wait_for(job, "running")
    return job


def _stop(system: System, number: signal.Signals) -> None:
    assert len(system.processes()) >= 4
    took = system.stop(number)
    assert took < STOP_SECONDS, "".join(system.lines[-40:])
    assert system.processes() == []


def test_a_stop_or_a_killed_worker_ends_no_job_and_leaves_no_process(tmp_path: Path) -> None:
    """Two lives of one site: each start takes its time."""
    var = tmp_path / "a folder with spaces" / "var"
    var.parent.mkdir()
    with running_first(var) as system:
        job = _submitted(system)
        _stop(system, signal.SIGTERM)
    # The services are down; the command starts them for itself, and ends them again.
    assert _shell(system, _LOOK.format(job=job)).split()[:3] == ["queued", "1", "0"]
    assert system.processes() == []

    with running(var) as again:
        again.wait_for(f"{job}: attempt 2 succeeded", 240)
        assert again.ready_after < 60  # other systems start beside it
        assert _shell(again, _LOOK.format(job=job)).split()[:3] == ["succeeded", "2", "1"]

        job = _submitted(again)
        workers = [p for p in again.processes() if "celery" in " ".join(p.cmdline())]
        assert workers
        for process in workers:
            process.kill()
        psutil.wait_procs(workers, timeout=5)
        again.wait_for(f"{job}: attempt 2 succeeded", 240)

        job = _submitted(again)
        _stop(again, signal.SIGINT)  # Ctrl-C
    assert _shell(again, _LOOK.format(job=job)).split()[:3] == ["queued", "1", "0"]


@pytest.mark.long
def test_two_run_side_by_side_and_a_second_on_one_port_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        _shell(one, _SUBMIT.format(steps=8))
        count = "from jobs.models import Job; print(Job.objects.count())"
        assert (_shell(one, count), _shell(two, count)) == ("1", "0")
        assert PASSWORD in "".join(two.lines)

        port = one.url.rpartition(":")[2]
        done = subprocess.run(
            ["make", "run"],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "T2V_PORT": port, "T2V_VAR": str(tmp_path / "other")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "T2V_PORT" in done.stderr + done.stdout
        # The first one goes on.
        answer = urllib3.PoolManager().request("GET", f"{one.url}/healthz/ready")
        assert answer.status == 200
