"""What axe-core says of a page: the rules of WCAG 2.0, 2.1 and 2.2, levels A and AA."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = Path(__file__).with_name("axe.min.js")
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa")
CONTRAST = ("color-contrast",)  # all that a colour scheme changes
# All that the width of a window changes.
LAYOUT = (
    *(
        "color-contrast",
        "target-size",
        "label-content-name-mismatch",
        "scrollable-region-focusable",
    ),
    *("link-in-text-block", "aria-hidden-focus", "link-name", "button-name"),
)
SHOWN = 5  # elements of one rule

# In the page's own world, where its policy holds for what a page loads, not for a debugger.
_RUN = """async ({tags, rules}) => {
  const only = rules.length ? {type: "rule", values: rules} : {type: "tag", values: tags};
  // The reader of the API's schema is another project's, and its colours are its own.
  const found = await axe.run({exclude: [[".swagger-ui"]]}, {
    runOnly: only,
    resultTypes: ["violations", "incomplete"],
    elementRef: false,
  });
  const told = (results) => results.flatMap(({id, help, nodes}) => nodes.map((node) => ({
    rule: id,
    help,
    target: node.target.join(" "),
    why: (node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? "",
  })));
  return {violations: told(found.violations), incomplete: told(found.incomplete)};
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    violations: list[str]
    unsure: list[str]  # contrasts that axe could not measure: over pictures and gradients


def audit(page: Page, rules: Sequence[str] = ()) -> Audit:
    """rules: those alone; all of TAGS, if there are none."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found: dict[str, list[dict[str, Any]]] = page.evaluate(
        _RUN, {"tags": list(TAGS), "rules": list(rules)}
    )
    unsure = [each for each in found["incomplete"] if each["rule"] in CONTRAST]
    return Audit(violations=_told(found["violations"]), unsure=_told(unsure))


def _told(nodes: list[dict[str, Any]]) -> list[str]:
    seen: dict[str, int] = {}
    told = []
    for node in nodes:
        seen[node["rule"]] = seen.get(node["rule"], 0) + 1
        if seen[node["rule"]] <= SHOWN:
            told.append(f"{node['rule']} at {node['target']}: {node['why']}")
    return told
