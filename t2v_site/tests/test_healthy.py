"""`manage.py healthy`: what a container's health check asks, without Django and within a second."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.signs import SILENT_SECONDS, Sign
from t2v_site import healthy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("T2V_VAR", str(tmp_path))
    return tmp_path


def age(var: Path, part: str, seconds: float) -> None:
    """As if its last sign were so old."""
    (path,) = (var / "signs").glob(f"{part}-*.sign")
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"at": time.monotonic() - seconds}))


@pytest.mark.parametrize("part", sorted(SILENT_SECONDS))
def test_a_part_is_healthy_while_it_shows_signs_and_ready_while_nothing_hinders_it(
    var: Path, part: str
) -> None:
    assert healthy.look(part, ready=False) == (
        False,
        f"No {part} lives here, or it has only just begun.",
    )
    sign = Sign(var, part)
    sign.show("Postgres does not answer.")
    assert healthy.look(part, ready=False)[0]
    is_ready, words = healthy.look(part, ready=True)
    assert (is_ready, words.partition(": ")[2]) == (False, "Postgres does not answer.")
    sign.show()
    assert healthy.look(part, ready=True)[0]
    age(var, part, SILENT_SECONDS[part] + 1)
    assert not healthy.look(part, ready=False)[0]


def test_signs_of_dead_processes_and_of_an_earlier_start_of_the_machine_count_for_nothing(
    var: Path,
) -> None:
    sign = Sign(var, "sweep")
    sign.show()
    (path,) = (var / "signs").glob("*.sign")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old = path.with_name(path.name.replace(f"-{os.getpid()}.", f"-{ended.pid}."))
    path.rename(old)
    assert not healthy.look("sweep", ready=False)[0]
    sign.show()
    assert not old.exists(), "the next process clears it away"
    age(var, "sweep", -1e6)
    assert not healthy.look("sweep", ready=False)[0]


def test_a_sign_of_a_dead_process_whose_number_was_given_again_counts_for_nothing(
    var: Path,
) -> None:
    """As after a kill of all and a new start."""
    sign = Sign(var, "sweep")
    sign.show()
    (path,) = (var / "signs").glob("*.sign")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
        old = path.with_name(path.name.replace(f"-{os.getpid()}.", f"-{stranger.pid}."))
        old.write_text(json.dumps(json.loads(path.read_text()) | {"at": 0.0}))
        assert healthy.look("sweep", ready=False)[0]
        path.unlink()
        assert not healthy.look("sweep", ready=False)[0]
        sign.show()
        assert not old.exists()


def test_the_real_command_answers_by_its_exit_code_and_sets_no_django_up(var: Path) -> None:
    Sign(var, "worker").show()
    code = (
        "import runpy, sys; sys.argv = ['manage.py', 'healthy', 'worker', '--ready']\n"
        "try: runpy.run_path('manage.py', run_name='__main__')\n"
        "finally: print({'jobs.models', 'torch'} & set(sys.modules) or 'no Django')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"T2V_VAR": str(var), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The worker lives and works; 1 of it.\nno Django\n"


@pytest.mark.usefixtures("var")
def test_a_part_that_shows_no_sign_makes_the_check_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert healthy.main(["sweep"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "sweep" in said.err


def test_a_site_is_asked_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz/live" else 503)
            self.end_headers()
            self.wfile.write(b"draining")

        log_message: Callable[..., None] = lambda *_: None

    with http.server.HTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        monkeypatch.setenv("T2V_HOST", "0.0.0.0")  # noqa: S104
        monkeypatch.setenv("T2V_PORT", str(site.server_address[1]))
        assert healthy.look("site", ready=False)[0]
        assert healthy.look("site", ready=True) == (False, "/healthz/ready answers 503: draining")
        site.shutdown()
    assert healthy.look("site", ready=False)[0] is False
