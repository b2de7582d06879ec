"""A site for people to look at: the real pages with nobody who renders, furnished by scenery.py.

Where `make run` takes 20 s of two busy cores to load its model, this is there in half of it, and
everything stands still until a test moves it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from tests.browser.proxy import Proxy, proxy
from tests.browser.stagehand import Stagehand
from tests.ports import free_port
from tests.stage import PASSWORD, ROOT

START_SECONDS = 90.0  # a cold file cache and two busy cores
_CODE = """
from t2v_site import embedded
with embedded.services(stop_always=True):
    import django
    django.setup()
    from tests.browser import backstage
    backstage.open_house()
    backstage.main()
"""


@dataclass(frozen=True, kw_only=True)
class House:
    url: str
    cookie_name: str
    hand: Stagehand
    net: Proxy  # between browsers and the site
    names: dict[str, str]  # what stands in addresses
    var: Path
    environment: dict[str, str] = field(repr=False)
    _sessions: dict[str, str] = field(default_factory=dict)

    def at(self, path: str) -> str:
        return path.format(**self.names)

    def cookies(self, who: str) -> list[dict[str, str]]:
        """Of a session of theirs; who: before the @ of their address. Nobody has none."""
        if not who:
            return []
        if who not in self._sessions:
            self._sessions[who] = self.hand.session(f"{who}@example.com")
        return [{"name": self.cookie_name, "value": self._sessions[who], "url": self.url}]


@contextmanager
def house(var: Path, **settings: str) -> Iterator[House]:
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    env = clean | {
        "DJANGO_SETTINGS_MODULE": "t2v_site.settings",
        "T2V_VAR": str(var),
        "T2V_PORT": str(port),
        "T2V_DEMO_PASSWORD": PASSWORD,
        "T2V_MODELS": "nano,mochi-1",
        "T2V_MAX_UNFINISHED": "1000",
        "T2V_MAX_ATTEMPTS": "1",
        **settings,
    }
    with _process([sys.executable, "-c", _CODE], env) as backstage:
        hand = Stagehand(backstage)
        env |= hand.hear()
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port)]
        command += ["--verbosity", "0", "t2v_site.asgi:application"]
        with _process(command, env) as site:
            names = hand.furnish()
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, site)
            with proxy(url) as net:
                yield House(
                    url=net.url,
                    cookie_name=f"t2v-{port}",
                    hand=hand,
                    net=net,
                    names=names,
                    var=var,
                    environment=env,
                )


@contextmanager
def _process(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Ends when its input does, or when it is told to."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        if "daphne" in command:
            process.terminate()
        process.wait(30)
        process.stdout.close()


def _wait_for(url: str, site: subprocess.Popen[str]) -> None:
    http = urllib3.PoolManager(retries=False, timeout=5)
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            if http.request("GET", f"{url}/healthz/ready").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            assert site.poll() is None, "the site ended"
        assert time.monotonic() < until, "the site did not start"
        time.sleep(0.05)
