"""A real Chromium before the gateway's pages. Where there is none, the tests say so."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.gateway.web.pages import DIST, INDEX
from tests.browser.site import Site, SlowRetriever

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 15_000  # of two busy cores
# What the browser itself says of answers that a test provokes.
EXPECTED = ("Failed to load resource",)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One for a module: while it runs, no async test can."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine: `make test-packages` installs it")
    if not (DIST / INDEX).is_file():
        pytest.skip("the pages are not built: `make web` builds them, where npm is")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A new tab of a new profile. It fails its test where a script fails, or the page's own policy stops one."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda said: told.append(said.text) if said.type in {"error", "warning"} else None)
    yield page
    context.close()
    assert [text for text in told if not text.startswith(EXPECTED)] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that asks nobody who they are. Each document takes a moment."""
    yield from served(Site(tmp_path_factory.mktemp("site"), SlowRetriever(pause_s=0.02)))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that knows site.PERSON."""
    yield from served(Site(tmp_path_factory.mktemp("guarded"), SlowRetriever(), auth=True))


def served(site: Site) -> Iterator[Site]:
    """A site while it serves."""
    site.start()
    yield site
    site.stop()


def notes(folder: Path, count: int) -> list[Path]:
    """Small files of which no two are alike."""
    folder.mkdir(exist_ok=True)
    made = [folder / f"note-{number:04}.txt" for number in range(count)]
    for number, path in enumerate(made):
        path.write_text(f"Note {number} of {folder.name} says that lamp {number} burns.")
    return made
