"""The house rules that a machine can check."""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from accounts import audit_verbs
from gpu_worker import tasks
from jobs import errors
from jobs.errors import Refusal

ROOT = Path(settings.BASE_DIR)
SOURCES = [
    path
    for folder in ("t2v_site", "jobs", "accounts", "gpu_worker", "t2v_cli")
    for path in (ROOT / folder).rglob("*.py")
    if "tests" not in path.parts and "migrations" not in path.parts
]
PURE = (
    "accounts.claims",
    "accounts.errors",
    "accounts.roles",
    "jobs.lifecycle",
    "jobs.spec",
    "jobs.events",
    "jobs.messages",
    "jobs.errors",
    "jobs.story",
    "jobs.forecast",
    "jobs.catalog",
    "jobs.qualities",
    "jobs.conformance",
)


def _python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", [*PURE, "gpu_worker.engine"])
def test_a_pure_module_loads_without_django(module: str) -> None:
    code = f"import sys, {module}; print('django' in sys.modules)"
    assert _python(code) == "False"


def test_the_site_loads_without_torch() -> None:
    code = """
import sys
import tomllib
class NoTorch:
    def find_spec(self, name, *rest):
        if name.split('.')[0] in {'torch', 'diffusers', 'transformers', 'numpy', 'av', 'PIL'}:
            raise ImportError(name)
sys.meta_path.insert(0, NoTorch())
import django
django.setup()
import t2v_site.asgi, t2v_site.urls
from django.urls import get_resolver
get_resolver().url_patterns
print('ok')
"""
    assert _python(code, DJANGO_SETTINGS_MODULE="t2v_site.settings") == "ok"


def test_celerys_parent_loads_its_tasks_without_torch() -> None:
    code = """
import sys
import tomllib
from t2v_site import celery_app
celery_app.loader.import_default_modules()
print(sorted({'torch', 'diffusers', 'gpu_worker.runner'} & set(sys.modules)),
      'gpu_worker.knock' in celery_app.tasks)
"""
    assert _python(code, DJANGO_SETTINGS_MODULE="t2v_site.settings") == "[] True"


def test_a_knock_is_acknowledged_early_and_carries_nothing_that_must_not_be_lost() -> None:
    """What a broker does with long tasks, lost workers and repeated messages then cannot matter."""
    assert settings.CELERY_TASK_ACKS_LATE is False
    assert settings.CELERY_TASK_IGNORE_RESULT is True
    assert settings.CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS is False
    assert settings.CELERY_WORKER_DISABLE_PREFETCH is True
    assert settings.CELERY_WORKER_POOL_START_METHOD == "spawn"
    assert not hasattr(settings, "CELERY_RESULT_BACKEND")
    assert not hasattr(settings, "CELERY_BEAT_SCHEDULE")
    assert list(inspect.signature(tasks.knock.run).parameters) == []


def test_every_way_to_fail_names_a_test_that_exists() -> None:
    page = (ROOT / "docs/reference/failure-modes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-Z]\d+) \|.*\| (.+) \|$", page, re.MULTILINE))
    known = [("C", 19), ("P", 7), ("S", 3), ("A", 3), ("W", 9)]
    wanted = [f"{letter}{number}" for letter, most in known for number in range(1, most + 1)]
    assert list(rows) == wanted
    for row, tests in rows.items():
        named = re.findall(r"`([\w/.]+)::(\w+)`", tests)
        assert named, f"{row} names no test"
        for file, name in named:
            code = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", code, re.MULTILINE), f"{row}: {name}"


def test_every_security_row_names_a_test_or_a_document() -> None:
    page = (ROOT / "docs/reference/security.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (S\d\d) \|.*\| (.+) \|$", page, re.MULTILINE))
    assert list(rows) == [f"S{number:02}" for number in range(1, 31)]
    assert "| later |" in page.splitlines()[-1]
    del rows["S30"]
    for row, held_by in rows.items():
        tests = re.findall(r"`([\w/.]+)::(\w+)`", held_by)
        documents = re.findall(r"\]\(([^)#]+)", held_by)
        assert tests or documents, f"{row} names nothing"
        for file, name in tests:
            code = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", code, re.MULTILINE), f"{row}: {name}"
        for document in documents:
            assert (ROOT / "docs/reference" / document).exists(), f"{row}: {document}"


def test_every_verb_of_the_audit_log_is_explained() -> None:
    page = (ROOT / "docs/reference/audit.md").read_text(encoding="utf-8")
    recorded = {
        verb
        for path in SOURCES
        for verb in re.findall(
            r"(?:audit\.record|_audit)\(\s*\"(\S+)\"", path.read_text(encoding="utf-8")
        )
    }
    assert len(recorded) >= 9
    assert set(audit_verbs.VERBS) <= set(re.findall(r"`([a-z]+\.[a-z_]+|signout)`", page))
    assert [verb for verb in sorted(recorded) if f"`{verb}`" not in page] == []


def test_the_migrations_say_what_the_models_say(db: None) -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "common", "base", "misc", "manager"}
    assert [path for path in SOURCES if path.stem in empty] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"\bself\.retry\(|\beta=|countdown=", "delays live in Job.run_at, never in Celery"),
        (r"\bgroup_send\b(?!\)\(CONTROL)", "the channel layer is for control only"),
        (r"\bNOTIFY\b", "a NOTIFY serialises all commits behind one lock"),
        (r"torch\.load|\bpickle\b|trust_remote_code=True|custom_pipeline", "no code from models"),
        (r"\bTODO\b|\bFIXME\b", "work to do belongs into an issue"),
    ],
)
def test_nobody_does_what_the_house_never_does(pattern: str, why: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line.partition("#")[0])
    ]
    assert found == [], why


def _refusals(cls: type[Refusal]) -> set[type[Refusal]]:
    return {cls} | {deeper for sub in cls.__subclasses__() for deeper in _refusals(sub)}


def test_every_error_code_is_explained() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    codes = {cls.code for cls in _refusals(errors.Refusal) if cls is not Refusal}
    for path in SOURCES:  # those of attempts
        codes |= set(re.findall(r'RenderError\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_setting_is_explained_and_every_explained_one_exists() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(T2V_\w+)`", page, re.MULTILINE))
    files = ("t2v_site/settings.py", "t2v_site/accounts_settings.py")
    sources = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
    read = set(re.findall(r'"(T2V_[A-Z0-9_]+)"', sources))
    assert explained == read


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_web_alone_installs_no_torch_and_everything_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=]", line)[0].lower() for line in requirements}

    web = names(project["dependencies"])
    assert not web & names(extras["worker"])
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in lines
        if not line.startswith("#")
    }
    wanted = web.union(*(names(extra) for extra in extras.values()))
    assert sorted(wanted - pins) == []
    assert "torch==2.13.0" in lines
