"""The deterministic fake chat engine: it answers by rule, and fails, waits and dies on request.

The rule: the last user message is echoed word by word. A prompt with numbered passages and a question is
answered from passage 1, with its number. A seed and a temperature above 0 move words about, further with a
higher temperature or top_p; the same seed always moves them the same way. Without a seed nothing moves.
Where the settings let it see, a picture is the words for its size and the colour in its middle, such as
`[96x96 #ff0000]`. A raw prompt is gone on with by its own words. A token is a word.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import cycle, islice

from cluster.engines.chat_request import PARAMETERS, ChatRequest, Generation, parse, read_object, room
from cluster.engines.completions import Delta, Writer, events, whole
from cluster.engines.images import Picture, has_pictures, read_aside
from cluster.engines.raw_prompts import COMPLETION, CompletionRequest, TextWriter, read_completion
from cluster.engines.stopping import StopMatcher
from cluster.engines.tokenizing import read
from cluster.engines.words import no_vocabulary, word_tokens
from cluster.errors import EngineDead, EngineFailure
from cluster.settings.engines import ScriptedSettings
from cluster.settings.limits import LimitSettings
from cluster.types import CallKind, Capabilities, ChatCall, Task, TokenizeCall, Tokenized

FIRST_PASSAGE = re.compile(r"\[1\]\s*(.+?)(?=\n\s*\[\d+\]|\n\s*Question:|\Z)", re.DOTALL)
QUESTION = re.compile(r"^\s*Question:", re.MULTILINE)
NOTHING_SAID = "(silence)"  # an answer has at least one token, also to a message without words


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One prompt. param: where it stands in the request. text: what is said of it. lead: before the first word."""

    tokens: int
    text: str
    param: str = "messages"
    lead: str = ""


class ScriptedEngine:
    """A chat engine without a model. model: the id that answers carry. context_length: in words."""

    def __init__(
        self,
        settings: ScriptedSettings,
        model: str,
        context_length: int = 4096,
        *,
        limits: LimitSettings | None = None,
    ) -> None:
        self._settings = settings
        self._limits = limits or LimitSettings()
        self._model = model
        self._context_length = context_length
        self._calls = 0
        self._running = 0
        self._started = False
        self._dead = False

    @property
    def capabilities(self) -> Capabilities:
        """Every parameter in the set is honoured, every other refused."""
        return Capabilities(
            task=Task.CHAT,
            context_length=self._context_length,
            images=self._settings.images,
            parameters=PARAMETERS,
            completion=COMPLETION,
        )

    @property
    def revision(self) -> str:
        """A hash of the settings: they are all the weights there are."""
        return blake2b(self._settings.model_dump_json().encode(), digest_size=6).hexdigest()

    @property
    def running(self) -> int:
        """Calls that are being answered now."""
        return self._running

    async def start(self) -> None:
        """Wait as long as the settings say."""
        await asyncio.sleep(self._settings.start_delay_s)
        self._started = True

    async def stop(self) -> None:
        """Refuse further calls."""
        self._started = False

    async def check_health(self) -> None:
        """Raise EngineDead once the engine has died or while it is not started."""
        if self._dead:
            raise EngineDead(f"The engine of {self._model} died at call {self._settings.die_after}, as scripted")
        if not self._started:
            raise EngineDead(f"The engine of {self._model} is not running")

    async def chat(self, call: ChatCall) -> bytes:
        """Answer with one `chat.completion`."""
        request, asked = await self._read(call)
        choices = len(asked) * request.choices
        return await whole(self._writer(request, asked, call), choices, self._deltas(request, asked))

    async def stream(self, call: ChatCall) -> AsyncGenerator[bytes, None]:
        """Answer with server-sent events."""
        request, asked = await self._read(call)
        choices = len(asked) * request.choices
        source = events(self._writer(request, asked, call), choices, self._deltas(request, asked))
        async with aclosing(source) as lines:
            async for line in lines:
                yield line

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """Words by their hashes; of messages, those of all."""
        await self.check_health()
        wanted = read(call)
        if wanted.messages is None:
            text = wanted.prompt or ""
        else:
            request = parse(json.dumps({"messages": wanted.messages}).encode())
            text = " ".join(message.text for message in request.messages)
        return word_tokens(text.split(), strings=wanted.return_token_strs)

    async def detokenize(self, tokens: Sequence[int]) -> str:  # noqa: ARG002  # the promise has it
        """Refused: a hash does not say what it was of."""
        raise no_vocabulary(self._model)

    async def _read(self, call: ChatCall) -> tuple[Generation, tuple[Asked, ...]]:
        """The request, and what is asked in it."""
        if call.kind is CallKind.CHAT:
            chat = await self._read_chat(call)
            return chat, (Asked(tokens=_prompt_tokens(chat), text=_answer(chat)),)
        raw = read_completion(call.body, CompletionRequest, COMPLETION)
        if not all(isinstance(prompt, str) for prompt in raw.prompts):
            raise no_vocabulary(self._model, "prompt")
        texts = [str(prompt) for prompt in raw.prompts]
        return raw, tuple(Asked(tokens=len(text.split()), text=text, param="prompt", lead=" ") for text in texts)

    async def _read_chat(self, call: ChatCall) -> ChatRequest:
        """The request, its pictures as words where this engine sees any."""
        if not self._settings.images:
            return parse(call.body)
        given = read_object(call.body)
        if not has_pictures(given.get("messages")):
            return parse(call.body)
        pictures = iter(await read_aside(given["messages"], self._limits))
        for message in given["messages"]:
            if isinstance(message, dict) and isinstance(message.get("content"), list):
                message["content"] = [
                    {"type": "text", "text": _in_words(next(pictures))} if _is_picture(part) else part
                    for part in message["content"]
                ]
        return parse(json.dumps(given).encode())

    def _writer(self, request: Generation, asked: Sequence[Asked], call: ChatCall) -> Writer:
        kind: Callable[..., Writer] = Writer
        if isinstance(request, CompletionRequest):
            echoes = [one.text for one in asked for _ in range(request.choices)] if request.echo else ()
            kind = partial(TextWriter, echoes=tuple(echoes))
        return kind(
            request_id=call.request_id,
            model=self._model,
            fingerprint=f"scripted-{self.revision}",
            prompt_tokens=sum(one.tokens for one in asked),
            include_usage=request.include_usage,
        )

    async def _deltas(self, request: Generation, asked: Sequence[Asked]) -> AsyncGenerator[Delta, None]:
        await self.check_health()
        limits = [room(one.tokens, request.limit, self._context_length, param=one.param) for one in asked]
        self._count_call()
        self._running += 1
        try:
            await asyncio.sleep(self._settings.first_token_delay_s)
            produced = 0
            for index in range(len(asked) * request.choices):
                one, limit = asked[index // request.choices], limits[index // request.choices]
                words = _words(one.text, request, index % request.choices, self._settings.tokens)
                matcher = StopMatcher(request.stops)
                reason = "length" if len(words) > limit else "stop"
                for position, word in enumerate(words[:limit]):
                    if produced == self._settings.fail_after_tokens:
                        raise EngineFailure(f"{self._model} failed after {produced} tokens, as scripted")
                    await asyncio.sleep(self._settings.token_delay_s if produced else 0)
                    produced += 1
                    shown = matcher.push(f"{' ' if position else one.lead}{word}")
                    yield Delta(index=index, text=shown, tokens=1)
                    if matcher.stopped:
                        reason = "stop"
                        break
                yield Delta(index=index, text=matcher.flush(), finish_reason=reason, met=matcher.met)
        finally:
            self._running -= 1

    def _count_call(self) -> None:
        """Let this call fail, or the engine die, when the script says so."""
        self._calls += 1
        settings = self._settings
        if settings.die_after and self._calls >= settings.die_after:
            self._dead = True
            raise EngineDead(f"The engine of {self._model} died at call {self._calls}, as scripted")
        if settings.fail_every and self._calls % settings.fail_every == 0:
            raise EngineFailure(f"{self._model} failed at call {self._calls}, as scripted")


def _is_picture(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "image_url"


def _in_words(picture: Picture) -> str:
    width, height = picture.image.size
    red, green, blue = picture.image.getpixel((width // 2, height // 2))  # type: ignore[misc]  # RGB has three
    return f"[{width}x{height} #{red:02x}{green:02x}{blue:02x}] "


def _prompt_tokens(request: ChatRequest) -> int:
    return sum(len(message.text.split()) for message in request.messages)


def _words(text: str, request: Generation, index: int, tokens: int | None) -> list[str]:
    """The words of one choice's answer."""
    words = text.split() or [NOTHING_SAID]
    if tokens is not None:
        words = list(islice(cycle(words), tokens))
    temperature = 1.0 if request.temperature is None else request.temperature
    if request.seed is None or temperature == 0:
        return words
    reach = temperature * (1.0 if request.top_p is None else request.top_p) * len(words)
    order = sorted(range(len(words)), key=lambda at: at + reach * _draw(request.seed, index, at))
    return [words[at] for at in order]


def _answer(request: ChatRequest) -> str:
    text = "\n".join(message.text for message in request.messages)
    passage = FIRST_PASSAGE.search(text)
    if passage is not None and QUESTION.search(text):
        return f"{passage.group(1).strip()} [1]"
    return request.last("user") or request.messages[-1].text


def _draw(seed: int | None, index: int, at: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = blake2b(f"{seed}/{index}/{at}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
