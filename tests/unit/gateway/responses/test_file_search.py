"""The tool `file_search`: files are searched before the model is asked, and the answer says which it is from."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.documents import SearchCall
from cluster.settings.tree import Settings
from cluster.stores.collection_names import Collection
from cluster.stores.database import engine_of
from cluster.stores.files import StoredFile
from cluster.stores.vector_store_files import COMPLETED, StoreFiles, Wanted
from cluster.types import ModelCard
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.collections.directory import Collections
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai.responses import routes
from deployments.gateway.openai.responses.desk import Desk
from deployments.gateway.openai.responses.file_search import open_file_search
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with
from tests.unit.gateway.rag.passages import Shelf, passage
from tests.unit.gateway.responses.conftest import Owners, Told, checked, chunk, ended, events_of

DOCUMENT = "b" * 64
BRIDGE = "The toll of the Amber Bridge is three copper coins."
MILL = "The mill grinds barley on Thursdays."
SAID = "Three copper coins [1]."
TOOL = {"type": "file_search", "vector_store_ids": ["tolls"]}
QUESTION = "What is the toll of the bridge?"


class Teller(Told):
    """A model with room for every prompt here, unless `room` says otherwise, in tokens."""

    room = 4096

    async def card(self) -> ModelCard:
        card = await super().card()
        return replace(card, capabilities=replace(card.capabilities, context_length=self.room))


@dataclass
class House:
    """A gateway with a store `tolls` of Ann's, in which one document came in as a file."""

    client: httpx.AsyncClient
    model: Teller
    shelf: Shelf
    store: Collection

    async def ask(self, question: Any = QUESTION, **fields: Any) -> httpx.Response:
        body = {"model": "echo", "input": question, "tools": [TOOL], **fields}
        return await self.client.post("/v1/responses", json=body)

    @property
    def prompt(self) -> Any:
        """What the model was asked last."""
        return self.model.calls[-1]["messages"][-1]["content"]


@pytest.fixture
async def house(database: str) -> House:
    settings = settings_with(stores={"database": database}, documents={"passages": 3})
    return await house_over(settings)


async def house_over(settings: Settings) -> House:
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    choice = {"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}
    answer = {"id": "c", "created": 1, "model": "echo", "choices": [choice], "usage": usage}
    model = Teller([chunk({"content": piece}) for piece in SAID.split("!")] + [ended("stop")], answer)
    shelf = Shelf([passage(BRIDGE, document=DOCUMENT, source="x.txt"), passage(MILL, document="m", cosine=0.5)])
    engine = engine_of(settings.database_url)
    collections = Collections(engine, shelf, settings)  # type: ignore[arg-type]
    store = await collections.make("ann", name="tolls")
    _put(StoreFiles(engine), store.id)
    backends = Backends(models={"echo": model}, embedder=LocalEmbedder(), retriever=shelf)  # type: ignore[arg-type]
    chats = Chats(backends, settings, gate=open_gate(settings))
    app = FastAPI()
    errors.install(app)
    search = open_file_search(backends, settings, chats, engine)
    take(app, routes.router(Desk(settings, chats, engine, search=search, watch_s=0.01)))
    app.add_middleware(RequestIds)
    app.add_middleware(Owners)
    client = client_of(app)
    client.headers["x-owner"] = "ann"
    return House(client=client, model=model, shelf=shelf, store=store)


def _put(files: StoreFiles, store_id: str) -> None:
    """A file in a store, whose document is DOCUMENT."""
    file = StoredFile(
        seq=1, id="file-1", owner="ann", filename="tolls.txt", purpose="assistants", bytes=1, sha256=DOCUMENT,
        created_at=datetime.now(UTC), expires_at=None,
    )  # fmt: skip
    (added,), _ = files.add(store_id, [Wanted(file=file, attributes={"year": 1999})], owner="ann")
    files.claim(added)
    files.finish(added, status=COMPLETED, usage_bytes=1)


async def test_what_is_found_stands_before_the_question(house: House) -> None:
    checked(await house.ask())
    assert house.prompt == (
        "Answer from the passages. If they do not hold the answer, say: The documents don't say.\n\n"
        f"[1] {BRIDGE}\n[2] {MILL}\n\nQuestion: {QUESTION}"
    )
    assert house.shelf.calls == [SearchCall(query=QUESTION, limit=3, collection=house.store.physical)]


async def test_the_answer_says_which_files_it_is_from(house: House) -> None:
    search, message = checked(await house.ask()).output
    assert (search.type, search.status, search.queries, search.results) == (
        "file_search_call", "completed", [QUESTION], None,
    )  # fmt: skip
    annotations = [one.model_dump() for one in message.content[0].annotations]
    cited = {"type": "file_citation", "file_id": "file-1", "filename": "tolls.txt"}
    assert annotations == [{**cited, "index": 18}, {**cited, "index": 19}]
    assert SAID[:18] == "Three copper coins"


async def test_results_are_shown_where_they_are_asked_for(house: House) -> None:
    found = checked(await house.ask(include=["file_search_call.results"])).output[0].results
    assert found[0].model_dump() == {
        "attributes": {"year": 1999},
        "file_id": "file-1",
        "filename": "tolls.txt",
        "score": pytest.approx(1, abs=1e-3),
        "text": BRIDGE,
    }
    assert (found[1].file_id, found[1].filename, found[1].attributes) == ("m", "a.txt", {})  # no file of the store


async def test_a_stream_tells_of_the_search_and_of_each_citation(house: House) -> None:
    events = events_of((await house.ask(stream=True, include=["file_search_call.results"])).text)
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds == [
        "created", "in_progress", "output_item.added", "file_search_call.in_progress",
        "file_search_call.searching", "file_search_call.completed", "output_item.done", "output_item.added",
        "content_part.added", "output_text.delta", "output_text.annotation.added", "output_text.annotation.added",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert (events[2].item.results, len(events[6].item.results)) == (None, 2)
    whole = checked(await house.ask(include=["file_search_call.results"]))
    streamed = events[-1].response
    assert [item.model_dump(exclude={"id"}) for item in streamed.output] == [
        item.model_dump(exclude={"id"}) for item in whole.output
    ]
    assert [event.output_index for event in events[7:-1]] == [1] * 8
    assert [item.id for item in streamed.output] == [events[6].item.id, events[-2].item.id]


async def test_a_background_response_is_searched_for_too(house: House) -> None:
    begun = checked(await house.ask(background=True))
    while (answer := (await house.client.get(f"/v1/responses/{begun.id}")).json())["status"] == "in_progress":
        pass
    assert [item["type"] for item in answer["output"]] == ["file_search_call", "message"]


async def test_the_conversation_goes_on_and_the_last_question_is_searched_for(house: House) -> None:
    first = checked(await house.ask())
    second = await house.ask("And in winter?", previous_response_id=first.id, instructions="Be brief.")
    assert house.shelf.calls[-1].query == "And in winter?"
    asked = house.model.calls[-1]["messages"]
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]
    assert asked[1]["content"] == QUESTION
    sent_back = [*first.model_dump()["output"], {"role": "user", "content": "And then?"}]
    for item in sent_back[:-1]:
        item.pop("phase", None)
    assert (await house.ask(sent_back)).status_code == second.status_code == 200


async def test_what_says_too_little_is_not_put_before_the_question(house: House) -> None:
    house.shelf.found = [passage(MILL, cosine=0.2)]
    search, message = checked(await house.ask(include=["file_search_call.results"])).output
    assert (search.results, message.content[0].annotations, house.prompt) == ([], [], QUESTION)
    low = {**TOOL, "ranking_options": {"score_threshold": 0.0}}
    assert len(checked(await house.ask(tools=[low], include=["file_search_call.results"])).output[0].results) == 1
    high = {**TOOL, "ranking_options": {"score_threshold": 1.0}}
    house.shelf.found = [passage(BRIDGE, cosine=0.8)]
    assert checked(await house.ask(tools=[high], include=["file_search_call.results"])).output[0].results == []


async def test_the_tools_options_reach_the_search(house: House) -> None:
    where = {"type": "eq", "key": "year", "value": 1999}
    tool = {**TOOL, "filters": where, "max_num_results": 1, "ranking_options": {"ranker": "auto"}}
    response = checked(await house.ask(tools=[tool], include=["file_search_call.results"]))
    call = house.shelf.calls[0]
    assert (call.limit, call.where) == (1, where)
    assert len(response.output[0].results) == 1
    assert response.tools[0].model_dump(exclude_none=True) == tool


async def test_several_stores_are_searched_and_the_best_of_all_kept(house: House) -> None:
    tool = {**TOOL, "vector_store_ids": ["tolls", house.store.id, "documents"], "max_num_results": 2}
    found = checked(await house.ask(tools=[tool], include=["file_search_call.results"])).output[0].results
    physical = house.store.physical
    assert sorted(call.collection for call in house.shelf.calls) == sorted([physical, physical, "documents"])
    assert [one.text for one in found] == [BRIDGE, BRIDGE]


@pytest.mark.parametrize(
    ("choice", "searched"),
    [("auto", True), ("required", True), ({"type": "file_search"}, True), ("none", False),
     ({"type": "function", "name": "f"}, False)],
)  # fmt: skip
async def test_the_choice_of_tools_may_rule_the_search_out(house: House, choice: Any, searched: bool) -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    answer = await house.ask(tools=[TOOL, function], tool_choice=choice)
    assert answer.status_code == 200, answer.text
    assert bool(house.shelf.calls) is searched
    sent = house.model.calls[-1]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f"]
    assert sent.get("tool_choice") == {
        "auto": "auto", "none": "none",
    }.get(str(choice), {"type": "function", "function": {"name": "f"}} if not searched else None)  # fmt: skip


async def test_as_many_passages_are_shown_as_the_model_has_room_for(house: House) -> None:
    house.model.room = 170
    response = checked(await house.ask(max_output_tokens=96, include=["file_search_call.results"]))
    assert (house.prompt.count("\n["), len(response.output[0].results)) == (1, 2)


async def test_a_picture_stays_where_passages_are_put_before_the_text(house: House) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    await house.ask([{"role": "user", "content": [{"type": "input_text", "text": "Which toll?"}, picture]}])
    assert [part["type"] for part in house.prompt] == ["image_url", "text"]
    assert house.prompt[1]["text"].endswith("Question: Which toll?")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"tools": [{**TOOL, "vector_store_ids": ["tolls", "hers"]}]}, 404, "tools[0].vector_store_ids[1]"),
        ({"tools": [{**TOOL, "vector_store_ids": []}]}, 400, "tools[0].vector_store_ids"),
        ({"tools": [{"type": "file_search"}]}, 400, "tools[0].vector_store_ids"),
        ({"tools": [{**TOOL, "filters": {"type": "like"}}]}, 400, "tools[0].filters.type"),
        ({"tools": [{**TOOL, "max_num_results": 51}]}, 400, "tools[0].max_num_results"),
        ({"tools": [{**TOOL, "ranking_options": {"ranker": "x"}}]}, 400, "tools[0].ranking_options.ranker"),
        ({"tools": [TOOL, TOOL]}, 400, "tools"),
        ({"tools": [], "tool_choice": {"type": "file_search"}}, 400, "tool_choice"),
        ({"input": [{"role": "system", "content": "hi"}]}, 400, "input"),
        ({"input": " "}, 400, "input"),
        ({"include": ["file_search_call.everything"]}, 400, "include[0]"),
    ],
)  # fmt: skip
async def test_what_cannot_be_searched_is_refused(
    house: House, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await house.client.post(
        "/v1/responses", json={"model": "echo", "input": "q", "tools": [TOOL], **fields}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert house.model.calls == []


async def test_anothers_store_does_not_exist(house: House) -> None:
    house.client.headers["x-owner"] = "eve"
    for name in ("tolls", house.store.id, house.store.physical):
        answer = await house.ask(tools=[{**TOOL, "vector_store_ids": [name]}])
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "collection_not_found")


async def test_a_gateway_without_documents_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/responses", json={"model": "echo", "input": "q", "tools": [TOOL]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools")


async def test_who_is_over_their_limits_does_not_search(database: str) -> None:
    rates = {"rates": {"requests_per_minute": 1}}
    house = await house_over(settings_with(stores={"database": database}, limits=rates))
    assert [(await house.ask()).status_code for _ in range(2)] == [200, 429]
    assert len(house.shelf.calls) == 1
