"""What the page asks of the server again while documents come in."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import notes, served
from tests.browser.site import Site, SlowRetriever
from tests.browser.test_documents import collection, ended, moved, upload

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

LOOK_S = 0.8  # that the listing of documents takes
APART_S = 2.0
SHOW = """hidden => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
    document.dispatchEvent(new Event('visibilitychange'))
}"""


class SlowShelf(SlowRetriever):
    """Slow to list documents, too."""

    async def documents(self, collection=None):  # type: ignore[no-untyped-def]
        import asyncio

        await asyncio.sleep(LOOK_S)
        return await super().documents(collection)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from served(Site(tmp_path_factory.mktemp("slow"), SlowShelf(pause_s=0.15)))


def listings(page: "Page") -> list[tuple[float, float]]:
    """When each listing of documents began and ended, from now on."""
    began: dict[Request, float] = {}
    found: list[tuple[float, float]] = []

    def is_listing(asked: "Request") -> bool:
        return asked.method == "GET" and "/api/v1/documents?" in asked.url

    def over(asked: "Request") -> None:
        if asked in began:
            found.append((began[asked], time.monotonic()))

    page.on("request", lambda asked: began.setdefault(asked, time.monotonic()) if is_listing(asked) else None)
    page.on("requestfinished", over)
    page.on("requestfailed", over)
    return found


def test_the_list_is_looked_at_as_files_come_in_one_look_at_a_time_and_never_when_nobody_sees_it(
    page: "Page", slow: Site, tmp_path: Path
) -> None:
    collection(page, slow, "pace")
    found = listings(page)
    upload(page, notes(tmp_path / "pace", 320))
    moved(page, 100)
    rows = page.get_by_test_id("documents").get_by_role("row")
    rows.nth(20).wait_for()  # it grows while the upload goes on
    assert page.get_by_test_id("upload").get_attribute("data-over") == "false"
    page.evaluate(SHOW, True)
    page.wait_for_timeout(1000)  # a look that had begun
    seen = len(found)
    moved(page, 200)
    assert ended(page) == "320 files stored"
    page.wait_for_timeout(2500)
    assert len(found) == seen
    page.evaluate(SHOW, False)
    page.get_by_text("1 – 50 of 320").wait_for()

    assert len(found) >= 3
    # The last one, which somebody waited for, need not keep its distance.
    for (began, over), (next_began, _) in pairwise(found[:-1]):
        assert over <= next_began
        assert next_began - began > APART_S * 0.9
