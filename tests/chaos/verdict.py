"""What holds and what does not at the end of a run."""

from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN = 8  # lines of what is wrong, for each check


@dataclass(kw_only=True)
class Verdict:
    """checks: by its sentence, what is wrong with it. counts: for the table."""

    checks: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def failed(self) -> int:
        return sum(bool(wrong) for wrong in self.checks.values())

    def lines(self) -> list[str]:
        told = []
        for sentence, wrong in self.checks.items():
            told.append(f"{'FAILED' if wrong else 'passed'}  {sentence}")
            told += [f"          {line}" for line in wrong[:SHOWN]]
            if len(wrong) > SHOWN:
                told.append(f"          and {len(wrong) - SHOWN} more")
        return told
