"""What names a session, and which prompts begin alike."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cluster.config import resolve
from deployments.gateway.routing import journey
from deployments.gateway.routing.hints import HEAD, Hints, head_of
from deployments.gateway.wire import ChatRequest, CompletionRequest


def hints(routing: str) -> Hints:
    model = {"id": "m", "engine": {"kind": "scripted"}, "replicas": {"routing": routing}}
    return Hints(resolve({"models": [model]}, {}))


def chat(*texts: str, **more: Any) -> ChatRequest:
    roles = ("system", "user", "assistant", "user")
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return ChatRequest.model_validate({"model": "m", "messages": messages, **more})


async def journeyed(headers: dict[str, str], told: Callable[[], Any]) -> Any:
    """What `told` says within a request with these headers."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(told())

    async def nothing(*_: Any) -> Any: ...

    pairs = [(name.encode(), text.encode()) for name, text in headers.items()]
    middleware: Callable[..., Awaitable[None]] = journey.Journeys(app)
    await middleware({"type": "http", "path": "/", "headers": pairs}, nothing, nothing)
    return found[0]


def test_by_queue_any_replica_is_as_good_as_another() -> None:
    assert hints("queue").of("m", chat("s", "q", user="ada"), owner="o") == ""
    assert hints("session").of("another", chat("s", "q", user="ada"), owner="o") == ""


def test_a_session_is_named_by_the_cache_key_or_the_user_and_belongs_to_its_owner() -> None:
    of = hints("session").of
    ada = of("m", chat("s", "q", user="ada"), owner="o")
    assert ada == of("m", chat("other", "words", user="ada"), owner="o") != ""
    assert ada != of("m", chat("s", "q", user="ada"), owner="p")
    keyed = of("m", chat("s", "q", user="ada", prompt_cache_key="k"), owner="o")
    assert keyed == of("m", chat("s", "q", user="bob", prompt_cache_key="k"), owner="o") != ada


def test_without_a_name_there_is_no_session() -> None:
    assert hints("session").of("m", chat("s", "q"), owner="o") == ""
    assert hints("session").of("m", chat("s", "q", user=""), owner="o") == ""


def test_the_header_names_the_session_before_anything_in_the_body() -> None:
    def said() -> str:
        return hints("session").of("m", chat("s", "q", user="ada"), owner="o")

    one, two, other = (asyncio.run(journeyed({"x-session-id": name}, said)) for name in ("a", "a", "b"))
    assert one == two != other
    assert said() not in (one, other)


def test_a_conversation_names_the_session_unless_the_client_did() -> None:
    def said() -> str:
        journey.belongs_to("conversation-1")
        return hints("session").of("m", chat("s", "q"), owner="o")

    alone, named = asyncio.run(journeyed({}, said)), asyncio.run(journeyed({"x-session-id": "a"}, said))
    assert alone
    assert named not in ("", alone)
    journey.belongs_to("nobody's")  # outside of a request it does nothing


def test_a_conversation_stays_where_it_began() -> None:
    of = hints("prefix").of
    began = of("m", chat("be kind", "what is it?"), owner="o")
    assert began == of("m", chat("be kind", "what is it?", "a bird", "and that?"), owner="o") != ""
    assert began != of("m", chat("be kind", "who is it?"), owner="o")
    assert began != of("m", chat("be brief", "what is it?"), owner="o")


def test_all_may_share_a_prefix_but_a_cache_key_parts_them() -> None:
    of = hints("prefix").of
    assert of("m", chat("s", "q"), owner="o") == of("m", chat("s", "q"), owner="p")
    keyed = [of("m", chat("s", "q", prompt_cache_key=key), owner="o") for key in ("a", "b")]
    assert len({*keyed, of("m", chat("s", "q"), owner="o")}) == 3


def test_questions_on_the_same_long_document_begin_alike() -> None:
    document = "word " * HEAD
    assert head_of(chat(document, "first?")) == head_of(chat(document, "second?"))
    assert len(head_of(chat(document, "first?"))) <= HEAD + 3


def test_where_words_end_is_part_of_how_a_prompt_begins() -> None:
    assert head_of(chat("ab", "c")) != head_of(chat("a", "bc"))


def test_pictures_and_parts_are_of_the_prompt_too() -> None:
    def shown(url: str) -> str:
        parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
        return head_of(ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": parts}]}))

    assert shown("data:image/png;base64,AAAA") != shown("data:image/png;base64,BBBB")


@pytest.mark.parametrize("prompt", ["once", ["once", "twice"], [1, 2, 3], [[1, 2], [3]], ""])
def test_raw_prompts_have_a_beginning_whatever_they_are(prompt: Any) -> None:
    wanted = CompletionRequest.model_validate({"model": "m", "prompt": prompt})
    assert hints("prefix").of("m", wanted, owner="o")
