"""Pictures at the gateway's door, over an engine that sees without a model."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.types import ModelCard
from deployments.clients import Backends
from deployments.gateway import cards, errors
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai import routes as openai
from deployments.gateway.surface import take
from tests.unit.engines.pictures import asked, encoded, plain, refused, url
from tests.unit.gateway.conftest import LocalModel, client_of, settings_with, started

CHAT = "/v1/chat/completions"
REFUSED = refused()


class Named(LocalModel):
    """A model with an id of its own; `stuck` never says what it is."""

    def __init__(self, model: LocalModel, name: str, *, stuck: bool = False) -> None:
        super().__init__(model.engine)
        self.name, self.stuck = name, stuck

    async def card(self) -> ModelCard:
        if self.stuck:
            await asyncio.Event().wait()
        return ModelCard(
            id=self.name, engine="scripted", revision="r", created=1, capabilities=self.engine.capabilities
        )


async def app_of(*, stuck: bool = False) -> FastAPI:
    text, eye, other = await started(), await started(images=True), await started(images=True)
    models = {"echo": Named(text, "echo"), "eye": Named(eye, "eye"), "late": Named(other, "late", stuck=stuck)}
    app = FastAPI()
    errors.install(app)
    backends = Backends(models=models)
    take(app, openai.router(backends, settings_with(), Chats(backends, settings_with())))
    app.add_middleware(RequestIds)
    return app


@pytest.fixture
async def seeing() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(await app_of()) as client:
        yield client


def body(address: str, **fields: Any) -> dict[str, Any]:
    return {"model": "eye", "messages": asked(address), "temperature": 0, **fields}


async def test_two_pictures_swapped_swap_their_answers(seeing) -> None:
    for colour, code in (("red", "#ff0000"), ("blue", "#0000ff"), ("red", "#ff0000")):
        answer = (await seeing.post(CHAT, json=body(url(encoded(plain(colour)))))).json()
        assert answer["choices"][0]["message"]["content"] == f"[96x96 {code}] What colour is it?"


async def test_a_picture_to_a_text_model_is_refused_and_says_who_sees(seeing) -> None:
    for stream in (False, True):
        response = await seeing.post(CHAT, json=body(url(encoded(plain())), model="echo", stream=stream))
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "messages")
        assert error["message"] == "echo does not see pictures. Ask eye or late."


async def test_a_model_that_is_not_there_yet_does_not_hold_up_the_refusal(monkeypatch) -> None:
    monkeypatch.setattr(cards, "PATIENCE_S", 0.05)
    async with client_of(await app_of(stuck=True)) as client:
        async with asyncio.timeout(10):
            error = (await client.post(CHAT, json=body(url(encoded(plain())), model="echo"))).json()["error"]
    assert error["message"] == "echo does not see pictures. Ask eye."


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_picture_is_400_with_its_own_code(seeing, name: str) -> None:
    address, code = REFUSED[name]
    for stream in (False, True):
        response = await seeing.post(CHAT, json=body(address, stream=stream))
        error = response.json()["error"]
        place = "messages[0].content[0].image_url"
        assert (response.status_code, error["code"], error["param"]) == (400, code, place)
