"""Issue 6's demonstration: a thousand mixed files through the page, with live progress, into a real cluster too."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.conftest import served
from tests.browser.mixed_files import COUNT, QUESTION, WANTED, WRONG, mixed
from tests.browser.site import Site
from tests.live.conftest import RunningCluster
from tests.unit.retrieval.library_parts import library

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COLLECTION = "a-thousand"
UPLOAD_S = 420.0  # it took 149 s on two cores with a load of ten, and more at twice that
FEWER = 250  # where the same is shown without Ray


@pytest.fixture(scope="module")
def parts(browser: "Browser") -> Iterator[str]:
    """Of a gateway over the real parts of retrieval with the fake embedder, without Ray."""
    home = Path(tempfile.mkdtemp(prefix="heliostat-browser-"))
    for site in served(Site(home, library(home, chunk_tokens=256))):
        yield site.url
    shutil.rmtree(home, ignore_errors=True)


def followed(page: "Page") -> list[int]:
    """How many files were done, each time that the page said another number, until the end."""
    seen: list[int] = []
    deadline = time.monotonic() + UPLOAD_S
    over = page.locator("[data-testid=upload][data-over=true]")
    bar = page.get_by_role("progressbar", name="Files done")
    while True:
        ended = over.count() > 0
        done = int(bar.get_attribute("aria-valuenow") or 0)
        if not seen or seen[-1] != done:
            seen.append(done)
        if ended:
            return seen
        assert time.monotonic() < deadline, f"only {done} files are done"
        page.wait_for_timeout(100)


@pytest.mark.timeout(900)  # starting the cluster is in it, which takes a minute where nobody else works
def test_a_thousand_mixed_files_are_stored_or_refused_each_and_answered_from(
    page: "Page", cluster: RunningCluster, tmp_path: Path
) -> None:
    collection = upload_and_ask(page, cluster.url, mixed(tmp_path / "mixed", COUNT), COUNT)
    removed = httpx.delete(f"{cluster.url}/api/v1/collections/{collection}", timeout=60)
    assert removed.status_code < 300, removed.text


def test_mixed_files_are_stored_or_refused_each_without_ray(page: "Page", parts: str, tmp_path: Path) -> None:
    upload_and_ask(page, parts, mixed(tmp_path / "mixed", FEWER), FEWER)


def upload_and_ask(page: "Page", url: str, folder: Path, count: int) -> str:
    """Make a collection, upload the folder's files into it, and ask; the collection's id."""
    page.goto(url)
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_label("Name", exact=True).fill(COLLECTION)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("heading", level=1, name=COLLECTION).wait_for()
    collection = page.url.rpartition("/")[2]

    began = time.monotonic()
    page.get_by_test_id("pick-folder").set_input_files(folder)
    page.get_by_test_id("upload").wait_for()
    seen = followed(page)
    print(f"{count} files in {time.monotonic() - began:.1f} s, the page's counter moved {len(seen)} times")  # noqa: T201

    # It moved, all the time and never back: files are stored by the sixteen.
    assert seen == sorted(seen)
    assert len(seen) > count / 50
    assert max(later - earlier for earlier, later in pairwise(seen)) < count / 2
    assert seen[-1] == count
    wrong = len(WRONG)
    assert page.locator("[data-testid=upload] h2").inner_text() == f"{count - wrong} stored, {wrong} failed"

    # Each file is accounted for: what is stored is listed, what is not says why.
    failed = page.get_by_test_id("upload-files").locator("li")
    assert failed.count() == wrong
    told = {
        row.locator(".file-name").inner_text().rpartition("/")[2]: row.locator("code").inner_text()
        for row in failed.all()
    }
    assert told == WRONG
    listed = httpx.get(f"{url}/api/v1/documents", params={"collection": collection, "limit": 1000}).json()
    assert listed["total"] == count - wrong
    page.get_by_text(f"{count - wrong} documents").wait_for()

    # A word that one file has is found in it, and an answer cites it.
    box = page.get_by_role("searchbox", name="Search the documents, or ask them")
    box.fill("Quillmarrow")
    box.press("Enter")
    first = page.get_by_test_id("passages").locator("li").first
    first.get_by_role("button", name=WANTED).wait_for()
    assert first.locator("mark").all_inner_texts() == ["Quillmarrow"]
    box.fill(QUESTION)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_test_id("answer").wait_for(timeout=60_000)
    cited = page.get_by_test_id("citations").locator("li").first
    assert cited.get_by_role("button", name=WANTED).count() == 1
    assert cited.locator("mark").count() > 0, page.get_by_test_id("answer").inner_text()
    return collection
