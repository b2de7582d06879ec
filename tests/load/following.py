"""What one viewer of one job makes of the live protocol's messages. Pure.

docs/reference/live.md.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime

from jobs.events import PreviewHeader
from jobs.lifecycle import FINAL


@dataclass(kw_only=True)
class Following:
    job: str
    since: float  # seconds since 1970: what happened before is history, and no measure of lateness
    after: int = 0  # the newest seq
    over: bool = False
    refused: str = ""  # the code
    fact_ms: list[float] = field(default_factory=list)  # taken away by the caller
    preview_ms: list[float] = field(default_factory=list)

    def subscription(self) -> str:
        return json.dumps({"type": "subscribe", "job": self.job, "after": self.after})

    def take(self, message: str | bytes, *, now: float) -> str | None:
        """now: seconds since 1970. What has to be answered."""
        if isinstance(message, bytes):
            return self._take_preview(message, now)
        told = json.loads(message)
        match told["type"]:
            case "ping":
                return json.dumps({"type": "pong", "n": told["n"]})
            case "fact" if told["job"] == self.job:
                self.after = told["seq"]
                self.over = told["state"] in FINAL
                happened = datetime.fromisoformat(told["at"]).timestamp()
                if happened >= self.since:
                    self.fact_ms.append((now - happened) * 1000)
            case "history":
                self.after = told["first"] - 1
            case "refused":
                self.refused = told["code"]
        return None

    def _take_preview(self, message: bytes, now: float) -> str:
        header = PreviewHeader.unpack(message)
        self.preview_ms.append((now - header.server_us / 1e6) * 1000)
        drawn = {"attempt": header.attempt, "step": header.step}
        return json.dumps({"type": "ack", "job": str(header.job), **drawn})
