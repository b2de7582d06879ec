"""deploy/prometheus/rules as an object of Prometheus' operator, which reads no files.

python -m tests.deploy.rules_object   writes it, after the rules were changed
"""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/rules"
OBJECT = ROOT / "deploy/kubernetes/components/monitoring/rules.yaml"


def wanted() -> dict[str, Any]:
    groups = [
        group
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "t2v"},
        "spec": {"groups": groups},
    }


def main() -> None:
    text = yaml.safe_dump(wanted(), sort_keys=False, allow_unicode=True, width=100)
    head = "# Made of deploy/prometheus/rules by `python -m tests.deploy.rules_object`.\n"
    OBJECT.write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
