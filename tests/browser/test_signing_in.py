"""Before a gateway that wants to know who asks."""

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.site import PASSWORD, PERSON, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page


def sign_in(page: "Page", site: Site, password: str = PASSWORD) -> None:
    page.goto(f"{site.url}/ui/")
    page.get_by_label("E-mail or user name").fill(PERSON)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def tokens(site: Site) -> dict[str, str]:
    answer = httpx.post(f"{site.url}/api/v1/auth/login", json={"email": PERSON, "password": PASSWORD})
    told: dict[str, str] = answer.json()
    return told


def test_a_person_signs_in_stays_over_a_reload_and_signs_out(page: "Page", guarded: Site) -> None:
    sign_in(page, guarded, "wrong horse battery")
    page.get_by_role("alert").get_by_text("invalid_credentials").wait_for()
    sign_in(page, guarded)
    page.get_by_role("heading", level=1, name="documents").wait_for()
    assert page.locator(".who").inner_text() == PERSON
    page.reload()
    page.get_by_role("heading", level=1, name="documents").wait_for()
    assert page.context.cookies() == []
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in to Heliostat").wait_for()
    assert page.evaluate("Object.keys(sessionStorage).length") == 0


def test_a_token_that_has_ended_is_renewed_unseen_and_a_session_that_has_ended_leads_back(
    page: "Page", guarded: Site
) -> None:
    sign_in(page, guarded)
    page.get_by_role("heading", level=1, name="documents").wait_for()
    spoil = """() => {
        const kept = JSON.parse(sessionStorage.getItem('heliostat.session'))
        kept.access = 'ended'
        sessionStorage.setItem('heliostat.session', JSON.stringify(kept))
        return kept.refresh
    }"""
    page.evaluate(spoil)
    page.reload()
    page.get_by_role("heading", level=1, name="documents").wait_for()
    refresh_token = page.evaluate(spoil)
    used = httpx.post(f"{guarded.url}/api/v1/auth/refresh", json={"refresh_token": refresh_token})
    assert used.status_code == 200  # a refresh token is good once: the page's is now spent
    page.reload()
    page.get_by_role("heading", name="Sign in to Heliostat").wait_for()


def duplicated(page: "Page") -> "Page":
    """A second tab with what this one keeps, as a browser's "duplicate tab" makes it."""
    with page.context.expect_page() as opened:
        page.evaluate("void window.open(location.href)")
    return opened.value


def test_a_duplicated_tab_and_its_first_renew_their_token_together_and_leave_together(
    page: "Page", guarded: Site
) -> None:
    sign_in(page, guarded)
    page.get_by_role("heading", level=1, name="documents").wait_for()
    tabs = [page, duplicated(page), duplicated(page)]
    kept = "sessionStorage.getItem('heliostat.session')"
    spoil = f"() => sessionStorage.setItem('heliostat.session', {kept}.replace(/(\"access\":\")[^\"]+/, '$1ended'))"
    refreshes: list[str] = []
    page.context.on(
        "request", lambda asked: refreshes.append(asked.url) if asked.url.endswith("/refresh") else None
    )
    for tab in tabs:
        tab.get_by_role("heading", level=1, name="documents").wait_for()
        tab.evaluate(spoil)
    before = page.evaluate(kept)
    for tab in tabs:  # all at the same moment
        tab.evaluate("setTimeout(() => location.reload(), 0)")
    for tab in tabs:
        tab.wait_for_timeout(300)
        tab.get_by_role("heading", level=1, name="documents").wait_for()
    assert len(refreshes) == 1
    after = {tab.evaluate(kept) for tab in tabs}
    assert len(after) == 1
    assert after != {before}
    # Once more, one by one: what a tab renewed is good in the others.
    for tab in tabs[::-1]:
        tab.evaluate(spoil)
        tab.reload()
        tab.get_by_role("heading", level=1, name="documents").wait_for()
    tabs[1].get_by_role("button", name="Sign out").click()
    for tab in tabs:
        tab.get_by_role("heading", name="Sign in to Heliostat").wait_for()


@pytest.mark.parametrize("known", [True, False])
def test_an_api_key_is_asked_for_and_tried(page: "Page", guarded: Site, known: bool) -> None:
    bearer = {"authorization": f"Bearer {tokens(guarded)['access_token']}"}
    made = httpx.post(f"{guarded.url}/api/v1/keys", json={"name": "browser"}, headers=bearer).json()
    secret = made["key"] if known else f"{made['key'][:-4]}0000"
    page.goto(f"{guarded.url}/ui/documents")
    page.get_by_role("button", name="API key").click()
    page.get_by_label("API key", exact=True).last.fill(secret)
    page.get_by_role("button", name="Sign in").click()
    if known:
        page.get_by_role("heading", level=1, name="documents").wait_for()
        assert page.locator(".who").inner_text() == "API key"
    else:
        page.get_by_role("alert").get_by_text("invalid_api_key").wait_for()
