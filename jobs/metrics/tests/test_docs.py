"""docs/reference/metrics.md and the catalogue say the same."""

import re

from django.conf import settings

from jobs.metrics.catalogue import METRICS, Metric

PAGE = settings.BASE_DIR / "docs" / "reference" / "metrics.md"


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.words} |"


def test_the_page_tells_of_every_metric_in_the_catalogues_words_and_of_no_other() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if line.startswith("| `t2v_")]
    assert told == [row(metric) for metric in METRICS.values()]


def test_every_metric_that_the_page_speaks_of_exists() -> None:
    named = set(re.findall(r"\bt2v_[a-z_]+", PAGE.read_text(encoding="utf-8")))
    known = {*METRICS, *(f"{name}_bucket" for name in METRICS)}
    assert named <= known
