"""The documents' page before a whole gateway, whose documents are kept in memory."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.browser.conftest import notes
from tests.browser.site import Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONG_MS = 60_000


def collection(page: "Page", site: Site, name: str) -> str:
    """Make a collection in the page; its id."""
    page.goto(f"{site.url}/ui/")
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    return page.url.rpartition("/")[2]


def upload(page: "Page", files: list[Path]) -> None:
    page.get_by_test_id("pick-files").set_input_files(files)
    page.get_by_test_id("upload").wait_for()


def ended(page: "Page") -> str:
    """Wait for the upload's end; what the page says of it."""
    page.locator("[data-testid=upload][data-over=true]").wait_for(timeout=LONG_MS)
    return page.locator("[data-testid=upload] h2").inner_text()


def moved(page: "Page", files: int) -> None:
    """Wait until more files than that are done. The page's policy lets nobody evaluate a condition in it."""
    bar = page.get_by_role("progressbar", name="Files done")
    while int(bar.get_attribute("aria-valuenow") or 0) <= files:
        page.wait_for_timeout(50)


def stored(site: Site, collection: str) -> list[str]:
    answer = httpx.get(f"{site.url}/api/v1/documents", params={"collection": collection}).json()
    return sorted(document["source"] for document in answer["documents"])


def test_a_browser_at_the_root_comes_to_the_documents(page: "Page", site: Site) -> None:
    page.goto(site.url)
    page.get_by_role("heading", level=1, name="documents").wait_for()
    assert page.url == f"{site.url}/ui/documents/documents"
    assert page.get_by_role("button", name="Sign out").count() == 0
    page.goto(f"{site.url}/ui/nowhere")
    page.get_by_role("heading", name="There is no such page").wait_for()


def test_a_folder_is_uploaded_with_its_names_and_the_wrong_files_say_why(
    page: "Page", site: Site, tmp_path: Path
) -> None:
    mine = collection(page, site, "folder")
    folder = tmp_path / "harbour"
    (folder / "lamps").mkdir(parents=True)
    (folder / "lamps" / "green.md").write_text("# Green\n\nIt burns at night.")
    (folder / "plan.txt").write_text("The plan of the harbour.")
    (folder / "nothing.txt").write_bytes(b"")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden").write_text("not meant")
    page.get_by_label("Tags for these files").fill("harbour, sea")
    page.get_by_test_id("pick-folder").set_input_files(folder)
    assert ended(page) == "2 stored, 2 failed"
    assert "hidden files in folders (1)" in page.locator(".upload").inner_text()
    failed = page.get_by_test_id("upload-files").inner_text()
    assert "harbour/nothing.txt" in failed
    assert "empty_document" in failed
    assert "unsupported_document_type" in failed
    assert stored(site, mine) == ["harbour/lamps/green.md", "harbour/plan.txt"]
    row = page.get_by_test_id("documents").get_by_role("row", name=re.compile("plan.txt"))
    assert row.locator(".tag").all_inner_texts() == ["harbour", "sea"]


def test_a_folder_that_is_dropped_is_uploaded_with_all_that_is_in_it(
    page: "Page", site: Site, tmp_path: Path
) -> None:
    mine = collection(page, site, "dropped-folder")
    folder = tmp_path / "pier"
    notes_of = folder / "deep" / "deeper"
    notes_of.mkdir(parents=True)
    (notes_of / "gulls.txt").write_text("There are seven gulls.")
    (folder / ".DS_Store").write_bytes(b"x")
    for number in range(120):  # a browser tells a folder's files by the hundred
        (folder / f"{number}.txt").write_text(f"Plank {number} is loose.")
    alone = tmp_path / "alone.md"
    alone.write_text("# Alone")
    page.get_by_label("Tags for these files").fill("dropped")
    drops = page.context.new_cdp_session(page)
    held = {"items": [], "files": [str(folder), str(alone)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        drops.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 500, "data": held})
    page.get_by_text("Drop to upload").wait_for()
    drops.send("Input.dispatchDragEvent", {"type": "drop", "x": 600, "y": 500, "data": held})
    assert ended(page) == "122 files stored"
    assert page.get_by_text("Drop to upload").count() == 0
    assert "hidden files in folders (1)" in page.locator(".upload").inner_text()
    found = stored(site, mine)
    assert {"alone.md", "pier/0.txt", "pier/119.txt", "pier/deep/deeper/gulls.txt"} <= set(found)


def test_an_upload_goes_on_where_it_was_when_the_connection_comes_back(
    page: "Page", site: Site, tmp_path: Path
) -> None:
    mine = collection(page, site, "dropped")
    upload(page, notes(tmp_path / "dropped", 400))
    moved(page, 40)
    page.context.set_offline(True)
    page.get_by_test_id("reconnecting").wait_for()
    page.wait_for_timeout(1500)
    assert page.get_by_test_id("upload").get_attribute("data-over") == "false"
    page.context.set_offline(False)
    page.get_by_test_id("reconnecting").wait_for(state="detached")
    assert ended(page) == "400 files stored"
    assert len(stored(site, mine)) == 400


def test_an_upload_that_is_stopped_accounts_for_each_file_and_can_be_taken_up(
    page: "Page", site: Site, tmp_path: Path
) -> None:
    mine = collection(page, site, "stopped")
    upload(page, notes(tmp_path / "stopped", 400))
    moved(page, 10)
    page.get_by_role("button", name="Stop").click()
    told = re.fullmatch(r"(\d+) stored, (\d+) not sent", ended(page))
    assert told is not None
    kept, left = map(int, told.groups())
    assert kept + left == 400
    assert left > 0
    assert len(stored(site, mine)) == kept
    page.get_by_role("button", name=f"Try {left} files again").click()
    page.get_by_role("heading", name=f"{left} files stored").wait_for(timeout=LONG_MS)
    assert len(stored(site, mine)) == 400


def test_documents_are_filtered_sorted_paged_tagged_and_deleted(page: "Page", site: Site, tmp_path: Path) -> None:
    mine = collection(page, site, "shelf")
    upload(page, notes(tmp_path / "shelf", 120))
    assert ended(page) == "120 files stored"
    page.get_by_role("button", name="Dismiss").click()
    table = page.get_by_test_id("documents")
    page.get_by_role("button", name="Name", exact=True).click()
    assert table.locator(".link").first.inner_text() == "note-0000.txt"
    page.get_by_role("button", name="Next →").click()
    assert table.locator(".link").first.inner_text() == "note-0050.txt"
    page.get_by_role("button", name="Name", exact=True).click()
    assert table.locator(".link").first.inner_text() == "note-0119.txt"

    page.get_by_label("Filter by name").fill("note-001")
    page.get_by_text("10 fit").wait_for()
    table.get_by_role("button", name="note-0013.txt").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_text("says that lamp 13 burns").wait_for()
    drawer.get_by_label("New tag").fill("kept, read")
    drawer.get_by_role("button", name="Add", exact=True).click()
    drawer.get_by_role("button", name="Take the tag kept away").click()
    drawer.get_by_role("button", name="Take the tag kept away").wait_for(state="detached")
    page.keyboard.press("Escape")
    drawer.wait_for(state="detached")
    table.get_by_role("button", name="read", exact=True).click()
    page.get_by_text("1 fit").wait_for()
    page.get_by_role("button", name="Show all, not only read").click()
    page.get_by_text("10 fit").wait_for()

    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Delete 10 documents").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert len(stored(site, mine)) == 120
    page.get_by_role("button", name="Delete 10 documents").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("No document fits.").wait_for()
    assert len(stored(site, mine)) == 110

    page.get_by_role("button", name="Delete collection").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete collection").click()
    page.get_by_role("heading", level=1, name="documents").wait_for()
    page.get_by_role("link", name="shelf").wait_for(state="detached")


def test_an_answer_shows_whose_words_it_has_and_nothing_where_the_documents_are_silent(
    page: "Page", site: Site, tmp_path: Path
) -> None:
    collection(page, site, "asked")
    path = tmp_path / "ferry.txt"
    path.write_text("🛳 The ferry to Quill Island leaves at dawn from the old harbour.")
    upload(page, [path])
    assert ended(page) == "1 file stored"
    box = page.get_by_role("searchbox", name="Search the documents, or ask them")
    box.fill("When does the ferry leave?")
    box.press("Enter")
    hits = page.get_by_test_id("passages")
    hits.get_by_role("button", name="ferry.txt").wait_for()
    assert hits.locator("mark").all_inner_texts() == ["ferry", "leaves"]
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.get_by_test_id("answer")
    answer.wait_for()
    cited = page.get_by_test_id("citations")
    assert cited.get_by_role("button", name="ferry.txt").count() == 1
    # The engine repeats what it was given: the quote is marked in the answer and where it is from, emoji or not.
    assert cited.locator("mark").all_inner_texts() == answer.locator("mark").all_inner_texts() != []
    box.fill("zzz qqq")
    page.get_by_role("button", name="Ask", exact=True).click()
    answer.get_by_text("No answer in the documents").wait_for()
    answer.get_by_text("No model was asked").wait_for()
    assert cited.locator("li").count() == 0


def test_a_refusal_is_told_with_its_hint_where_it_was_asked_for(page: "Page", site: Site) -> None:
    collection(page, site, "twice")
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_label("Name", exact=True).fill("twice")
    page.get_by_role("button", name="Create").click()
    notice = page.get_by_role("dialog").get_by_role("alert")
    notice.wait_for()
    assert "twice" in notice.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_the_theme_is_the_systems_until_one_is_chosen(page: "Page", site: Site) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    page.goto(site.url)
    page.get_by_role("heading", level=1).wait_for()
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    assert light != dark
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(ground) == light
    page.reload()
    page.get_by_role("heading", level=1).wait_for()
    assert page.evaluate(ground) == light
