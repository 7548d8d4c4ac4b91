"""Pictures through the whole graph: what is answered depends on the pixels and on nothing else."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.unit.engines.pictures import asked, encoded, plain, refused, url

CHAT = "/v1/chat/completions"
REFUSED = refused()


def body(address: str, **fields: Any) -> dict[str, Any]:
    return {"model": "eye", "messages": asked(address), "temperature": 0, **fields}


def said(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


async def test_two_pictures_swapped_swap_their_answers(graph: httpx.AsyncClient) -> None:
    red, blue = url(encoded(plain("red"))), url(encoded(plain("blue")))
    first = [said(await graph.post(CHAT, json=body(one))) for one in (red, blue)]
    second = [said(await graph.post(CHAT, json=body(one))) for one in (blue, red)]
    assert first == second[::-1]
    assert first[0] != first[1]


async def test_many_clients_at_once_each_get_their_own_pictures_answer(graph: httpx.AsyncClient) -> None:
    colours = [f"#{10 * n:02x}{255 - 10 * n:02x}{n:02x}" for n in range(24)]
    posts = (
        graph.post(CHAT, json=body(url(encoded(plain(colour))), stream=n % 2 == 1))
        for n, colour in enumerate(colours)
    )
    for colour, response in zip(colours, await asyncio.gather(*posts), strict=True):
        assert response.status_code == 200
        assert colour in response.text


async def test_a_stream_says_what_a_whole_answer_does(graph: httpx.AsyncClient) -> None:
    response = await graph.post(CHAT, json=body(url(encoded(plain("green"))), stream=True))
    events = [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]
    assert events[-1] == "[DONE]"
    streamed = "".join(json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1])
    assert streamed == said(await graph.post(CHAT, json=body(url(encoded(plain("green"))))))
    assert streamed.startswith("[96x96 #008000]")


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_picture_keeps_its_code_across_the_graph(graph: httpx.AsyncClient, name: str) -> None:
    address, code = REFUSED[name]
    for stream in (False, True):
        response = await graph.post(CHAT, json=body(address, stream=stream))
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert said(await graph.post(CHAT, json=body(url(encoded(plain("red")))))).startswith("[96x96 #ff0000]")


async def test_a_picture_to_a_text_model_names_the_one_that_sees(graph: httpx.AsyncClient) -> None:
    error = (await graph.post(CHAT, json=body(url(encoded(plain())), model="slow/echo"))).json()["error"]
    assert error["message"] == "slow/echo does not see pictures. Ask eye."
