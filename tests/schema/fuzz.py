"""schemathesis against a running site: everything the schema promises, by machine.

Its own program, with its own stdin and signals, so that nothing of it gets into our tests; what it
found stands in its report.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
)
# What follows on what is said by the schema's own links: those that it guesses thin them out.
CONFIG = """
[phases.stateful]
max-steps = 10
[phases.stateful.inference]
algorithms = []
"""
# They never end, so a run by machine would not either; tests/live looks at them.
ENDLESS = ("followJob", "followJobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run came to."""

    code: int  # the program's exit code
    report: str

    def count(self, what: str) -> int:
        """A number of its summary, as in "120 generated"; 0 where it says none."""
        found = re.search(rf"([\d,]+) {what}", self.report)
        return int(found[1].replace(",", "")) if found else 0


def fuzz(
    url: str,
    token: str,
    folder: Path,
    *,
    phases: str,
    examples: int,
    mode: str = "all",
    paths: str = "",
    timeout_seconds: float,
) -> Found:
    """A run of these phases (coverage, fuzzing, stateful), with so many cases an operation.

    paths: of those addresses alone, as a regular expression.
    mode: positive sends only what the schema allows, all also what it does not.
    """
    (folder / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/schema"]
    words += ["--header", f"Authorization: Bearer {token}"]
    words += ["--checks", ",".join(CHECKS), "--phases", phases]
    words += ["--max-examples", str(examples), "--mode", mode, "--generation-deterministic"]
    words += ["--suppress-health-check", "all", "--continue-on-failure", "--no-shrink"]
    words += ["--warnings", "off", "--no-color"]
    words += ["--request-timeout", "30"]
    if paths:
        words += ["--include-path-regex", paths]
    for name in ENDLESS:
        words += ["--exclude-operation-id", name]
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    return Found(code=done.returncode, report=done.stdout + done.stderr)
