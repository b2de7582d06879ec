"""A pytest plugin: how several processes share the tests, and what each of them reads for it.

What stands on one stage stays in one process and in its order: the tests of a file, or of a folder
with a conftest.py. The longest begin first, so that no process waits for the last one. With
--dist loadscope for whole systems, with --dist loadfile for all others; pytest-xdist's own groups
(loadgroup) are all of one test under pytest 9.
"""

import gc
import re
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = "benchmarks"  # one after the other: each looks for the folders that it left behind
# On two idle cores these take a minute or more each, all others half a minute. The faults of chaos
# have deadlines: what is beside it mostly waits, and the renders that keep a core busy come after.
LONGEST_FIRST = (
    "tests/chaos/test_chaos.py",
    "tests/browser/test_every_page.py",
    "tests/browser/live",
    "tests/acceptance/test_make_run.py",
    "tests/acceptance/test_rolling.py",
    "tests/sdk",
    "tests/acceptance/test_frozen_redis.py",
    "tests/browser/test_pages.py",
    "tests/browser/test_library.py",
    "tests/browser/test_job.py",
    "tests/browser/test_studio.py",
    "tests/acceptance/test_one_video.py",
)
# Ordinary ones, by the seconds of a run on two cores. tests/live mostly waits: beside the others it
# costs little, where several processes did it at the same time at the end nobody else worked.
LONGER_FIRST = (
    "tests/live",  # 330 s
    "tests/access/test_matrix.py",  # 170 s
    "tests/schema/test_fuzz.py",
    "gpu_worker/tests/test_keeper.py",
    "gpu_worker/tests/test_finisher.py",
    "gpu_worker/tests/test_render_command.py",  # 60 s
    "tests/test_drill.py",
    "gpu_worker/tests/test_runner.py",
    "t2v_site/tests/test_backups_s3.py",
    "gpu_worker/tests/test_nano_model.py",
    "jobs/tests/test_machine.py",
    "gpu_worker/tests/test_colours.py",
    "gpu_worker/tests/test_nano_grammar.py",  # 20 s
    "gpu_worker/tests/test_checkpoint.py",
    "tests/browser/test_views.py",
    "tests/deploy/test_rules.py",
    "t2v_site/tests/test_backups.py",
    "jobs/tests/test_api_lists.py",  # 16 s
    "t2v_site/tests/test_embedded.py",
    "jobs/tests/test_admin_people.py",
    "t2v_site/tests/test_settings.py",
    "gpu_worker/tests/test_caches.py",
    "gpu_worker/tests/test_compile.py",
    "tests/test_benchmarks.py",
    "tests/cli/test_jobs.py",
    "tests/cli/test_watching.py",
    "tests/cli/test_downloading.py",
    "gpu_worker/tests/test_tail.py",
    "gpu_worker/tests/test_memory.py",
    "tests/cli/test_submitting.py",
)
_WHOLE_FILE = re.compile(r"^pytestmark = .*\bmark\.whole\b", re.MULTILINE)


def pytest_sessionstart() -> None:
    """Of what is imported now nothing is garbage: to look for some takes 3 of 18 s."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Of a part of make test no process imports the files of the other part."""
    asked = config.getoption("markexpr")
    if not collection_path.match("test_*.py") or "whole" not in asked:
        return None
    text = collection_path.read_text(encoding="utf-8")
    if asked.startswith("whole and "):
        return "mark.whole" not in text or None
    return (asked == "not (whole or long)" and _WHOLE_FILE.search(text) is not None) or None


def _file(nodeid: str) -> str:
    """The unit of an ordinary test; those of tests/live stand on a stage of their folder."""
    file = nodeid.partition("::")[0]
    return "tests/live" if file.startswith("tests/live/") else file


@cache
def _stage(file: str) -> str:
    """file: from the root of the repository."""
    path = Path(file)
    if path.stem.endswith("_benchmark"):
        return BENCHMARKS
    return str(path.parent if (ROOT / path).with_name("conftest.py").exists() else path)


class ByStage(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return _stage(nodeid.partition("::")[0])


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return _file(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    kinds = {"loadscope": ByStage, "loadfile": ByFile}
    kind = kinds.get(config.getoption("dist"))
    return kind(config, log) if kind else None


def _turn(item: pytest.Item) -> tuple[bool, int]:
    whole = item.get_closest_marker("whole") is not None
    stage = _stage(item.nodeid.partition("::")[0]) if whole else _file(item.nodeid)
    first = LONGEST_FIRST if whole else LONGER_FIRST
    return whole, first.index(stage) if stage in first else len(first)


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("whole") and not item.path.is_relative_to(ROOT / "tests"):
        raise pytest.UsageError(f"{item.nodeid}: make test looks for whole systems in tests/ alone")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
