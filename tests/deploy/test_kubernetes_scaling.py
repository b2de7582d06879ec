"""How many workers a pool gets: what KEDA asks, answered by Prometheus and by Postgres."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.db import connection

from jobs.metrics import catalogue
from jobs.models import PoolLoad
from tests.deploy.cluster import ROOT, of_kind


@pytest.mark.parametrize("name", ["gpu", "spot", "other"])
def test_a_pool_scales_on_numbers_that_the_site_tells(name: str) -> None:
    scalers = of_kind(name, "ScaledObject")
    assert len(scalers) == 2
    for each in scalers:
        pool = each["metadata"]["labels"]["t2v/pool"]
        assert each["spec"]["scaleTargetRef"]["name"] == f"worker-{pool}"
        assert each["spec"]["minReplicaCount"] == 0
        # No Prometheus: no worker goes.
        assert each["spec"]["fallback"]["replicas"] >= 1
        assert each["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
        asked = set()
        for trigger in each["spec"]["triggers"]:
            said = trigger["metadata"]
            # Without an answer there may be work: that is not 0.
            assert said["ignoreNullValues"] == "false"
            assert float(said["threshold"]) > 0
            for series, labels in re.findall(r"(t2v_\w+)(\{[^}]*\})?", said["query"]):
                assert catalogue.METRICS[series].source is catalogue.Source.NOW
                if "pool" in catalogue.METRICS[series].labels:
                    assert labels == f'{{pool="{pool}"}}'
                asked.add(series)
        assert asked == {
            "t2v_queue_work_seconds",
            "t2v_running_work_seconds",
            "t2v_running_jobs",
            "t2v_queue_oldest_seconds",
            "t2v_database_up",
        }


# What Prometheus has, each from two replicas of the site; and how many workers each trigger wants.
SITUATIONS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "an empty queue": (
        {"up": 1, "queue_work": 0, "running_work": 0, "running": 0, "oldest": 0},
        {"work": 0, "running": 0, "due": 0},
    ),
    "a hundred clips of 20 s each, two of them rendering": (
        {"up": 1, "queue_work": 1960, "running_work": 40, "running": 2, "oldest": 700},
        {"work": 7, "running": 2, "due": 1},
    ),
    "three renders that are nearly done": (
        {"up": 1, "queue_work": 0, "running_work": 9, "running": 3, "oldest": 0},
        {"work": 1, "running": 3, "due": 0},
    ),
    "the first job of a pool without a past": (
        {"up": 1, "running": 0, "oldest": 4},
        {"work": 0, "running": 0, "due": 1},
    ),
    "a pool that nobody has used": ({"up": 1}, {"work": 0, "running": 0, "due": 0}),
    "Postgres away": ({"up": 0}, {}),
    "nothing is told at all": ({}, {}),
}
SERIES = {
    "up": "t2v_database_up",
    "queue_work": "t2v_queue_work_seconds",
    "running_work": "t2v_running_work_seconds",
    "running": "t2v_running_jobs",
    "oldest": "t2v_queue_oldest_seconds",
}


def test_a_pool_gets_the_workers_that_its_work_needs(tmp_path: Path) -> None:
    """Prometheus itself answers the queries; over the threshold and rounded up, as the autoscaler
    does. Nothing wanted: no answer, of a queue that nobody could look at.
    """
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    triggers = of_kind("gpu", "ScaledObject")[0]["spec"]["triggers"]
    assert {each["name"] for each in triggers} == {"work", "running", "due"}
    tests = []
    for name, (told, wanted) in SITUATIONS.items():
        series = [
            {"series": f'{SERIES[what]}{{{pool}instance="{replica}"}}', "values": f"{value}x1"}
            for what, value in told.items()
            for pool in ["" if what == "up" else 'pool="default",']
            for replica in ("web-1", "live-1")
        ]
        asked = [
            {
                "expr": f"ceil(({each['metadata']['query']}) / {each['metadata']['threshold']})",
                "eval_time": "1m",
                "exp_samples": [{"labels": "{}", "value": wanted[each["name"]]}] if wanted else [],
            }
            for each in triggers
        ]
        tests.append({"name": name, "input_series": series, "promql_expr_test": asked})
    file = tmp_path / "scaling.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": tests}), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("queued", "running", "workers"), [(0, 0, 0), (4, 0, 1), (100, 2, 7), (3, 2, 2)]
)
def test_the_guides_query_for_postgres_counts_workers(
    queued: int, running: int, workers: int
) -> None:
    """Each job takes 20 s; the guide has 300 s of work before a worker."""
    guide = (ROOT / "docs/howto/deploy-kubernetes.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"^ +query: >-\n((?: {10,}.*\n)+)", guide, re.MULTILINE)
    PoolLoad.objects.update_or_create(
        pool="default",
        defaults={
            "queued": queued,
            "queued_seconds": queued * 20.0,
            "running": running,
            "running_seconds": running * 20.0,
        },
    )
    with connection.cursor() as cursor:
        cursor.execute(query.replace("%", "%%"))
        ((asked,),) = cursor.fetchall()
    assert asked == workers
