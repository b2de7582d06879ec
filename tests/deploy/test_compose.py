"""One box by compose: what its services run, know, reach, and wait for."""

import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.urls import resolve

from gpu_worker import tasks
from t2v_site import bodies, draining, healthy
from t2v_site.management.commands import up
from tests.deploy.composition import FILE, ROOT, composition, dotenv, names_asked_for

BOX = {"T2V_BASE_URL": "https://video.example.com", "T2V_SITE_ADDRESS": "video.example.com"}
ALL = composition(BOX)
SERVICES: dict[str, dict[str, Any]] = ALL["services"]
CADDYFILE = (ROOT / "deploy/proxy/Caddyfile").read_text(encoding="utf-8")
SITE = ("web", "live", "sender", "sweep", "migrate", "bucket")
WORKERS = ("worker", "worker-cpu", "models")
ONCE = ("migrate", "roles", "bucket", "models")
EVERY = pytest.mark.parametrize("name", SERVICES)


def _environment(name: str) -> dict[str, str]:
    return {key: str(text) for key, text in SERVICES[name].get("environment", {}).items()}


def test_compose_keeps_to_the_specification() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    assert checker.exists(), "check-jsonschema is missing: make setup-dev installs it"
    schema = ["--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([checker, *schema, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@EVERY
def test_a_service_is_contained_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert not service.get("privileged")
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    resources = service["deploy"]["resources"]
    assert resources["limits"].keys() == {"cpus", "memory"}
    assert "memory" in resources["reservations"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")


@EVERY
def test_an_image_is_built_here_or_pinned_to_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    if name in SITE + WORKERS:
        file = "site" if name in SITE else "worker"
        assert SERVICES[name]["build"]["dockerfile"] == f"deploy/{file}.Dockerfile"
        assert image == f"t2v-{file}:local"
    else:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", image), image


@EVERY
def test_what_keeps_running_is_watched(name: str) -> None:
    check = SERVICES[name].get("healthcheck", {})
    if name in ONCE:
        assert check in ({}, {"disable": True})
    else:
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries"} <= check.keys()


def test_a_part_is_watched_by_the_command_that_knows_it() -> None:
    parser = ArgumentParser()
    healthy.arguments(parser)
    for name, part, ready in (
        *(("web", "site", True), ("live", "site", True), ("sender", "sender", False)),
        *(("sweep", "sweep", False), ("worker", "worker", True), ("worker-cpu", "worker", True)),
    ):
        words = SERVICES[name]["healthcheck"]["test"]
        assert words[:4] == ["CMD", "python", "manage.py", "healthy"]
        asked = parser.parse_args(words[4:])
        assert (asked.part, asked.ready) == (part, ready), name
    for name in ("site", "worker"):
        [words] = re.findall(
            r'CMD \["python", "manage.py", "healthy", "(\w+)"\]',
            (ROOT / f"deploy/{name}.Dockerfile").read_text(encoding="utf-8"),
        )
        assert parser.parse_args([words]).part == name


def test_only_the_door_can_be_reached_from_other_machines() -> None:
    open_to_all = {
        name
        for name, service in SERVICES.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert open_to_all == {"proxy"}
    inside = {name for name, network in ALL["networks"].items() if network.get("internal")}
    assert inside == {"front", "data"}
    may_go_out = {name for name in SERVICES if set(SERVICES[name]["networks"]) & {"out"}}
    assert may_go_out == {"proxy", "web", "live", "sender", "models"}
    for name in ("postgres", "redis", "worker", "worker-cpu", "sweep"):
        assert SERVICES[name]["networks"] == ["data"]


def test_each_service_waits_for_those_that_it_asks() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            done = how["condition"] == "service_completed_successfully"
            assert done == (other in ONCE), (name, other)
            assert done or "test" in SERVICES[other]["healthcheck"], (name, other)
            assert set(SERVICES[other]["networks"]) & set(service["networks"]) or done, (
                name,
                other,
            )
    for name in ("web", "live", "sender", "sweep", "worker", "worker-cpu"):
        asked = {"migrate", "roles", "bucket", "redis", "store"}
        assert asked == set(SERVICES[name]["depends_on"])


def test_all_that_is_named_is_declared_and_nothing_else() -> None:
    for kind in ("volumes", "networks", "secrets"):
        used = {
            str(one).partition(":")[0]
            for service in SERVICES.values()
            for one in service.get(kind, [])
            if not str(one).startswith("./")
        }
        assert used == set(ALL[kind]), kind
    for service in SERVICES.values():
        for one in service.get("volumes", []):
            if one.startswith("./"):
                assert one.endswith(":ro")


def test_a_service_sees_the_secrets_that_it_names_and_no_other() -> None:
    for name, service in SERVICES.items():
        if name == "prometheus":
            continue  # its own file names the token
        words = str(service.get("environment")) + str(service.get("command"))
        named = set(re.findall(r"/run/secrets/(\w+)", words))
        assert named == set(service.get("secrets", [])), name
        texts = " ".join(_environment(name))
        assert not re.search(r"(PASSWORD|SECRET_KEY|ACCESS_KEY|TOKEN|_URL)(?!_|\w)", texts) or {
            key for key in _environment(name) if key.endswith("_URL")
        } == {"T2V_BASE_URL"}


def test_the_parts_run_by_the_commands_of_manage_py_up() -> None:
    parts = {part.name: list(part.argv) for part in up._parts()}

    def plain(words: list[str]) -> list[str]:
        """Without the interpreter, where it listens, the folder, and what root is told."""
        words = ["manage.py" if word.endswith("/manage.py") else word for word in words[1:]]
        for option in ("-b", "-p", "-W"):
            if option in words:
                at = words.index(option)
                del words[at : at + 2]
        return words

    for name, part in (
        *(("web", "web"), ("live", "web"), ("sender", "webhooks"), ("sweep", "sweep")),
        *(("worker", "worker"), ("worker-cpu", "worker")),
    ):
        assert SERVICES[name]["command"][0] == "python"
        assert plain(SERVICES[name]["command"]) == plain(parts[part]), name


def test_a_part_has_time_to_end_in_order() -> None:
    def seconds(name: str) -> int:
        return int(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    drain = 5 + draining.FINISH_SECONDS + draining.CLOSE_SECONDS  # T2V_DRAIN_SECONDS in production
    assert min(seconds("web"), seconds("live")) >= drain + 5
    assert min(seconds("worker"), seconds("worker-cpu")) >= tasks.STOP_SECONDS + 10


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secrets.sh makes."""
    folder = tmp_path_factory.mktemp("deploy")
    script = folder / "secrets.sh"
    script.write_bytes((ROOT / "deploy/secrets.sh").read_bytes())
    for _ in range(2):  # the second keeps what the first has made
        subprocess.run(["/bin/sh", script], check=True, capture_output=True)
    return folder / "secrets"


def test_the_secrets_are_made_once_and_closed_to_others(secrets: Path) -> None:
    assert {path.name for path in secrets.iterdir()} == set(ALL["secrets"])
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o444}
    for name, secret in ALL["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    before = (secrets / "t2v_secret_key").read_text()
    subprocess.run(["/bin/sh", secrets.parent / "secrets.sh"], check=True, capture_output=True)
    assert (secrets / "t2v_secret_key").read_text() == before
    acl = (secrets / "t2v_redis_acl").read_text().splitlines()
    assert acl[0] == "user default off"
    assert [line.split()[1] for line in acl[1:]] == ["t2v_web", "t2v_worker", "health"]
    for user in ("web", "worker"):
        url = (secrets / f"t2v_redis_url_{user}").read_text()
        password = re.findall(rf"redis://t2v_{user}:(\w{{64}})@redis:6379/0", url)[0]
        assert f"user t2v_{user} on >{password} " in "\n".join(acl)


@pytest.mark.parametrize("name", ["web", "migrate", "worker"])
def test_the_site_starts_with_what_a_service_is_told(name: str, secrets: Path) -> None:
    """Unknown and contradictory settings, weak keys and insecure addresses would stop it."""
    told = {
        key: text.replace("/run/secrets", str(secrets)) for key, text in _environment(name).items()
    }
    clean = {key: text for key, text in os.environ.items() if not key.startswith("T2V_")}
    clean.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "ERROR"],
        cwd=settings.BASE_DIR,
        env=clean | told,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_parts_of_one_image_are_told_the_same() -> None:
    for name in ("live", "sender", "sweep", "bucket"):
        assert _environment(name) == _environment("web"), name
    assert _environment("worker") == _environment("worker-cpu") == _environment("models")
    owner = {"T2V_DATABASE_URL_FILE": "/run/secrets/t2v_database_url_owner"}
    assert _environment("migrate") == _environment("web") | owner


def test_the_example_names_all_that_compose_asks_for() -> None:
    example = dotenv(ROOT / "deploy/.env.example")
    assert set(example) - {"COMPOSE_PROFILES"} == names_asked_for()
    assert set(example["COMPOSE_PROFILES"].split(",")) <= {"gpu", "cpu"}
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles["worker"] == ["gpu"]
    assert profiles["worker-cpu"] == ["cpu"]
    assert [name for name, profile in profiles.items() if profile] == list(WORKERS)


def test_a_box_without_its_address_does_not_start() -> None:
    for name in BOX:
        with pytest.raises(KeyError, match=name):
            composition({key: text for key, text in BOX.items() if key != name})


def test_the_door_leads_to_parts_and_pages_that_exist() -> None:
    for host, port in re.findall(r"reverse_proxy (\w+):(\d+)", CADDYFILE):
        service = SERVICES[host]
        assert port in str(service["command"]) + str(service["environment"])
        assert set(service["networks"]) & set(SERVICES["proxy"]["networks"])
    [live] = re.findall(r"@live path (.+)", CADDYFILE)
    assert set(live.split()) == {
        *("/ws/", "/api/v1/live"),
        *("/api/v1/events", "/api/v1/jobs/*/events"),
    }
    job = "01890000-0000-7000-8000-000000000000"
    assert resolve("/api/v1/events")
    assert resolve(f"/api/v1/jobs/{job}/events")
    sockets = (ROOT / "jobs/routing.py").read_text(encoding="utf-8")
    assert set(re.findall(r'case "(/[^"]+)"', sockets)) <= set(live.split())
    assert set(re.findall(r"\{\$(\w+)\}", CADDYFILE)) == set(SERVICES["proxy"]["environment"])


def test_the_door_lets_a_picture_in_and_believes_no_caller() -> None:
    [most] = re.findall(r"max_size (\d+)MB", CADDYFILE)
    assert int(most) * 1_000_000 > bodies.MOST_BYTES  # the site says no in its own words
    assert "trusted_proxies" not in CADDYFILE
    given = set(re.findall(r"header_up (\S+)", CADDYFILE))
    assert given == {"X-Request-ID", "-Traceparent", "-Tracestate"}  # what the site believes
    assert _environment("web")["T2V_TRUSTED_PROXIES"] == "1"


def test_prometheus_finds_the_parts_and_their_token() -> None:
    asked = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text("utf-8"))
    for job in asked["scrape_configs"]:
        if "authorization" not in job:
            continue
        [token] = SERVICES["prometheus"]["secrets"]
        assert job["authorization"]["credentials_file"] == f"/run/secrets/{token}"
        [found] = job["dns_sd_configs"]
        for name in found["names"]:
            assert _environment(name)["T2V_METRICS_TOKEN_FILE"] == f"/run/secrets/{token}"
            assert str(found["port"]) in (*SERVICES[name]["command"], "9100")
            assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert _environment("sweep")["T2V_METRICS_PORT"] == "9100"
    assert "\thandle @inside" in CADDYFILE
    assert "@inside path /metrics" in CADDYFILE


def test_redis_refuses_rather_than_forgets_and_keeps_its_file() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--requirepass" not in command


def test_yaml_says_nothing_twice() -> None:
    """Docker takes the last of two equal keys, silently."""

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    yaml.load(FILE.read_text(encoding="utf-8"), Strict)  # noqa: S506 - a safe one
