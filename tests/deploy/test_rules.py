"""The rules: promtool takes them, each alert fires when it should alone, and has its page."""

import re
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import is_valid_path

from tests.deploy.queries import (
    PROMETHEUS,
    ROOT,
    RULES,
    RUNBOOKS,
    UNIT_TESTS,
    alerts,
    boards,
    panels,
    promtool,
    rules,
)

PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
SEVERITIES = ("page", "ticket")
# Google's SRE workbook, chapter 5: times the budget, the long window, the short one.
PAIRS = {("14.4", "1h", "5m"), ("6", "6h", "30m"), ("3", "1d", "2h"), ("1", "3d", "6h")}
PROMISES = {"jobs_bad": "0.001", "waits_bad": "0.05", "attempts_bad": "0.01"}  # the error budgets


def test_promtool_takes_the_rules_and_the_configuration_that_loads_them(tmp_path: Path) -> None:
    checked = promtool("check", "rules", *RULES)
    assert checked.count("SUCCESS") == len(RULES)
    shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    token = tmp_path / "token"
    token.write_text("secret", encoding="utf-8")
    text = (PROMETHEUS / "prometheus.yaml").read_text(encoding="utf-8")
    assert "/run/secrets/t2v_metrics_token" in text
    config = tmp_path / "prometheus.yaml"
    config.write_text(text.replace("/run/secrets/t2v_metrics_token", str(token)), encoding="utf-8")
    checked = promtool("check", "config", config)
    assert f"{len(RULES)} rule files found" in checked


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_promtools_own_tests_pass(file: Path) -> None:
    promtool("test", "rules", file)


def _expectations() -> dict[str, list[list[dict[str, Any]]]]:
    """Of each alert, what each test of it expects to fire."""
    found = defaultdict(list)
    for file in UNIT_TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for check in test["alert_rule_test"]:
                found[check["alertname"]].append(check["exp_alerts"])
    return found


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_stays_quiet() -> None:
    found = _expectations()
    assert set(found) == {rule["alert"] for rule in alerts()}
    for rule in alerts():
        expected = found[rule["alert"]]
        assert [] in expected, f"{rule['alert']} is never seen quiet"
        fired = [each["exp_labels"] for firing in expected for each in firing]
        mine = rule["labels"].items()
        assert any(mine <= labels.items() for labels in fired), f"{rule['alert']} never fires"


def test_each_pair_of_windows_fires_in_a_test_without_the_other() -> None:
    found = _expectations()
    for name in {rule["alert"] for rule in alerts() if "slo" in rule["labels"]}:
        windows = [{each["exp_labels"]["window"] for each in firing} for firing in found[name]]
        assert {len(each) for each in windows} == {0, 1, 2}, name


def test_each_promise_is_watched_over_the_four_pairs_of_windows() -> None:
    watched = defaultdict(set)
    for rule in alerts():
        if "slo" in rule["labels"]:
            (long, short, least) = rule["expr"].split("\nand ")
            pattern = r"t2v:(\w+):ratio(\w+) > ([\d.]+) \* ([\d.]+)"
            bad, long_window, times, budget = re.fullmatch(pattern, long).groups()  # type: ignore[union-attr]
            assert re.fullmatch(pattern, short).groups()[0::2] == (bad, times)  # type: ignore[union-attr]
            assert re.fullmatch(pattern, short)[4] == budget == PROMISES[bad]  # type: ignore[index]
            assert re.fullmatch(rf"t2v:{bad}:increase{long_window} > [\d.]+", least)
            assert rule["labels"]["window"] == long_window
            watched[bad].add((times, long_window, re.fullmatch(pattern, short)[2]))  # type: ignore[index]
    assert watched == dict.fromkeys(PROMISES, PAIRS)


def test_a_record_is_of_the_window_that_its_name_says() -> None:
    for rule in rules():
        named = re.search(r":(?:increase|ratio)(\w+)$", rule.get("record", ""))
        if named:
            inside = re.findall(r"\[(\w+)\]|:increase(\w+)", rule["expr"])
            assert {a or b for a, b in inside} == {named[1]}, rule["record"]


def test_every_alert_says_how_urgent_it_is_what_happens_and_where_to_read_on() -> None:
    for rule in alerts():
        name, notes = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in SEVERITIES, name
        assert re.fullmatch(r"\d+m", rule["for"]), name
        assert len(notes["summary"]) <= 90, name
        assert len(notes["description"]) >= 100, name
        # Three cannot say a number: it is that nothing is there.
        if name not in {"SiteDown", "TargetDown", "PostgresAway", "RedisAway", "StorageAway"}:
            assert "$value" in notes["description"], name
        assert notes["runbook_url"].endswith(f"{{{{ end }}}}/{name}.md"), name


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in alerts()}
    assert {path.stem for path in PAGES} == set(severities)
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", index, re.MULTILINE)
    assert [name for name, page, _ in rows if name != page] == []
    assert {name: severity for name, _, severity in rows} == severities
    assert len(rows) == len(severities)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_who_is_hurt_where_to_look_how_to_mend_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    severity = next(r["labels"]["severity"] for r in alerts() if r["alert"] == page.stem)
    assert text.startswith(f"# {page.stem}\n\n*{severity.capitalize()}.* ")
    assert "**Who is hurt:** " in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Look first", "Mend", "After"]
    assert len(text.splitlines()) <= 40


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_what_a_runbook_names_exists() -> None:
    known = get_commands()
    settings = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    shown = {
        f"{board['title']} › {panel['title']}" for board in boards() for panel in panels(board)
    }
    for page in [*PAGES, RUNBOOKS / "README.md", ROOT / "docs/howto/monitor.md"]:
        text = page.read_text(encoding="utf-8")
        commands = set(re.findall(r"manage\.py ([a-z][\w-]*)", text))
        assert commands <= set(known), page.name
        assert set(re.findall(r"`make (\w+)", text)) <= targets, page.name
        missing = [
            name for name in re.findall(r"`(T2V_\w+[A-Z])", text) if f"`{name}`" not in settings
        ]
        assert missing == [], page.name
        titles = {re.sub(r"\s+", " ", each) for each in re.findall(r"\*\*(\w+ › [^*]+)\*\*", text)}
        assert titles <= shown, page.name
        for address in re.findall(r"`(?:curl [^`]*https://SITE)?(/[a-z/]+)`", text):
            assert is_valid_path(address), f"{page.name}: {address}"
        for target, anchor in re.findall(r"\]\(([^)#\s]+\.md)#([^)]+)\)", text):
            assert anchor in _anchors(page.parent / target), f"{page.name}: {target}#{anchor}"
