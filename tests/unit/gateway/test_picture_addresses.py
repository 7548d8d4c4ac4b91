"""Pictures by address, from a server of this test's own: what is fetched, and all that must not be."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from cluster.errors import ImageFetchFailed, ImageTooLarge, ImageUrlNotAllowed, Overloaded, UnsupportedImage
from cluster.settings.limits import LimitSettings
from deployments.clients import Backends
from deployments.gateway import addresses, errors, pictures
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai import routes as openai
from deployments.gateway.pictures import Pictures, Room
from deployments.gateway.surface import take
from tests.unit.engines.pictures import asked, encoded, plain, url
from tests.unit.gateway.conftest import LocalModel, client_of, settings_with, started
from tests.unit.gateway.picture_store import HOST, RED, Store, certified, moved, reply, serving

CHAT = "/v1/chat/completions"
PLACE = "messages[0].content[0].image_url"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with serving() as store:
        yield store


def names(**known: list[str]) -> Callable[[str, int], Any]:
    """A resolver that knows these names, dots as underscores; numbers mean what they mean to the system."""

    async def resolve(host: str, port: int) -> list[str]:
        key = host.replace(".", "_")
        if key in known:
            return known[key]
        if host[:1].isdigit() or ":" in host:
            return await addresses.resolve(host, port)
        raise OSError("no such name")

    return resolve


def limits(store: Store, **changes: Any) -> LimitSettings:
    return LimitSettings(**{"image_hosts": (HOST,), "image_ports": (store.port,), **changes})


def fetcher(store: Store, resolve: Any = None, **changes: Any) -> Pictures:
    return Pictures(limits(store, **changes), resolve=resolve or names(pictures_test=["127.0.0.1"]))


async def fetch(those: Pictures, address: str) -> str:
    return await those._fetch(address, Room(10**6))


async def app_of(store: Store, **changes: Any) -> tuple[FastAPI, LocalModel]:
    model = await started(images=True)
    settings = settings_with(limits=limits(store, **changes).model_dump())
    backends = Backends(models={"echo": model})
    fetching = Pictures(settings.limits, resolve=names(pictures_test=["127.0.0.1"]))
    chats = Chats(backends, settings, pictures=fetching)
    app = FastAPI()
    errors.install(app)
    take(app, openai.router(backends, settings, chats), anthropic.router(backends.models, chats))
    app.add_middleware(RequestIds)
    return app, model


def body(*urls: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    return {"model": "echo", "messages": [{"role": "user", "content": parts}]}


async def test_a_picture_by_address_reaches_the_model(store: Store) -> None:
    app, _ = await app_of(store)
    async with client_of(app) as client:
        answer = (await client.post(CHAT, json={"model": "echo", "messages": asked(store.at())})).json()
        source = {"type": "url", "url": store.at()}
        message = {"role": "user", "content": [{"type": "image", "source": source}]}
        asked_so = {"model": "echo", "max_tokens": 9, "messages": [message]}
        other = (await client.post("/v1/messages", json=asked_so)).json()
    assert answer["choices"][0]["message"]["content"] == "[96x96 #ff0000] What colour is it?"
    assert other["content"][0]["text"] == "[96x96 #ff0000]"


async def test_an_address_that_stands_twice_is_fetched_once_beside_data(store: Store) -> None:
    app, _ = await app_of(store)
    async with client_of(app) as client:
        blue = url(encoded(plain("blue")))
        answer = (await client.post(CHAT, json=body(store.at(), blue, store.at()))).json()
    assert answer["choices"][0]["message"]["content"].split()[1::2] == ["#ff0000]", "#0000ff]", "#ff0000]"]
    assert len(store.seen) == 1


async def test_the_host_is_named_and_nothing_about_us(store: Store) -> None:
    store.answers["/red.png?a=b"] = reply()
    await fetch(fetcher(store), store.at("/red.png?a=b#part"))
    head = store.seen[0].lower()
    assert head.startswith("get /red.png?a=b http/1.1")
    assert f"host: {HOST}:{store.port}\r\n" in head
    assert "cookie" not in head
    assert "authorization" not in head


async def test_a_refusal_has_its_place_and_no_address(store: Store) -> None:
    app, _ = await app_of(store)
    async with client_of(app) as client:
        wrong = store.at(host="10.1.2.3")
        for stream in (False, True):
            error = (await client.post(CHAT, json={**body(wrong), "stream": stream})).json()["error"]
            assert (error["code"], error["param"]) == ("invalid_image_url", PLACE)
            assert "10.1.2.3" not in error["message"]
        second = (await client.post(CHAT, json=body(store.at(), store.at("/none")))).json()["error"]
    assert (second["code"], second["param"]) == ("image_fetch_failed", PLACE.replace("content[0]", "content[1]"))


PRIVATE = [
    *("127.0.0.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "0.0.0.0", "169.254.169.254", "192.168.0.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fd00::1]"),
    *("local.test", "mixed.test"),
]


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_private_address_is_not_asked_in_any_form(store: Store, host: str) -> None:
    known = names(local_test=["127.0.0.1"], mixed_test=["8.8.8.8", "127.0.0.1"])
    with pytest.raises(ImageUrlNotAllowed) as caught:
        await fetch(fetcher(store, known), store.at(host=host))
    assert "127" not in caught.value.line()
    assert store.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "http://u:p@pictures.test:{port}/red.png",
        "http://u@pictures.test:{port}/red.png",
        "http://pictures.test/red.png",
        "http://pictures.test:0/red.png",
        "http://pictures.test:99999/red.png",
        "http://pictures.test:x/red.png",
        "http:/red.png",
        " http://pictures.test:{port}/red.png",
        "ftp://pictures.test:{port}/red.png",
        "file:///etc/passwd",
        "http://①②⑦.0.0.1:{port}/",
        "http://[::1/",
        "http://" + "a" * 70_000,
    ],
)
async def test_an_odd_address_is_refused(store: Store, address: str) -> None:
    with pytest.raises(ImageUrlNotAllowed):
        await fetch(fetcher(store), address.replace("{port}", str(store.port)))
    assert store.seen == []


@pytest.mark.parametrize("host", ["nowhere.test", "a..b", "a%00b", "-"])
async def test_a_host_that_is_not_found_is_a_failed_fetch(store: Store, host: str) -> None:
    with pytest.raises(ImageFetchFailed):
        await fetch(fetcher(store), store.at(host=host))


async def test_a_name_that_changes_its_mind_is_asked_once(store: Store) -> None:
    told: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        told.append(host)
        return ["127.0.0.1"] if len(told) == 1 else ["127.0.0.2"]

    assert (await fetch(fetcher(store, resolve), store.at())).startswith("data:image/png;base64,")
    assert told == [HOST]


async def test_the_next_address_is_tried_where_the_first_does_not_answer(store: Store) -> None:
    both = names(pictures_test=["127.0.0.9", "127.0.0.1"])  # nobody listens on the first
    assert await fetch(fetcher(store, both), store.at()) == url(RED)


async def test_a_redirect_is_followed_and_judged_anew(store: Store) -> None:
    store.answers["/there"] = moved("/red.png")
    assert await fetch(fetcher(store), store.at("/there")) == url(RED)
    for bad in (store.at(host="127.0.0.1"), "file:///etc/passwd", f"//u:p@{HOST}:{store.port}/red.png"):
        store.seen.clear()
        store.answers["/away"] = moved(bad)
        with pytest.raises(ImageUrlNotAllowed):
            await fetch(fetcher(store), store.at("/away"))
        assert len(store.seen) == 1


async def test_redirects_end(store: Store) -> None:
    store.answers["/loop"] = moved("/loop")
    with pytest.raises(ImageFetchFailed, match="more than 3"):
        await fetch(fetcher(store), store.at("/loop"))
    assert len(store.seen) == 4


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(status="404 Not Found"), ImageFetchFailed),
        (reply(status="206 Partial Content"), ImageFetchFailed),
        (reply(status="302 Found"), ImageFetchFailed),
        (moved("http://[::1"), ImageFetchFailed),
        (reply(content_type="text/html"), UnsupportedImage),
        (reply(content_type="image/png, text/html"), UnsupportedImage),
        (reply(content_encoding="gzip"), ImageFetchFailed),
        (reply(b"x" * 5000), ImageTooLarge),
        (reply(b"x" * 5000, length=False), ImageTooLarge),
        (reply()[:-9], ImageFetchFailed),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, ImageFetchFailed),
        (b"nonsense\r\n\r\n", ImageFetchFailed),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ImageFetchFailed),
    ],
)
async def test_what_is_no_picture_is_refused(store: Store, answer: bytes, kind: type[Exception]) -> None:
    store.answers["/odd"] = answer
    with pytest.raises(kind):
        await fetch(fetcher(store, max_image_bytes=4000), store.at("/odd"))


async def test_an_answer_is_read_no_further_than_the_limit(store: Store) -> None:
    store.answers["/slow"] = reply(b"x" * 5000, content_length="99999999", length=False)
    with pytest.raises(ImageTooLarge):
        await fetch(fetcher(store, max_image_bytes=4000), store.at("/slow"))


async def test_all_pictures_of_a_request_have_the_room_of_a_body(store: Store) -> None:
    app, _ = await app_of(store, max_body_bytes=1024)
    store.answers |= {f"/{at}": reply(b"x" * 300) for at in range(3)}
    async with client_of(app) as client:
        answer = await client.post(CHAT, json=body(*(store.at(f"/{at}") for at in range(3))))
    assert answer.json()["error"]["code"] == "image_too_large"


async def test_more_pictures_than_allowed_are_not_fetched(store: Store) -> None:
    app, _ = await app_of(store, max_images=2)
    async with client_of(app) as client:
        answer = await client.post(CHAT, json=body(*(store.at(f"/{at}") for at in range(3))))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")
    assert store.seen == []


async def test_a_slow_host_is_given_up(store: Store) -> None:
    store.answers["/slow"] = reply()[:-9]
    app, _ = await app_of(store, image_fetch_timeout_ms=50)
    async with client_of(app) as client:
        error = (await client.post(CHAT, json=body(store.at("/slow")))).json()["error"]
    assert (error["code"], error["param"]) == ("image_fetch_failed", PLACE)


async def test_where_too_many_are_fetched_more_are_told_to_come_back(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "AT_ONCE", 0)
    app, _ = await app_of(store, image_fetch_timeout_ms=20)
    async with client_of(app) as client:
        answer = await client.post(CHAT, json=body(store.at()))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["code"] == Overloaded.code


async def test_a_closed_port_is_a_failed_fetch(store: Store) -> None:
    with pytest.raises(ImageFetchFailed, match="does not answer"):
        await fetch(fetcher(store, names(pictures_test=["127.0.0.9"])), store.at())


async def test_where_addresses_are_refused_nothing_is_asked(store: Store) -> None:
    app, _ = await app_of(store, image_urls="refused")
    async with client_of(app) as client:
        error = (await client.post(CHAT, json=body(store.at()))).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_image_url", PLACE)
    assert store.seen == []


async def test_a_model_that_does_not_see_has_nothing_fetched(store: Store) -> None:
    app, model = await app_of(store)
    model.engine = (await started()).engine
    async with client_of(app) as client:
        error = (await client.post(CHAT, json=body(store.at()))).json()["error"]
    assert error["code"] == "unsupported_parameter"
    assert store.seen == []


async def test_tls_checks_the_name_although_the_number_is_asked(monkeypatch) -> None:
    trust, context = certified(HOST)
    monkeypatch.setattr(pictures, "_tls", lambda: trust)
    both = names(pictures_test=["127.0.0.1"], other_test=["127.0.0.1"])
    async with serving(context) as store:
        those = fetcher(store, both, image_hosts=(HOST, "other.test"))
        assert await fetch(those, store.at(scheme="https")) == url(RED)
        with pytest.raises(ImageFetchFailed):
            await fetch(those, store.at(host="other.test", scheme="https"))
    assert len(store.seen) == 1
