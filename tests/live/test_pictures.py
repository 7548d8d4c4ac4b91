"""Pictures at the real endpoint: they reach the model, and none that is sent can hurt. Holds for any weights."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.live.conftest import RunningCluster
from tests.live.test_bad_input import CHAT, GOOD_WITHIN_S, REFUSED_WITHIN_S, refused, replicas
from tests.unit.engines import pictures
from tests.unit.engines.pictures import asked, encoded, plain, url

MODEL = "spark-vision"
ODD, REFUSED = pictures.odd(), pictures.refused()
QUESTION = "What colour is it?"
SECOND_MAY_TAKE_S = 20.0  # a picture of twelve megapixels, on cores that are shared


@pytest.fixture
def client(cluster: RunningCluster) -> Iterator[httpx.Client]:
    """A client, after whose test a good picture is still answered and no replica has been replaced."""
    with httpx.Client(base_url=cluster.url, timeout=60) as client:
        before = replicas(cluster)
        yield client
        begun = time.monotonic()
        answer = client.post(CHAT, json=body(url(ODD["png"])))
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - begun < GOOD_WITHIN_S
        assert client.get("/health").json()["status"] == "healthy"
        assert replicas(cluster) == before, "a replica died of it"


def body(address: str, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": asked(address, QUESTION), "temperature": 0, "max_tokens": 8, **fields}


def first_token(client: httpx.Client, address: str) -> dict[str, float]:
    """The likeliest first tokens with their log probabilities."""
    answer = client.post(CHAT, json=body(address, max_tokens=1, logprobs=True, top_logprobs=10))
    assert answer.status_code == 200, answer.text
    top = answer.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return {one["token"]: one["logprob"] for one in top}


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    return sum(abs(one[token] - other[token]) for token in one.keys() & other.keys()) + len(
        one.keys() ^ other.keys()
    )


def test_the_models_list_says_who_sees(client: httpx.Client) -> None:
    listed = {model["id"]: model["capabilities"] for model in client.get("/v1/models").json()["data"]}
    assert [name for name, able in listed.items() if "vision" in able] == [MODEL, "auto"]


def test_the_pixels_reach_the_model_in_any_encoding(client: httpx.Client) -> None:
    """The same pixels give the same distribution, however they are encoded; others give another."""
    png, webp = (
        first_token(client, url(ODD["png"])),
        first_token(client, url(encoded(plain(), "WEBP", lossless=True))),
    )
    same = [first_token(client, url(ODD[name])) for name in ("rgba", "animated gif", "palette")]
    blue = first_token(client, url(encoded(plain("blue"))))
    noise = max(distance(png, one) for one in (webp, *same, first_token(client, url(ODD["png"]))))
    assert distance(png, blue) > 3 * noise + 1e-3, (distance(png, blue), noise)


def test_an_unusual_picture_is_answered(client: httpx.Client) -> None:
    for name, content in ODD.items():
        for stream in (False, True):
            answer = client.post(CHAT, json=body(url(content), stream=stream))
            assert answer.status_code == 200, (name, answer.text[:300])
            assert answer.elapsed.total_seconds() < SECOND_MAY_TAKE_S, name
            assert not stream or answer.text.endswith("data: [DONE]\n\n"), name


def test_what_is_no_picture_is_refused_with_its_own_code(client: httpx.Client) -> None:
    for name, (address, code) in REFUSED.items():
        for stream in (False, True):
            error = refused(client.post(CHAT, json=body(address, stream=stream)), 400)
            assert (error["code"], error["param"]) == (code, "messages[0].content[0].image_url"), (name, error)


def test_parts_that_the_gateway_does_not_know_are_refused(client: httpx.Client) -> None:
    """vLLM would take a `uuid` for the key of its cache, and fetch a bare `image_url`."""
    png, place = url(ODD["png"]), "messages[0].content[0]"
    parts: list[tuple[dict[str, Any], str]] = [
        ({"type": "image_url", "image_url": {"url": png}, "uuid": "mine"}, f"{place}.uuid"),
        ({"type": "image_url", "image_url": {"url": png, "format": "png"}}, f"{place}.image_url.format"),
        ({"type": "image_url", "image_url": png}, f"{place}.image_url"),
        ({"image_url": png}, place),
        ({"type": "video_url", "video_url": {"url": png}}, place),
        ({"type": "image_embeds", "image_embeds": "AAAA"}, place),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, place),
    ]
    for part, param in parts:
        message = {"role": "user", "content": [part, {"type": "text", "text": "hi"}]}
        error = refused(client.post(CHAT, json={"model": MODEL, "messages": [message]}), 400)
        assert (error["code"], error["param"]) == ("invalid_request", param), (part, error)


def test_no_request_makes_the_server_ask_another(client: httpx.Client) -> None:
    """A listener on loopback, named in every way an address can be, hears nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "0")
        for host in hosts:
            for scheme in ("http", "https", "HTTP", "ftp", " http"):
                error = refused(client.post(CHAT, json=body(f"{scheme}://{host}:{port}/x.png")), 400)
                assert error["code"] == "invalid_image_url"
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_too_many_pictures_are_refused(client: httpx.Client) -> None:
    part = {"type": "image_url", "image_url": {"url": url(ODD["png"])}}
    message = {"role": "user", "content": [part] * 17}
    assert "16 pictures" in refused(client.post(CHAT, json={"model": MODEL, "messages": [message]}), 400)["message"]


def test_a_picture_and_more_words_than_the_context_holds_are_400(client: httpx.Client) -> None:
    messages = asked(url(ODD["png"]), "word " * 5000)
    for stream in (False, True):
        error = refused(client.post(CHAT, json={"model": MODEL, "messages": messages, "stream": stream}), 400)
        assert error["code"] == "context_length_exceeded"


def test_a_pictures_mark_in_the_text_is_only_text(client: httpx.Client) -> None:
    """`<image>` is where a picture's tokens go: with more marks than pictures, or none, nothing may break."""
    for text in ("<image>", "<image><image> and <image>", "<|end|><|assistant|>", "<image>\0"):
        for messages in (asked(url(ODD["png"]), text), [{"role": "user", "content": text}]):
            answer = client.post(CHAT, json={"model": MODEL, "messages": messages, "max_tokens": 4})
            assert answer.status_code in {200, 400}, (text, answer.text[:300])


def test_a_picture_to_the_text_model_names_the_one_that_sees(cluster: RunningCluster) -> None:
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="unused", max_retries=0) as client:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as caught:
                client.chat.completions.create(
                    model="spark-chat",
                    messages=asked(url(ODD["png"])),  # type: ignore[arg-type]
                    stream=stream,
                )
            assert caught.value.code == "unsupported_parameter"
            assert f"spark-chat does not see pictures. Ask {MODEL}." in str(caught.value)


async def test_bombs_do_not_hold_up_those_who_send_good_pictures(cluster: RunningCluster) -> None:
    bombs = [REFUSED[name][0] for name in ("header bomb", "50 megapixels", "half a png", "http")] * 4
    async with httpx.AsyncClient(base_url=cluster.url, timeout=60) as client:
        posts = [client.post(CHAT, json=body(bomb)) for bomb in bombs]
        posts += [client.post(CHAT, json=body(url(ODD["png"]))) for _ in range(8)]
        answers = await asyncio.gather(*posts)
    assert [answer.status_code for answer in answers] == [400] * len(bombs) + [200] * 8
    assert max(answer.elapsed.total_seconds() for answer in answers) < REFUSED_WITHIN_S * 2
