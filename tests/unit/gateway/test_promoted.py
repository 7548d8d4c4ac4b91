"""Promoted parameters: what a request is completed with where it does not say."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from cluster.errors import DatabaseAway, EngineDead
from cluster.stores.database import open_database
from cluster.stores.promotions import Promotion, Promotions
from cluster.types import ChatCall, ModelCard
from deployments.clients import Backends
from deployments.gateway import promoted as promoting
from deployments.gateway.cache.build import open_caches
from deployments.gateway.cache.keys import chat_key
from deployments.gateway.chats import Chats
from deployments.gateway.models import routes
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.on_demand import Available, unloaded
from deployments.gateway.principal import LOCAL
from deployments.gateway.promoted import Promoted
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, client_of, settings_with, started
from tests.unit.gateway.models.test_on_demand import Fleet
from tests.unit.stores.test_promotions import promotion

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
RAW = {"model": "echo", "prompt": "one two three"}


class Heard(LocalModel):
    """A model that keeps what it was asked, or is dead; honours: in place of all that its engine does."""

    def __init__(self, model: LocalModel, *, dead: bool = False, honours: frozenset[str] | None = None) -> None:
        super().__init__(model.engine)
        self.bodies: list[dict[str, Any]] = []
        self._dead = dead
        self._honours = honours

    async def card(self) -> ModelCard:
        card = await super().card()
        if self._honours is None:
            return card
        return replace(card, capabilities=replace(card.capabilities, parameters=self._honours))

    async def chat(self, call: ChatCall) -> bytes:
        if self._dead:
            raise EngineDead("it is dead")
        self.bodies.append(json.loads(call.body))
        return await super().chat(call)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoting, "PATIENCE_S", 60.0)  # the machine that runs the tests may have other work


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = open_database("sqlite://")
    yield made
    made.dispose()


@pytest.fixture
async def model() -> Heard:
    return Heard(await started())


@pytest.fixture
async def chats(model: Heard, engine: Engine) -> Chats:
    return chats_over({"echo": model}, engine)


def chats_over(served: Mapping[str, Heard], engine: Engine, **changes: Any) -> Chats:
    settings = settings_with(**changes)
    return Chats(
        Backends(models=dict(served), embedder=LocalEmbedder()),
        settings,
        caches=open_caches(settings),
        promoted=Promoted(engine, believed_s=0.0),
    )


async def sent(chats: Chats, **fields: Any) -> dict[str, Any]:
    """What the model is asked of a chat request, beside its structure."""
    chat = await chats.check(json.dumps({**ASKED, **fields}).encode(), request_id="r", principal=LOCAL)
    body = json.loads(chat.call.body)
    assert all(getattr(chat.wanted, name) == body[name] for name in body if name != "messages")
    return {name: value for name, value in body.items() if name not in ASKED}


async def test_what_a_request_leaves_out_is_what_was_promoted(chats: Chats, engine: Engine) -> None:
    assert await sent(chats) == {}
    Promotions(engine).put(promotion("echo", temperature=0.3, top_p=0.9))
    assert await sent(chats) == {"temperature": 0.3, "top_p": 0.9}  # at once, without a restart
    Promotions(engine).remove("echo")
    assert await sent(chats) == {}


async def test_what_a_request_says_wins(chats: Chats, engine: Engine) -> None:
    Promotions(engine).put(promotion("echo", temperature=0.3, top_p=0.9))
    assert await sent(chats, temperature=1.1) == {"temperature": 1.1, "top_p": 0.9}
    assert await sent(chats, temperature=0, top_p=0.5) == {"temperature": 0, "top_p": 0.5}
    assert await sent(chats, temperature=None) == {"temperature": 0.3, "top_p": 0.9}


async def test_another_models_promotion_changes_nothing(chats: Chats, engine: Engine) -> None:
    Promotions(engine).put(promotion("other", temperature=0.3))
    assert await sent(chats) == {}


async def test_a_model_that_is_asked_by_another_name_is_the_same(model: Heard, engine: Engine) -> None:
    Promotions(engine).put(promotion("echo", temperature=0.3))
    assert (await sent(chats_over({"org/Echo": model}, engine), model="org/Echo"))["temperature"] == 0.3


async def test_a_list_of_models_says_what_was_promoted(engine: Engine) -> None:
    card = unloaded("big", engine="scripted", context_length=64, images=False, memory_gib=1.0)
    fleet = Fleet()
    models = Available(
        {}, Claims(fleet, {}.__getitem__, linger_s=5.0), lambda: {"big": card, "other": replace(card, id="other")}
    )
    app = FastAPI()
    take(app, routes.router(models, fleet, Promoted(engine)))
    Promotions(engine).put(kept := promotion("big", temperature=0.3))
    async with client_of(app) as client:
        rows = {row["id"]: row for row in (await client.get("/api/v1/models")).json()["data"]}
    assert rows["big"]["promoted"] == kept.as_json()
    assert "promoted" not in rows["other"]


async def test_what_the_model_no_longer_honours_fails_no_request(engine: Engine) -> None:
    model = Heard(await started(), honours=frozenset({"temperature"}))
    Promotions(engine).put(promotion("echo", temperature=0.3, top_k=5))
    assert await sent(chats_over({"echo": model}, engine)) == {"temperature": 0.3}


async def test_a_raw_prompt_has_the_parameters_that_it_knows(chats: Chats, engine: Engine) -> None:
    Promotions(engine).put(promotion("echo", temperature=0.3, chat_template_kwargs={"enable_thinking": False}))
    checked = await chats.check_completion(json.dumps(RAW).encode(), request_id="r", principal=LOCAL)
    assert json.loads(checked.call.body) == {**RAW, "temperature": 0.3}


async def test_a_fallback_answers_with_its_own_defaults(engine: Engine) -> None:
    models = {"echo": Heard(await started(), dead=True), "spare": Heard(await started())}
    listed = [
        {"id": "echo", "engine": {"kind": "scripted"}, "fallbacks": ["spare"]},
        {"id": "spare", "engine": {"kind": "scripted"}},
        {"id": "hash", "engine": {"kind": "hash", "dimensions": 16}},
    ]
    chats = chats_over(models, engine, models=listed)
    store = Promotions(engine)
    store.put(promotion("echo", temperature=0.3, top_p=0.8))
    store.put(promotion("spare", top_p=0.5))
    body = json.dumps({**ASKED, "seed": 7}).encode()
    await chats.whole(await chats.check(body, request_id="r", principal=LOCAL))
    assert models["spare"].bodies == [{**ASKED, "model": "spare", "seed": 7, "top_p": 0.5}]


async def test_an_answer_of_before_is_not_found_in_the_cache(engine: Engine, model: Heard) -> None:
    chats = chats_over({"echo": model}, engine, cache={"enabled": True})
    body = json.dumps({**ASKED, "seed": 7}).encode()

    async def ask() -> str:
        chat = await chats.check(body, request_id="r", principal=LOCAL)
        await chats.whole(chat)
        assert chats.caches is not None
        await chats.caches.answers.settled()
        return chat_key(chat.call.body, owner="local", model="echo", revision="r", configured="")

    before = await ask()
    assert await ask() == before
    assert len(model.bodies) == 1
    Promotions(engine).put(promotion("echo", top_p=0.5))
    assert await ask() != before
    assert [body.get("top_p") for body in model.bodies] == [None, 0.5]


async def test_the_database_is_asked_once_a_second(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    every = Promotions.all

    def counted(store: Promotions) -> dict[str, Promotion]:
        reads.append(1)
        return every(store)

    monkeypatch.setattr(Promotions, "all", counted)
    clock = [0.0]
    known = Promoted(engine, clock=lambda: clock[0])
    await asyncio.gather(*(known.now() for _ in range(8)))
    assert len(reads) == 1
    clock[0] = 1.1
    await known.now()
    assert len(reads) == 2


async def test_without_the_database_what_was_known_holds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    Promotions(engine).put(kept := promotion("echo", temperature=0.3))
    known = Promoted(engine, believed_s=0.0)
    assert await known.now() == {"echo": kept}

    def away(_: Promotions) -> dict[str, Promotion]:
        raise DatabaseAway("away")

    monkeypatch.setattr(Promotions, "all", away)
    assert await known.now() == {"echo": kept}


async def test_a_database_that_hangs_is_waited_for_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def hangs(_: Promotions) -> dict[str, Promotion]:
        assert free.wait(10)
        return {"echo": promotion("echo", temperature=0.3)}

    monkeypatch.setattr(Promotions, "all", hangs)
    monkeypatch.setattr(promoting, "PATIENCE_S", 0.02)
    known = Promoted(engine)
    assert await known.now() == {}
    async with asyncio.timeout(5):
        assert [await known.now() for _ in range(50)] == [{}] * 50
        free.set()
        while not await known.now():  # noqa: ASYNC110 - a thread is waited for, which sets nothing of ours
            await asyncio.sleep(0.001)
