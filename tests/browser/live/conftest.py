"""One site for all tests of the live page, a network in front of it, and a worker that obeys."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, StorageState

from tests.browser.live.sights import SPY
from tests.browser.person import sign_in
from tests.browser.proxy import Proxy, proxy
from tests.browser.stagehand import Stagehand, stagehand
from tests.browser.tabs import Window, window
from tests.stage import System, chromium, running


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    var = tmp_path_factory.mktemp("live") / "var"
    with running(var, T2V_MAX_UNFINISHED="200") as started:
        yield started


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def tabs(signed_in: StorageState) -> Iterator[Window]:
    with window() as opened:
        opened.sign_in(signed_in)
        yield opened


@pytest.fixture(scope="package")
def net(system: System) -> Iterator[Proxy]:
    with proxy(system.url) as started:
        yield started


@pytest.fixture(scope="package")
def signed_in(browser: Browser, system: System) -> StorageState:
    """alice's cookies: they hold for every port of the host."""
    context = browser.new_context(base_url=system.url)
    sign_in(context.new_page())
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def alice(browser: Browser, net: Proxy, signed_in: StorageState) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=net.url, storage_state=signed_in)
    context.add_init_script(SPY)
    yield context
    context.close()
    net.mend()


@pytest.fixture(scope="package")
def backstage(system: System) -> Iterator[Stagehand]:
    with stagehand(system) as hand:
        yield hand


@pytest.fixture
def hand(backstage: Stagehand) -> Iterator[Stagehand]:
    yield backstage
    backstage.fail_all()
