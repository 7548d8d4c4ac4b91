"""The UI's files as the gateway serves them."""

import gzip
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from deployments.gateway import errors
from deployments.gateway.middleware import RequestIds
from deployments.gateway.surface import take
from deployments.gateway.web.pages import DIST, Pages
from deployments.gateway.web.routes import router
from tests.unit.gateway.conftest import client_of

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
INDEX = '<!doctype html><script type="module" src="/ui/assets/index-1a2b.js"></script>'

LONG = b"export const lamp = 1\n" * 100
ZIPPED = gzip.compress(LONG)
SCRIPT = "/ui/assets/index-1a2b.js"


def built(folder: Path) -> Path:
    (folder / "dist" / "assets").mkdir(parents=True)
    (folder / "dist" / "index.html").write_text(INDEX)
    (folder / "dist" / "mark.svg").write_text("<svg/>")
    (folder / "dist" / "assets" / "index-1a2b.js").write_text("export {}")
    (folder / "dist" / "assets" / "index-3c4d.css").write_text("p{}")
    (folder / "secret.txt").write_text("of nobody's business")
    return folder / "dist"


def app_of(folder: Path) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    errors.install(app)
    take(app, router(Pages(folder)))
    app.add_middleware(RequestIds)
    return app


@pytest.fixture
def compressed(tmp_path: Path) -> httpx.AsyncClient:
    folder = built(tmp_path)
    script = folder / "assets" / "index-1a2b.js"
    script.write_bytes(LONG)
    script.with_name(f"{script.name}.gz").write_bytes(ZIPPED)
    script.with_name(f"{script.name}.br").write_bytes(b"in brotli")
    (folder / "index.html.gz").write_bytes(gzip.compress(INDEX.encode()))
    return client_of(app_of(folder))


@pytest.fixture
def client(tmp_path: Path) -> httpx.AsyncClient:
    return client_of(app_of(built(tmp_path)))


def test_the_files_are_looked_for_in_the_checkout() -> None:
    assert Path(__file__).parents[4] / "web" / "dist" == DIST


async def test_the_page_is_looked_at_anew_and_runs_nothing_but_its_own_files(client: httpx.AsyncClient) -> None:
    page = await client.get("/ui/", headers=HTML)
    assert (page.status_code, page.text) == (200, INDEX)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("assets/index-1a2b.js", "text/javascript; charset=utf-8"),
        ("assets/index-3c4d.css", "text/css; charset=utf-8"),
    ],
)
async def test_assets_are_kept_for_good_under_their_own_types(
    client: httpx.AsyncClient, path: str, kind: str
) -> None:
    asset = await client.get(f"/ui/{path}")
    assert asset.status_code == 200
    assert asset.headers["content-type"] == kind
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["x-content-type-options"] == "nosniff"


async def test_a_file_whose_name_says_nothing_of_its_content_is_compared_first(client: httpx.AsyncClient) -> None:
    mark = await client.get("/ui/mark.svg")
    assert (mark.headers["content-type"], mark.headers["cache-control"]) == (
        "image/svg+xml; charset=utf-8",
        "no-cache",
    )
    again = await client.get("/ui/mark.svg", headers={"if-none-match": mark.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


async def test_a_browser_that_goes_to_one_of_the_apps_own_paths_gets_the_page(client: httpx.AsyncClient) -> None:
    for path in ("/ui/documents", "/ui/documents/my.notes", "/ui/documents/a/b"):
        page = await client.get(path, headers=HTML)
        assert (page.status_code, page.text) == (200, INDEX), path
        assert page.headers["cache-control"] == "no-cache"


async def test_what_does_not_exist_is_404_for_anybody_but_a_browser_that_goes_there(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/ui/documents")).status_code == 404
    assert (await client.get("/ui/assets/index-old.js", headers=HTML)).status_code == 404
    answer = await client.get("/ui/nothing.js", headers={"accept": "*/*"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "assets/../../secret.txt",
        "assets%2f..%2f..%2fsecret.txt",
        "..%5csecret.txt",
        "/etc/hostname",
        "%2fetc%2fhostname",
        "mark.svg%00",
        "x" * 5000,
        "assets",
    ],
)
async def test_nothing_outside_the_built_files_is_served(client: httpx.AsyncClient, path: str) -> None:
    url = httpx.URL("http://gateway/ui/", raw_path=f"/ui/{path}".encode())
    answer = await client.get(url)
    assert answer.status_code == 404
    assert "business" not in answer.text


@pytest.mark.parametrize(
    "path", ["assets/..%2findex.html", "x/..%2findex.html", "index.html/", "index.html%2f", "%2e/index.html"]
)
async def test_the_page_has_its_policy_and_is_never_kept_for_good_under_any_name(
    client: httpx.AsyncClient, path: str
) -> None:
    """`assets/..%2findex.html` was the page without its policy, to be kept for a year."""
    url = httpx.URL("http://gateway/ui/", raw_path=f"/ui/{path}".encode())
    assert (await client.get(url)).status_code == 404
    page = await client.get(url, headers=HTML)
    if page.status_code == 200:
        assert page.headers["cache-control"] == "no-cache"
        assert "script-src 'self';" in page.headers["content-security-policy"]
    else:
        assert (page.status_code, path) == (404, "assets/..%2findex.html")


async def test_a_picture_that_is_opened_by_itself_runs_nothing_either(client: httpx.AsyncClient) -> None:
    mark = await client.get("/ui/mark.svg")
    assert "default-src 'none'" in mark.headers["content-security-policy"]


async def test_a_link_that_leads_out_of_the_built_files_is_not_followed(tmp_path: Path) -> None:
    folder = built(tmp_path)
    (folder / "assets" / "out.txt").symlink_to(tmp_path / "secret.txt")
    assert (await client_of(app_of(folder)).get("/ui/assets/out.txt")).status_code == 404


async def test_head_is_answered_without_a_body(client: httpx.AsyncClient) -> None:
    head = await client.head("/ui/", headers=HTML)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(INDEX)))


@pytest.mark.parametrize(
    ("asked", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("gzip;q=0, br;q=0", None),
        ("gzip;q=much", None),
        ("identity", None),
        ("zstd", None),
        ("", None),
    ],
)
async def test_what_was_compressed_goes_to_whoever_takes_it_and_is_the_same(
    compressed: httpx.AsyncClient, asked: str, encoding: str | None
) -> None:
    for method in ("GET", "HEAD"):
        asset = await compressed.request(method, SCRIPT, headers={"accept-encoding": asked})
        assert asset.status_code == 200
        assert asset.headers.get("content-encoding") == encoding
        assert asset.headers["content-length"] == str({None: len(LONG), "gzip": len(ZIPPED), "br": 9}[encoding])
        assert asset.headers["content-type"] == "text/javascript; charset=utf-8"
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert asset.headers["vary"] == "accept-encoding"
        if encoding != "br":  # httpx has no decoder for it, and ours is none
            assert asset.content == (LONG if method == "GET" else b"")


async def test_each_encoding_has_its_own_etag_and_is_compared_by_it(compressed: httpx.AsyncClient) -> None:
    tags = {}
    for encoding in ("br", "gzip", "identity"):
        headers = {"accept-encoding": encoding}
        tags[encoding] = (await compressed.head(SCRIPT, headers=headers)).headers["etag"]
        again = await compressed.get(SCRIPT, headers={**headers, "if-none-match": tags[encoding]})
        assert (again.status_code, again.content, again.headers.get("content-encoding")) == (304, b"", None)
        assert (again.headers["etag"], again.headers["vary"]) == (tags[encoding], "accept-encoding")
    assert len(set(tags.values())) == 3


async def test_a_part_of_a_file_is_one_of_the_plain_file(compressed: httpx.AsyncClient) -> None:
    whole = await compressed.get(SCRIPT, headers={"accept-encoding": "identity"})
    headers = {"accept-encoding": "gzip", "range": "bytes=10-19"}
    part = await compressed.get(SCRIPT, headers=headers)
    assert (part.status_code, part.content, part.headers.get("content-encoding")) == (206, LONG[10:20], None)
    assert part.headers["content-range"] == f"bytes 10-19/{len(LONG)}"
    assert part.headers["etag"] == whole.headers["etag"]
    # Who has the beginning of the compressed one gets the whole plain one, not an end that does not fit.
    of_zipped = (await compressed.head(SCRIPT, headers={"accept-encoding": "gzip"})).headers["etag"]
    other = await compressed.get(SCRIPT, headers={**headers, "if-range": of_zipped})
    assert (other.status_code, other.content) == (200, LONG)
    beyond = await compressed.get(SCRIPT, headers={"range": f"bytes={len(LONG)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(LONG)}")


async def test_a_file_that_was_not_compressed_is_sent_as_it_is(compressed: httpx.AsyncClient) -> None:
    mark = await compressed.get("/ui/mark.svg", headers={"accept-encoding": "br, gzip"})
    assert (mark.text, mark.headers.get("content-encoding")) == ("<svg/>", None)
    page = await compressed.get("/ui/documents", headers={**HTML, "accept-encoding": "gzip"})
    assert (page.text, page.headers["content-encoding"], page.headers["vary"]) == (
        INDEX,
        "gzip",
        "accept, accept-encoding",
    )


@pytest.mark.parametrize("suffix", [".gz", ".br"])
async def test_a_compressed_file_has_no_name_of_its_own(compressed: httpx.AsyncClient, suffix: str) -> None:
    assert (await compressed.get(f"{SCRIPT}{suffix}")).status_code == 404


async def test_a_browser_at_the_root_is_sent_to_the_pages_and_nobody_else(client: httpx.AsyncClient) -> None:
    sent = await client.get("/", headers=HTML)
    assert (sent.status_code, sent.headers["location"], sent.headers["vary"]) == (307, "/ui/", "accept")
    assert (await client.get("/ui")).headers["location"] == "/ui/"
    answer = await client.get("/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_pages_that_are_not_built_say_how_to_and_appear_once_they_are(tmp_path: Path) -> None:
    client = client_of(app_of(tmp_path / "dist"))
    page = await client.get("/ui/", headers=HTML)
    assert page.status_code == 503
    assert "make web" in page.text
    assert page.headers["cache-control"] == "no-store"
    asset = await client.get("/ui/assets/index-1a2b.js")
    assert (asset.status_code, asset.json()["error"]["code"]) == (503, "unavailable")
    assert "make web" in asset.json()["error"]["hint"]
    built(tmp_path)
    assert (await client.get("/ui/", headers=HTML)).text == INDEX
