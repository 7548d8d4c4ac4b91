"""An Ollama server, as far as its published API goes: our scripted engine behind its wire format.

It is as strict as Ollama is loose: a request that Ollama would not understand fails here.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

from cluster.engines.scripted import ScriptedEngine
from cluster.errors import HeliostatError
from cluster.settings.engines import ScriptedSettings
from cluster.types import ChatCall
from tests.unit.engines.remote.tiny_server import Request, Response, as_json

REMOTE = "llama3.2:1b"
TRAINED = 2048
DIGEST = "baf6a787fdffd633537aa2eb51cfd54cb93ff08e28040095462bb63daf552878"
FIELDS = {
    "model", "messages", "tools", "format", "options", "stream", "think", "keep_alive", "truncate", "shift",
    "logprobs", "top_logprobs",
}  # fmt: skip
OPTIONS = {
    "seed", "temperature", "top_k", "top_p", "min_p", "stop", "num_ctx", "num_predict", "repeat_penalty",
    "repeat_last_n", "presence_penalty", "frequency_penalty", "num_thread",
}  # fmt: skip
AT = "2026-11-21T12:00:00.000000Z"


class FakeOllama:
    """chatted: the bodies of /api/chat. lines: what it answers there in place of the scripted engine's words."""

    def __init__(self, engine: ScriptedEngine | None = None) -> None:
        self.engine = engine or ScriptedEngine(ScriptedSettings(), REMOTE, TRAINED)
        self.version = "0.40.2"
        self.parameters = 'stop "<|eot_id|>"\nstop "<|start \\"x\\"|>"\ntemperature 0.7'
        self.capabilities: list[str] | None = ["completion"]
        self.chatted: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] | None = None

    async def start(self) -> "FakeOllama":
        await self.engine.start()
        return self

    async def __call__(self, request: Request) -> Response:
        if request.path == "/api/version":
            return as_json({"version": self.version})
        if request.path == "/api/tags":
            listed = {
                "name": REMOTE,
                "model": REMOTE,
                "modified_at": AT,
                "size": 1,
                "digest": DIGEST,
                "details": {},
            }
            return as_json({"models": [listed]})
        if request.json.get("model") != REMOTE:
            return as_json({"error": f"model {request.json.get('model')!r} not found"}, 404)
        if request.path == "/api/show":
            return self._show()
        if request.path == "/api/embed":
            return _embedded(request.json)
        assert request.path == "/api/chat", request.path
        return await self._chat(request.json)

    def _show(self) -> Response:
        shown: dict[str, Any] = {
            "license": "…",
            "modelfile": "…",
            "parameters": self.parameters,
            "template": "{{ .Prompt }}",
            "details": {"family": "llama"},
            "model_info": {"general.architecture": "llama", "llama.context_length": TRAINED},
        }
        return as_json(shown if self.capabilities is None else {**shown, "capabilities": self.capabilities})

    async def _chat(self, body: dict[str, Any]) -> Response:
        assert set(body) <= FIELDS, set(body) - FIELDS
        assert set(body["options"]) <= OPTIONS, set(body["options"]) - OPTIONS
        assert all(isinstance(message["content"], str) for message in body["messages"])
        self.chatted.append(body)
        if body.get("tools") and "tools" not in (self.capabilities or ()):
            return as_json({"error": f"registry.ollama.ai/library/{REMOTE} does not support tools"}, 400)
        if self.lines is not None or body.get("format") or body.get("tools"):
            if self.lines is None:
                self.lines = _said(body)
            return Response(body=_ndjson(self.lines), media_type="application/x-ndjson")
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        if prompt >= body["options"]["num_ctx"]:
            return as_json({"error": _overflow(prompt, body["options"]["num_ctx"])}, 400)
        events = self.engine.stream(ChatCall(body=_as_openai(body, prompt), request_id="theirs"))
        try:
            first = await anext(events)
        except HeliostatError as error:
            return as_json({"error": error.message}, 500)
        return Response(body=_translated(first, events, body), media_type="application/x-ndjson")


def _said(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the script has no words for: the least that a schema asks for, or a call of the first function."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    if body.get("tools"):
        called = {"name": body["tools"][0]["function"]["name"], "arguments": {"far": True}}
        message["tool_calls"] = [{"function": called}]
    else:
        wanted = body["format"] if isinstance(body["format"], dict) else {}
        message["content"] = json.dumps(dict.fromkeys(wanted.get("properties", {}), True))
    end = {"role": "assistant", "content": ""}
    return [{"message": message}, {"message": end, "done": True, "done_reason": "stop", "eval_count": 5}]


def _as_openai(body: dict[str, Any], prompt: int) -> bytes:
    options = body["options"]
    room = options["num_ctx"] - prompt
    limit = options.get("num_predict", -1)
    stops = [stop for stop in options.get("stop", ()) if not stop.startswith("<|")]
    # Each choice comes as a request of its own: the script's first choice stands for it.
    wanted = {
        "messages": [{"role": m["role"], "content": m["content"]} for m in body["messages"]],
        "max_tokens": room if limit < 0 else min(limit, room),
        "temperature": options.get("temperature", 0.8),
        "top_p": options.get("top_p"),
        "seed": options.get("seed"),
        "stop": stops or None,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(wanted).encode()


async def _translated(first: bytes, rest: Any, body: dict[str, Any]) -> AsyncIterator[bytes]:
    reason = "stop"
    try:
        async for event in _chain(first, rest):
            data = event.removeprefix(b"data: ").strip()
            if data == b"[DONE]":
                return
            chunk = json.loads(data)
            if chunk["choices"]:
                reason = chunk["choices"][0]["finish_reason"] or reason
                if text := chunk["choices"][0]["delta"].get("content"):
                    more = {"logprobs": [_logprob(text, body["top_logprobs"])]} if body.get("logprobs") else {}
                    yield line(message={"role": "assistant", "content": text}, **more)
            else:
                yield line(
                    message={"role": "assistant", "content": ""},
                    done=True,
                    done_reason=reason,
                    total_duration=5043500667,
                    load_duration=5025959,
                    prompt_eval_count=chunk["usage"]["prompt_tokens"],
                    prompt_eval_duration=325953000,
                    eval_count=chunk["usage"]["completion_tokens"],
                    eval_duration=4709213000,
                )
    except HeliostatError as error:
        yield json.dumps({"error": error.message}).encode() + b"\n"
    finally:
        await rest.aclose()


def _logprob(text: str, tops: int) -> dict[str, Any]:
    one = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    return {**one, "top_logprobs": [one] * tops} if tops else one


def line(**fields: Any) -> bytes:
    return json.dumps({"model": REMOTE, "created_at": AT, "done": False, **fields}).encode() + b"\n"


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for item in rest:
        yield item


async def _ndjson(lines: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    for one in lines:
        yield line(**one)


def _overflow(prompt: int, context: int) -> str:
    """As 0.34 and later say it: the error of the server behind, as text."""
    said = f"request ({prompt} tokens) exceeds the available context size ({context} tokens), try increasing it"
    return json.dumps({"error": {"code": 400, "message": said, "type": "exceed_context_size_error"}})


def _embedded(body: dict[str, Any]) -> Response:
    assert body["truncate"] is False
    if any(len(text.split()) > 512 for text in body["input"]):
        return as_json({"error": "the input length exceeds the context length"}, 400)
    vectors = [[float(len(text)), float(len(text.split())), 1.0] for text in body["input"]]
    tokens = sum(len(text.split()) for text in body["input"])
    return as_json({"model": REMOTE, "embeddings": vectors, "total_duration": 1, "prompt_eval_count": tokens})
