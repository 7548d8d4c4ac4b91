"""The pages for who has no mouse, who reads them with a screen reader, and who has a small screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.conftest import notes
from tests.browser.site import Site
from tests.browser.test_documents import collection, ended, stored, upload

if TYPE_CHECKING:
    from playwright.sync_api import Page

NARROW = {"width": 360, "height": 700}
UNNAMED = """() => Array.from(document.querySelectorAll('button, input:not([hidden]), select, a[href]'))
    .filter((one) => ![one.ariaLabel, one.labels?.[0]?.textContent, one.tagName === 'INPUT' ? '' : one.textContent]
        .some((name) => name?.trim()))
    .map((one) => one.outerHTML)"""
FOCUSED = """() => {
    const one = document.activeElement
    const { outlineStyle, outlineWidth } = getComputedStyle(one)
    const ring = outlineStyle !== 'none' && outlineWidth !== '0px'
    return { name: one.ariaLabel || one.textContent.trim(), ring }
}"""


def tab_to(page: "Page", name: str) -> None:
    """Press Tab until a control has the focus; whatever has it on the way there shows that."""
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        assert found["ring"], found
        if found["name"] == name:
            return
    raise AssertionError(f"no Tab leads to {name!r}")


def test_a_keyboard_alone_makes_opens_tags_and_deletes(page: "Page", site: Site, tmp_path: Path) -> None:
    page.goto(f"{site.url}/ui/")
    page.get_by_role("heading", level=1, name="documents").wait_for()
    tab_to(page, "Skip to the content")
    tab_to(page, "New")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.type("by-keyboard")  # its first field has the focus
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="by-keyboard").wait_for()
    mine = page.url.rpartition("/")[2]
    upload(page, notes(tmp_path / "keys", 3))  # what a browser's own dialog would give
    assert ended(page) == "3 files stored"

    tab_to(page, "Name")
    page.keyboard.press("Enter")
    tab_to(page, "note-0001.txt")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_text("says that lamp 1 burns").wait_for()
    tab_to(page, "New tag")
    page.keyboard.type("kept")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take the tag kept away").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate(FOCUSED)["name"] == "note-0001.txt"  # where it was before
    tab_to(page, "Choose note-0002.txt")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.get_by_role("button", name="Delete 1 document").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert page.evaluate(FOCUSED)["name"] == "Cancel"  # of what cannot be taken back
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_test_id("documents").get_by_role("button", name="note-0002.txt").wait_for(state="detached")
    assert stored(site, mine) == ["note-0000.txt", "note-0001.txt"]


def test_on_a_narrow_screen_nothing_sticks_out_and_every_control_has_a_name(
    page: "Page", site: Site, tmp_path: Path
) -> None:
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]

    def look(what: str) -> None:
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert (what, wide, page.evaluate(UNNAMED)) == (what, NARROW["width"], [])

    collection(page, site, "a-collection-with-quite-a-long-name.that-has-no-space-in-it")
    page.get_by_text("No documents yet.").wait_for()
    look("an empty collection")
    folder = tmp_path / "a-folder-with-quite-a-long-name-that-has-no-space-in-it-either"
    bad = tmp_path / "nothing.txt"
    bad.write_bytes(b"")
    upload(page, [*notes(folder, 60), bad])
    assert ended(page) == "60 stored, 1 failed"
    look("an upload")
    box = page.get_by_role("searchbox", name="Search the documents, or ask them")
    box.fill("lamp 13 burns")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_test_id("answer").wait_for()
    look("an answer")
    page.get_by_test_id("documents").locator(".link").first.click()
    page.get_by_role("dialog").get_by_text("says that lamp").first.wait_for()
    look("a document")


def test_what_is_loaded_and_what_cannot_be_says_so_in_words(page: "Page", site: Site) -> None:
    page.goto(f"{site.url}/ui/")
    page.get_by_role("heading", level=1, name="documents").wait_for()
    listing = "**/api/v1/documents?**"
    page.route(listing, lambda _: None)  # no answer comes
    page.reload()
    library = page.get_by_role("region", name="Documents", exact=True)
    library.get_by_role("status").get_by_text("Loading").wait_for()
    page.unroute(listing)
    page.route(listing, lambda route: route.abort())
    page.reload()
    told = library.get_by_role("alert")
    told.get_by_text("The server does not answer.").wait_for()
    page.unroute(listing)
    told.get_by_role("button", name="Try again").click()
    library.get_by_text("No documents yet.").wait_for()
