"""Tabs of one window, as people have them: hidden behind another, frozen, stopped with the laptop.

Playwright keeps every page visible, so this speaks the DevTools protocol itself.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import StorageState
from websockets.sync.client import ClientConnection, connect

SECONDS = 30.0  # for an answer of the browser, or for what a test waits for


class Left(AssertionError):
    """A page was asked while the browser went on to the next one."""


class Window:
    def __init__(self, browser: psutil.Process, socket: ClientConnection) -> None:
        self._browser, self._socket, self._numbers = browser, socket, count(1)

    def open(self, url: str, *, script: str = "") -> "Tab":
        """In front of all others; the script runs before those of its pages."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        tab.call("Page.enable")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        tab.call("Page.navigate", url=url)
        return tab

    def sign_in(self, state: StorageState) -> None:
        cookies = [dict(cookie) for cookie in state["cookies"]]
        self.call("Storage.setCookies", cookies=cookies)

    def call(self, method: str, *, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:  # events come between
            answer = json.loads(self._socket.recv(timeout=SECONDS))
            if answer.get("id") == number:
                if "target navigated" in answer.get("error", {}).get("message", ""):
                    raise Left(answer)
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def renderers(self) -> list[psutil.Process]:
        """The processes that tabs run in."""
        found = []
        for each in self._browser.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # others come and go
                if "--type=renderer" in each.cmdline():
                    found.append(each)
        return found

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """No process of the browser runs inside."""
        processes = [self._browser, *self._browser.children(recursive=True)]
        _signal(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(processes, signal.SIGCONT)


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # it may end by itself at any time
            if process.is_running():
                os.kill(process.pid, number)


class Tab:
    def __init__(self, window: Window, target: str, session: str) -> None:
        self._window, self._target, self._session = window, target, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._window.call(method, session=self._session, **params)

    def show(self) -> None:
        """In front; the others are hidden then."""
        self._window.call("Target.activateTarget", targetId=self._target)
        self.wait_for("document.visibilityState", "visible")

    def freeze(self) -> None:
        """Only a hidden tab can be."""
        self.call("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        self.call("Page.setWebLifecycleState", state="active")

    def get(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def wait_for(self, expression: str, value: object, *, seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while (found := self._look(expression)) != value:
            assert time.monotonic() < deadline, f"{expression} is {found!r}, not {value!r}"
            time.sleep(0.05)

    def _look(self, expression: str) -> Any:
        """None from a page that is just left: the next one is asked again."""
        with suppress(Left):
            return self.get(expression)
        return None


@contextmanager
def window() -> Iterator[Window]:
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    assert binary is not None
    folder = tempfile.mkdtemp(prefix="t2v-tabs-")
    command = [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--window-size=1280,1600"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            found = next(match for line in lines if (match := re.search(r"ws://\S+", line)))
            # Without pings of its own: a browser that sleeps answers none.
            with connect(found[0], max_size=None, ping_interval=None) as socket:
                yield Window(psutil.Process(process.pid), socket)
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            _signal([*children, psutil.Process(process.pid)], signal.SIGKILL)
            process.wait(10)
            psutil.wait_procs(children, timeout=10)
            shutil.rmtree(Path(folder), ignore_errors=True)
