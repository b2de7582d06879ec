"""A real Prometheus reads a real site, and is asked everything that rules and dashboards ask."""

import json
import math
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
import yaml

from tests.deploy.queries import PROMETHEUS, RULES, Query, alerts, queries, rules, tool
from tests.ports import free_port
from tests.stage import Caller, System, running

pytestmark = pytest.mark.whole

TOKEN = "a token for the scrape of the tests"
WAIT_SECONDS = 90.0  # for what takes some 15 s on an idle machine
SLOW_SECONDS = 90.0  # for all questions: some scrapes, and some hundred answers
# What has no answer on a site that is well, and has no GPU.
NO_ANSWER = {
    r"t2v_gpu_(utilisation|temperature|power)": "there is no GPU whose driver could be asked",
    r"t2v_checkpoint_": "a render of seconds keeps no checkpoint",
    r"ALERTS": "nothing fires",
    r"unless count by \(version\)": "no version is five minutes younger than another",
}
# Of a machine that four other tests keep busy.
MAY_FIRE = {"AnswersSlow", "DatabaseSlow", "EventsLate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    url: str

    def get(self, path: str, **fields: str) -> Any:
        answer = urllib3.request(
            "GET", f"{self.url}/api/v1/{path}?{urlencode(fields)}", retries=False, timeout=20
        )
        said = json.loads(answer.data)
        assert said["status"] == "success", (fields, said)
        return said["data"]

    def ask(self, expression: str) -> list[float]:
        """The values of all series that answer."""
        found = self.get("query", query=expression)["result"]
        return [float(each["value"][1]) for each in found]

    def answers(self, expression: str, *, until: float) -> bool:
        """Whether a number comes, in the end: one scrape that was too slow makes all silent."""
        while all(map(math.isnan, self.ask(expression))):
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True

    def wait_for(self, expression: str, wanted: list[float]) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while (found := self.ask(expression)) != wanted:
            assert time.monotonic() < until, f"{expression}: {found}"
            time.sleep(0.2)


@contextmanager
def prometheus(folder: Path, site: System) -> Iterator[Prometheus]:
    """As deploy/prometheus/prometheus.yaml, but of this site alone and every two seconds."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text(encoding="utf-8"))
    config["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s"}
    config["global"]["evaluation_interval"] = "1s"
    (scrape,) = [each for each in config["scrape_configs"] if each["job_name"] == "t2v-site"]
    del scrape["dns_sd_configs"]
    scrape["static_configs"] = [{"targets": [site.url.removeprefix("http://")]}]
    scrape["authorization"]["credentials_file"] = str(folder / "token")
    config["scrape_configs"] = [scrape]
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    (folder / "rules").mkdir()
    for file in RULES:
        often = re.sub(r"interval: \w+", "interval: 1s", file.read_text(encoding="utf-8"))
        (folder / "rules" / file.name).write_text(often, encoding="utf-8")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [tool("prometheus"), f"--config.file={folder}/prometheus.yaml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--log.level=warn"], stdout=log, stderr=log)
    try:
        until = time.monotonic() + WAIT_SECONDS
        while not _is_ready(address):
            said = (folder / "log").read_text(encoding="utf-8")
            assert process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)
        yield Prometheus(url=f"http://{address}")
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(address: str) -> bool:
    try:
        answer = urllib3.request("GET", f"http://{address}/-/ready", retries=False, timeout=2)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Of a site on which two videos were made, watched by their owner."""
    folder = tmp_path_factory.mktemp("scrape")
    settings = {"T2V_METRICS_TOKEN": TOKEN, "T2V_METRICS_NETWORKS": "192.0.2.0/24"}
    with running(folder / "var", **settings) as site, prometheus(folder, site) as started:
        alice = Caller(site.url)
        # Zeros first: what began at 1 would be no rise.
        started.wait_for("t2v:jobs_ended_total", [0.0])
        for number in (1.0, 2.0):
            job = alice.submit(steps=4)
            stream = alice.ask("GET", f"/api/v1/jobs/{job}/events")
            assert b"succeeded" in stream.data
            started.wait_for("max(t2v_render_seconds_count)", [number])
        started.wait_for("sum(t2v:jobs_ended_total)", [2.0])
        started.wait_for("sum(t2v:jobs_bad:ratio3d)", [0.0])
        yield started


def test_the_site_is_read_with_its_token_alone(asked: Prometheus) -> None:
    asked.wait_for("up", [1.0])
    (target,) = asked.get("targets")["activeTargets"]
    neighbour = target["scrapeUrl"]
    assert urllib3.request("GET", neighbour, retries=False, timeout=20).status == 404


def test_every_question_of_every_dashboard_and_record_has_an_answer(asked: Prometheus) -> None:
    silent, until = [], time.monotonic() + SLOW_SECONDS
    for query in queries():
        expression = _now(query.expression)
        if (" › " not in query.where and ":" not in query.where) or _needs_none(query):
            asked.ask(expression)  # an alert, or on the list: that it is understood
        elif not asked.answers(expression, until=until):
            silent.append(f"{query.where}: {query.expression}")
    assert silent == []


def _now(expression: str) -> str:
    """As Grafana asks it, for all pools and models, of the last five minutes."""
    expression = expression.replace("$__rate_interval", "5m")
    return expression.replace("$pool", ".*").replace("$model", ".*")


def _needs_none(query: Query) -> bool:
    return any(re.search(pattern, query.expression) for pattern in NO_ANSWER)


def test_what_every_alert_looks_at_is_there(asked: Prometheus) -> None:
    missing, until = [], time.monotonic() + SLOW_SECONDS
    for rule in alerts():
        for metric in re.findall(r"\bt2v[_:][\w:]+(?:\{[^}]*\})?", rule["expr"]):
            if not re.search("|".join(NO_ANSWER), metric) and not asked.answers(
                metric, until=until
            ):
                missing.append(f"{rule['alert']}: {metric}")
    assert missing == []


def test_all_rules_are_loaded_and_no_alert_begins_on_a_site_that_is_well(
    asked: Prometheus,
) -> None:
    loaded = [rule for group in asked.get("rules")["groups"] for rule in group["rules"]]
    assert len(loaded) == len(rules())
    assert [rule["name"] for rule in loaded if rule["health"] == "err"] == []
    calm = "|".join(sorted(MAY_FIRE))
    # Those that are pending too: their times are minutes, which nobody waits here.
    asked.wait_for(f'ALERTS{{alertname!~"{calm}"}}', [])
