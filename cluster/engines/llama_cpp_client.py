"""Asking llama.cpp's server: for tokens, for a template's text, and for answers chunk by chunk."""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from cluster.engines.llama_cpp_answer import Chunk
from cluster.engines.llama_cpp_process import ANSWER_TIMEOUT_S, LlamaProcess
from cluster.engines.llama_cpp_request import error_of
from cluster.engines.plain_text import JOINTS, PlainText

CHATS, RAW = "/v1/chat/completions", "/completion"


class LlamaClient:
    """What can be asked of one running llama.cpp. All raise EngineDead and EngineFailure, and more where said."""

    def __init__(self, process: LlamaProcess) -> None:
        self.process = process

    async def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text's tokens. special: with those that the model puts around every text."""
        return [int(token) for token in await self._tokens(text, special=special, pieces=False)]

    async def pieces(self, text: str, *, special: bool) -> list[tuple[int, str]]:
        """The same, each with its text."""
        found = await self._tokens(text, special=special, pieces=True)
        return [(int(token["id"]), _piece(token["piece"])) for token in found]

    async def text(self, tokens: list[int]) -> str:
        """The text of tokens, special ones included."""
        return str((await self._ask("/detokenize", {"tokens": tokens}))["content"])

    async def prompt(self, body: dict[str, Any], *, constrained: str | None) -> str:
        """The template's text for messages. Raises BadRequest where it refuses. constrained: as in error_of."""
        answer = await self._ask("/apply-template", body, constrained=constrained, templated=True)
        return str(answer["prompt"])

    async def count(self, body: dict[str, Any], *, constrained: str | None) -> int:
        """How many tokens messages are. Raises as `prompt` does."""
        answer = await self._ask(f"{CHATS}/input_tokens", body, constrained=constrained, templated=True)
        return int(answer["input_tokens"])

    async def knows_tools(self) -> bool:
        """Whether the chat template has a place for tools."""
        known = (await self.process.get("/props")).get("chat_template_caps") or {}
        return bool(known.get("supports_tools"))

    async def plain_text(self, control: Mapping[int, str]) -> PlainText:
        """What keeps a template's marks out of messages: the first joint that breaks all of them."""
        marks = sorted((mark for mark in control.values() if len(mark) > 1), key=len, reverse=True)
        if not marks:
            return PlainText()
        pattern, all_of_them = re.compile("|".join(map(re.escape, marks))), "\n".join(marks)
        plain = [PlainText(marks=pattern, joint=joint) for joint in JOINTS]
        for each in plain:
            if control.keys().isdisjoint(await self.tokens(each.text(all_of_them), special=False)):
                return each
        return plain[-1]

    async def chunks(
        self, path: str, body: dict[str, Any], *, constrained: str | None
    ) -> AsyncGenerator[Chunk, None]:
        """An answer, chunk by chunk; closing this ends it. Raises BadRequest for a schema that it cannot follow."""
        waits = httpx.Timeout(ANSWER_TIMEOUT_S, read=None)  # what takes long is a prompt, or its turn
        try:
            async with self.process.client.stream(
                "POST", path, content=json.dumps(body), timeout=waits
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise error_of(_object(await response.aread()), constrained=constrained)
                async with aclosing(_lines(response)) as lines:
                    async for line in lines:
                        if not line.startswith(b"data: {"):
                            continue  # a ping, or [DONE]
                        chunk = json.loads(line.removeprefix(b"data: "))
                        if "error" in chunk:
                            raise error_of(chunk, constrained=constrained)
                        yield chunk
        except httpx.TransportError as error:
            raise await self.process.lost(error) from error

    async def _tokens(self, text: str, *, special: bool, pieces: bool) -> list[Any]:
        body = {"content": text, "add_special": special, "parse_special": True, "with_pieces": pieces}
        return list((await self._ask("/tokenize", body))["tokens"])

    async def _ask(
        self, path: str, body: dict[str, Any], *, constrained: str | None = None, templated: bool = False
    ) -> dict[str, Any]:
        response = await self.process.ask(path, body)
        answer = _object(response.content)
        if response.status_code != httpx.codes.OK:
            raise error_of(answer, constrained=constrained, templated=templated)
        return answer


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Lines by `\\n` alone: a text may hold what else ends lines in Unicode."""
    held = b""
    async for data in response.aiter_raw():
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            yield line


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _piece(piece: str | list[int]) -> str:
    return piece if isinstance(piece, str) else bytes(piece).decode(errors="replace")
