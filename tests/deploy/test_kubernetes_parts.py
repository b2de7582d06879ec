"""Each pod of deploy/kubernetes against the code that runs in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.urls import resolve

from gpu_worker import tasks
from jobs import catalog
from jobs.webhooks import tasks as webhooks
from t2v_site import draining, healthy
from t2v_site.management.commands import up
from tests.deploy.cluster import (
    NAMES,
    ROOT,
    containers,
    environment,
    of_kind,
    part_of,
    templates,
)
from tests.deploy.kustomize import Object

each_overlay = pytest.mark.parametrize("name", NAMES)

# Parent and child of a worker end, and the kernel takes back the GPU, in so much beside the drain.
LEAVE_SECONDS = 5
OURS = ("web", "live", "sender", "sweep", "worker", "migrate")
SECRETS = {
    "secret-key": "k" * 25 + "0123456789abcdefghijklmnopqrstuvw",
    "database-url": "postgresql://t2v_web:w8Zr3kQ@postgres-rw:5432/t2v?sslmode=require",
    "redis-url": "redis://t2v_web:q7Lm2vX@redis:6379/0",
    "smtp-url": "smtps://mail:h5Jd8nC@mail.example.com:465",
    "metrics-token": "m" * 12 + "0123456789abcdef",
    "access-key": "AKIA5T2VTESTKEY00001",
    "secret-key-of-s3": "r4Ty7Ui1Op3As5Df8Gh0Jk2Lz6Xc9Vb",
}


def _pod(name: str, part: str) -> Object:
    return next(template for _, template in templates(name) if part_of(template) == part)


def _container(name: str, part: str) -> Object:
    found: Object = _pod(name, part)["spec"]["containers"][0]
    return found


@each_overlay
def test_every_container_has_limits_a_version_and_no_rights(name: str) -> None:
    seen = 0
    for _, template in templates(name):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for each in containers(template):
            seen += 1
            assert {"cpu", "memory"} <= set(each["resources"]["requests"])
            assert {"cpu", "memory"} <= set(each["resources"]["limits"])
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            _, _, tag = each["image"].rpartition("/")[2].partition(":")
            assert re.fullmatch(r"\d+\.\d+\.\d+(-cpu)?", tag), each["image"]
        assert not any("hostPath" in volume for volume in pod["volumes"])
    assert seen >= 13


@each_overlay
def test_all_parts_of_one_version_and_the_migrations_are_of_that_version(name: str) -> None:
    site = {each["image"] for part in OURS[:4] for each in containers(_pod(name, part))}
    assert len(site) == 1
    assert {each["image"] for each in containers(_pod(name, "migrate"))} == site
    (job,) = [
        each for each in of_kind(name, "Job") if part_of(each["spec"]["template"]) == "migrate"
    ]
    tag = site.pop().rpartition(":")[2]
    assert job["metadata"]["name"] == f"migrate-{tag}"
    worker = _container(name, "worker")["image"].rpartition(":")[2]
    assert worker.removesuffix("-cpu") == tag
    # Nobody starts on a schema that is behind its code.
    for part in OURS[:5]:
        waits = _pod(name, part)["spec"]["initContainers"][0]
        assert waits["command"] == ["python", "manage.py", "migrate", "--check"]


def test_each_part_is_started_as_on_one_machine() -> None:
    parts = {part.name: [word for word in part.argv[1:] if word] for part in up._parts()}
    calm = parts["worker"].index("-m")  # what is said to root there need not be said here
    site = [*parts["web"]]
    site[site.index("-b") + 1], site[site.index("-p") + 1] = "0.0.0.0", "8000"  # noqa: S104
    for name in NAMES:
        command = {part: _container(name, part)["command"][1:] for part in OURS[:5]}
        assert command["web"] == command["live"] == site
        assert command["sender"] == parts["webhooks"][calm:]
        assert command["sweep"] == ["manage.py", "sweep"]
        queue = parts["worker"][calm:]
        assert command["worker"][:-1] == queue[:-1]
        assert command["worker"][-1] == "gpu.$(T2V_POOL)"
        assert queue[-1].startswith("gpu.")


@each_overlay
def test_probes_ask_what_answers(name: str) -> None:
    for part in OURS[:5]:
        container = _container(name, part)
        for which in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[which]
            if part in ("web", "live"):
                path = probe["httpGet"]["path"]
                wanted = "ready" if which == "readinessProbe" else "live"
                assert resolve(path).func.__name__ == wanted
                assert probe["httpGet"]["port"] in {port["name"] for port in container["ports"]}
            else:
                wanted_words = [part, *(["--ready"] if which == "readinessProbe" else [])]
                assert probe["exec"]["command"] == ["python", "manage.py", "healthy", *wanted_words]
                assert part in healthy.PARTS
            # A probe that takes longer is one that failed.
            assert probe["timeoutSeconds"] >= (5 if "httpGet" in probe else 10)


@each_overlay
def test_every_setting_exists_and_the_settings_start_with_them(name: str, tmp_path: Path) -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(T2V_\w+)` \|[^|]*\|(.*)\|$", page, re.MULTILINE))
    asked = []
    for _, template in templates(name):
        if part_of(template) == "redis":
            continue
        for each in containers(template):
            said = environment(name, each)
            for variable in said:
                plain = variable.removesuffix("_FILE")
                assert plain in rows, variable
                assert variable == plain or rows[plain].strip().startswith("*file*")
            asked.append(_with_files(said, each, template, tmp_path))
    assert len(asked) >= 12
    code = """
import importlib, json, os, sys
for said in json.load(sys.stdin):
    for module in [each for each in sys.modules if each.startswith("t2v_site")]:
        del sys.modules[module]
    for variable in [each for each in os.environ if each.startswith("T2V_")]:
        del os.environ[variable]
    os.environ.update(said)
    settings = importlib.import_module("t2v_site.settings")
    print(settings.PRODUCTION, settings.T2V_POOL, settings.S3_BUCKET)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=dict(os.environ),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(asked)
    assert all(line.startswith("True ") for line in lines)
    pools = {line.split()[1] for line in lines}
    assert pools == ({"default"} if name == "small" else {"default", "large"})
    assert any(line.endswith(" t2v-videos") for line in lines) == (name != "small")


def _with_files(
    said: dict[str, Any], container: Object, template: Object, folder: Path
) -> dict[str, Any]:
    """said, with each secret's file as this pod would mount it, below folder."""
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    given: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        items = list(volume.get("secret", {}).get("items", []))
        for source in volume.get("projected", {}).get("sources", []):
            items += source["secret"]["items"]
        for item in items:
            dummy = item["path"]
            if mount["name"] == "storage" and dummy == "secret-key":
                dummy = "secret-key-of-s3"
            given[f"{mount['mountPath']}/{item['path']}"] = SECRETS[dummy]
    found = dict(said)
    for variable, value in said.items():
        if variable.endswith("_FILE"):
            file = folder / value.strip("/").replace("/", "-")
            file.write_text(given[value], encoding="utf-8")  # KeyError: no such file in the pod
            found[variable] = str(file)
    return found


@each_overlay
def test_what_is_told_to_end_has_the_time_that_the_code_takes(name: str) -> None:
    for part in ("web", "live"):
        drain = float(environment(name, _container(name, part))["T2V_DRAIN_SECONDS"])
        # A Service is rid of a pod within some seconds of the order to end.
        assert drain >= 5
        takes = drain + draining.FINISH_SECONDS + draining.CLOSE_SECONDS
        assert _grace(name, part) >= takes + LEAVE_SECONDS
    assert _grace(name, "sender") >= webhooks.STOP_SECONDS + LEAVE_SECONDS
    for template in (each for _, each in templates(name) if part_of(each) == "worker"):
        grace = template["spec"]["terminationGracePeriodSeconds"]
        assert grace >= tasks.STOP_SECONDS + LEAVE_SECONDS
        # SIGTERM itself is the drain: a hook before it would only take its time.
        assert "lifecycle" not in template["spec"]["containers"][0]
        if name == "spot":
            assert grace <= 30  # a cloud gives no more


def _grace(name: str, part: str) -> float:
    return float(_pod(name, part)["spec"]["terminationGracePeriodSeconds"])


def test_a_node_that_may_go_any_time_loses_seconds_and_asks_nobody() -> None:
    usual = environment("gpu", _container("gpu", "worker")).get("T2V_CHECKPOINT_SECONDS", "10")
    assert int(environment("spot", _container("spot", "worker"))["T2V_CHECKPOINT_SECONDS"]) < int(
        usual
    )
    assert environment("spot", _container("spot", "worker"))["T2V_WORKER_SPOT"] == "1"
    assert "T2V_WORKER_SPOT" not in environment("gpu", _container("gpu", "worker"))
    budgets = {each["metadata"]["name"] for each in of_kind("spot", "PodDisruptionBudget")}
    assert budgets == {"web", "live", "sweep"}
    for _, template in templates("spot"):
        keys = {each["key"] for each in template["spec"].get("tolerations", [])}
        assert ("t2v/spot" in keys) == (part_of(template) == "worker")


def test_models_are_read_where_the_job_puts_them() -> None:
    job = _container("other", "models")
    assert job["command"][:4] == ["python", "manage.py", "models", "download"]
    assert job["command"][4] in catalog.load(ROOT / "deploy/models.toml")
    places = set()
    for part in ("models", "worker"):
        spec = _pod("other", part)["spec"]
        (volume,) = [each for each in spec["volumes"] if each["name"] == "models"]
        (mount,) = [
            each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "models"
        ]
        folder = environment("other", spec["containers"][0])["T2V_MODELS_DIR"]
        assert folder == mount["mountPath"]
        places.add((folder, volume["persistentVolumeClaim"]["claimName"]))
    assert len(places) == 1


@pytest.mark.parametrize("name", ["gpu", "spot", "other"])
def test_a_worker_has_one_gpu_and_never_waits_for_its_predecessors(name: str) -> None:
    workers = [
        each for each in of_kind(name, "Deployment") if "t2v/pool" in each["metadata"]["labels"]
    ]
    assert len(workers) == 2
    for each in workers:
        assert each["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert environment(name, container)["T2V_POOL"] == each["metadata"]["labels"]["t2v/pool"]
        shm = [v for v in each["spec"]["template"]["spec"]["volumes"] if v["name"] == "shm"]
        assert shm[0]["emptyDir"]["medium"] == "Memory"
