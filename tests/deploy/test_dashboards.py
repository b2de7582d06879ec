"""The dashboards as files: well-formed, whole, and about metrics that there are."""

import itertools
import re
from functools import cache
from typing import Any

import pytest
import yaml

from jobs.metrics.catalogue import METRICS, Kind
from tests.deploy.queries import (
    ROOT,
    alerts,
    boards,
    labels_listed,
    labels_of,
    metrics_in,
    panels,
    queries,
    rules,
)

BOARDS = boards()
NAMES = [board["title"] for board in BOARDS]
WIDTH = 24  # columns of Grafana's grid
KINDS = {"timeseries", "stat", "heatmap"}
VARIABLES = {"$__rate_interval", "$pool", "$model"}
# Of what a metric is scraped with, or made of by Prometheus itself.
ADDED = {"instance", "job", "le", "alertname", "severity", "alertstate"}


@cache
def _recorded() -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


@cache
def _scraped() -> dict[str, set[str]]:
    """Every name that the site tells, with its labels."""
    told = {}
    for name, metric in METRICS.items():
        parts = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        for part in parts:
            told[name + part] = set(metric.labels) | ({"le"} if part == "_bucket" else set())
    return told


def _under(name: str) -> set[str]:
    """The scraped metrics that a recorded one is made of, whatever lies between."""
    made_of = metrics_in(_recorded()[name])
    return set().union(*({each} if each.startswith("t2v_") else _under(each) for each in made_of))


def _all_under(expression: str) -> set[str]:
    found = metrics_in(expression)
    return set().union(*({each} if each.startswith("t2v_") else _under(each) for each in found))


def test_every_metric_that_is_asked_for_is_in_the_catalogue_with_the_labels_it_is_asked_by() -> (
    None
):
    scraped = _scraped()
    for query in queries():
        labels = set(ADDED)
        for name in _all_under(query.expression):
            assert name in scraped, f"{query.where}: nobody tells {name}"
            labels |= scraped[name]
        assert labels_listed(query.expression) <= labels, query.where
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels, query.where
        for name, chosen in labels_of(query.expression).items():
            known = scraped.get(name) or set().union(*(scraped[each] for each in _under(name)))
            assert chosen <= known | ADDED, f"{query.where}: {name} by {chosen}"


def test_every_metric_of_the_catalogue_is_on_a_dashboard() -> None:
    shown = set().union(
        *(_all_under(query.expression) for query in queries() if " › " in query.where)
    )
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} | shown
    assert sorted(set(METRICS) - shown) == []


def test_every_record_is_used() -> None:
    asked = set().union(*(metrics_in(query.expression) for query in queries()))
    assert sorted(set(_recorded()) - asked) == []


def test_the_three_dashboards_lead_to_each_other() -> None:
    assert NAMES == ["GPU", "Queue", "Service"]
    addresses = {f"/d/{board['uid']}" for board in BOARDS}
    for board in BOARDS:
        assert board["schemaVersion"] == 39  # of Grafana 11; newer ones bring it up themselves
        assert {link["url"] for link in board["links"]} == addresses - {f"/d/{board['uid']}"}


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_no_two_panels_share_an_id_a_title_or_a_place(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    boxes = [panel["gridPos"] | {"title": panel["title"]} for panel in board["panels"]]
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["w"] <= WIDTH
    for one, other in itertools.combinations(boxes, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, f"{one['title']} lies on {other['title']}"


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_every_line_of_panels_is_full_and_under_a_heading(board: dict[str, Any]) -> None:
    """No holes: what is read on a laptop stands side by side, three or six in a line."""
    lines: dict[int, int] = {}
    for panel in board["panels"]:
        lines[panel["gridPos"]["y"]] = lines.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(lines.values()) == {WIDTH}
    assert board["panels"][0]["type"] == "row"


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_every_panel_says_what_it_shows_in_which_unit_of_which_prometheus(
    board: dict[str, Any],
) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names[0] == "datasource"
    assert {"pool", "runbooks"} <= set(names)
    for panel in panels(board):
        assert panel["type"] in KINDS, panel["title"]
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == chosen, panel["title"]
        assert [target["datasource"] for target in panel["targets"]] == [chosen] * len(
            panel["targets"]
        )
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        used = set(re.findall(r"\$\w+", str([each["expr"] for each in panel["targets"]])))
        assert used <= VARIABLES, panel["title"]
        assert {each.removeprefix("$") for each in used - {"$__rate_interval"}} <= set(names)
    for note in board["annotations"]["list"]:
        assert note["datasource"] == chosen
    for variable in board["templating"]["list"]:
        assert variable.get("datasource", chosen) == chosen


def test_every_alert_is_a_link_on_a_panel_to_its_runbook() -> None:
    links = [
        link["url"]
        for board in BOARDS
        for panel in panels(board)
        for link in panel.get("links", [])
    ]
    names = {rule["alert"] for rule in alerts()}
    assert {re.sub(r"^\$\{runbooks\}/|\.md$", "", link) for link in links} == names


def test_a_panel_is_red_from_where_its_alert_fires() -> None:
    expressions = {rule["alert"]: rule["expr"] for rule in alerts()}
    drawn = 0
    for board in BOARDS:
        for panel in panels(board):
            steps = [
                step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            ]
            names = [link["title"] for link in panel.get("links", [])]
            if len(names) == 1 and len(steps) == 2 and panel["type"] == "timeseries":
                limits = {float(x) for x in re.findall(r"> ([\d.]+)$", expressions[names[0]], re.M)}
                assert steps[1] in limits | {1}, panel["title"]
                drawn += 1
    assert drawn >= 8


def test_what_grafana_is_given_leads_to_the_dashboards_and_to_prometheus() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text(encoding="utf-8"))
    (prometheus,) = source["datasources"]
    assert (prometheus["type"], prometheus["isDefault"]) == ("prometheus", True)
    boards_from = yaml.safe_load((folder / "dashboards/t2v.yaml").read_text(encoding="utf-8"))
    (provider,) = boards_from["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
