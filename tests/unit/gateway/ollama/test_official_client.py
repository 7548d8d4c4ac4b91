"""The `ollama` client itself, unchanged, over the scripted engine; tests/live has it over vLLM."""

from pathlib import Path

import httpx
import ollama
import pytest

from tests.unit.gateway.ollama.test_models import gateway

HELLO = [{"role": "user", "content": "one two three"}]


def official(client: httpx.AsyncClient) -> ollama.AsyncClient:
    return ollama.AsyncClient(host="http://gateway", transport=client._transport)


async def test_it_chats_generates_and_embeds(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (http, _):
        client = official(http)
        whole = await client.chat("big", HELLO, options=ollama.Options(num_predict=2), keep_alive="5m")
        pieces = [piece async for piece in await client.chat("echo", HELLO, stream=True)]
        said = [piece.response async for piece in await client.generate("echo", "one two", stream=True)]
        raw = await client.generate("echo", "one two", raw=True)
        vectors = await client.embed("hash", ["a b", "c"])
        one = await client.embeddings("hash", "a b")
    assert (whole.message.content, whole.done_reason, whole.eval_count) == ("one two", "length", 2)
    assert "".join(piece.message.content or "" for piece in pieces) == "one two three"
    assert (pieces[-1].done, pieces[-1].prompt_eval_count) == (True, 3)
    assert "".join(text or "" for text in said) == "one two"
    assert (raw.response or "").split() == ["one", "two"]
    assert len(vectors.embeddings) == 2
    assert list(one.embedding) == list(vectors.embeddings[0])


async def test_it_lists_shows_pulls_and_deletes(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (http, _):
        client = official(http)
        assert (await client.chat("big", [], keep_alive=60)).done_reason == "load"
        told = [one.status async for one in await client.pull("owner/more", stream=True)]
        listed = {model.model for model in (await client.list()).models}
        shown = await client.show("owner/more")
        running = {model.model for model in (await client.ps()).models}
        assert (told[0], told[-1]) == ("pulling manifest", "success")
        assert {"owner/more:latest", "big:latest", "echo:latest"} <= listed
        assert shown.modelinfo
        assert "echo:latest" in running
        assert (await client.delete("owner/more")).status == "success"


async def test_its_errors_carry_our_words(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (http, _):
        client = official(http)
        with pytest.raises(ollama.ResponseError, match=r"options\.num_gpu") as odd:
            await client.chat("echo", HELLO, options={"num_gpu": 1})
        with pytest.raises(ollama.ResponseError, match="offline"):
            async for _one in await client.pull("owner/nothing", stream=True):
                pass
        with pytest.raises(ollama.ResponseError, match="nobody") as unknown:
            await client.generate("nobody", "a")
    assert (odd.value.status_code, unknown.value.status_code) == (400, 404)
