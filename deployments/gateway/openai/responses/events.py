"""From a stream of chat completion chunks to a response's server-sent events.

`Events` is told chunks and gives bytes; it knows no network. Pieces of text that arrive in one chunk leave as one
delta: the chunk was joined because its reader, or this one, is behind, and an event costs both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from cluster.errors import EngineFailure, HeliostatError
from deployments.gateway.openai.responses import output
from deployments.gateway.openai.responses.file_search import Searched
from deployments.gateway.openai.responses.items import Stored, item_id
from deployments.gateway.openai.responses.output import Body

DATA, DONE = b"data: ", b"[DONE]"


@dataclass(slots=True, kw_only=True)
class Text:
    """An item of text that is being written. pieces: what was sent. tokens: their log probabilities.

    annotations: the files that it has something from, once it is whole.
    """

    identity: str
    place: int
    pieces: list[str] = field(default_factory=list)
    tokens: list[Stored] = field(default_factory=list)
    annotations: list[Stored] = field(default_factory=list)
    head: bytes = b""

    def item(self, status: str) -> Stored:
        """The item as far as it is."""
        return output.text_item(self.identity, status, [self.part()])

    def part(self) -> Stored:
        """Its content as far as it is."""
        return output.text_part("".join(self.pieces), self.tokens, self.annotations)


@dataclass(slots=True, kw_only=True)
class Call:
    """An item that calls a function and is being written."""

    identity: str
    place: int
    call_id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    def item(self, status: str) -> Stored:
        """The item as far as it is."""
        item = output.call_item(self.identity, status, self.call_id, self.name)
        return {**item, "arguments": "".join(self.pieces)}


@dataclass(slots=True, kw_only=True)
class Search:
    """An item of a search that was made before the model was asked."""

    identity: str
    place: int
    searched: Searched

    def item(self, status: str) -> Stored:  # noqa: ARG002 - it is done, whatever becomes of the answer
        """The item."""
        return self.searched.item(self.identity)


class Events:
    """The events of one response. body: the response in progress. first_place: of its first output item.

    searched: what was found in files for it before.
    Every method returns the events that are due, as bytes: `opening`, then `feed` for each chunk, then
    `closing`, `finished` and `ending`; or `broken` at any time.
    """

    def __init__(self, body: Body, first_place: int, searched: Searched | None = None) -> None:
        self._body = body
        self._first_place = first_place
        self._number = 0
        self._items: list[Text | Call | Search] = []
        self._searched = searched
        self._text: Text | None = None
        self._calls: dict[int, Call] = {}
        self._waiting: list[str] = []
        self._tokens: list[Stored] = []
        self._reason: str | None = None
        self._usage: Mapping[str, Any] | None = None

    def opening(self) -> bytes:
        """That the response exists and is worked on."""
        created = self._event("response.created", response=self._body)
        begun = created + self._event("response.in_progress", response=self._body)
        return begun if self._searched is None else begun + self._search(self._searched)

    def feed(self, chunk: bytes) -> bytes:
        """What new chat chunks say. Raises EngineFailure for one that tells of an error."""
        due: list[bytes] = []
        for event in chunk.split(b"\n\n"):
            if not event.startswith(DATA) or event.endswith(DONE):
                continue
            data = from_json(event[len(DATA) :])
            if told := data.get("error"):
                raise _told(told)
            self._usage = data.get("usage") or self._usage
            if (model := data.get("model", self._body["model"])) != self._body["model"]:
                self._body = {**self._body, "model": model}  # a fallback answers
            for choice in data["choices"]:
                self._take(choice, due)
        self._flush(due)
        return b"".join(due)

    def closing(self) -> bytes:
        """The ends of all items; of an answer without any, one of no text.

        Raises EngineFailure where the chunks stopped before the answer did.
        """
        output.check_ended(self._reason)
        due: list[bytes] = []
        if all(isinstance(item, Search) for item in self._items):
            self._open_text(due)
        self._close_text(due)
        for call in self._calls.values():
            arguments = "".join(call.pieces)
            place = {"output_index": call.place, "item_id": call.identity}
            due.append(
                self._event("response.function_call_arguments.done", **place, arguments=arguments, name=call.name)
            )
            item = call.item(self._ended(call))
            due.append(self._event("response.output_item.done", output_index=call.place, item=item))
        return b"".join(due)

    def finished(self) -> Body:
        """The response at its end, after `closing`."""
        return output.finished(self._body, self.written(output.COMPLETED), self._reason, self._usage)

    def ending(self, body: Body) -> bytes:
        """The last event. body: as `finished` gave it."""
        return self._event(f"response.{body['status']}", response=body)

    def broken(self, error: HeliostatError, body: Body) -> bytes:
        """The last events of a response that failed. body: the failed response."""
        told = self._event("error", code=error.code, message=error.line(), param=error.param)
        return told + self._event("response.failed", response=body)

    def written(self, status: str = output.INCOMPLETE) -> list[Stored]:
        """All items as far as they are."""
        return [item.item(status) for item in self._items]

    def _search(self, searched: Searched) -> bytes:
        """A search that is done already, told as it went."""
        identity = item_id("file_search_call", self._body["id"], self._first_place)
        done = Search(identity=identity, place=0, searched=searched)
        self._items.append(done)
        item = done.item(output.COMPLETED)
        begun = {**item, "status": output.IN_PROGRESS, "results": None}
        place = {"output_index": 0, "item_id": identity}
        return b"".join(
            (
                self._event("response.output_item.added", output_index=0, item=begun),
                self._event("response.file_search_call.in_progress", **place),
                self._event("response.file_search_call.searching", **place),
                self._event("response.file_search_call.completed", **place),
                self._event("response.output_item.done", output_index=0, item=item),
            )
        )

    def _take(self, choice: Mapping[str, Any], due: list[bytes]) -> None:
        delta = choice["delta"]
        if text := delta.get("content"):
            self._waiting.append(text)
            if choice.get("logprobs"):
                self._tokens += output.tokens_of(choice)
        for call in delta.get("tool_calls") or ():
            self._flush(due)
            self._take_call(call, due)
        self._reason = choice.get("finish_reason") or self._reason

    def _take_call(self, delta: Mapping[str, Any], due: list[bytes]) -> None:
        function = delta.get("function") or {}
        call = self._calls.get(delta["index"])
        if call is None:
            self._close_text(due)
            call = self._open_call(delta, function, due)
        if arguments := function.get("arguments"):
            call.pieces.append(arguments)
            place = {"output_index": call.place, "item_id": call.identity}
            due.append(self._event("response.function_call_arguments.delta", **place, delta=arguments))

    def _flush(self, due: list[bytes]) -> None:
        """Send the text that waits."""
        if not self._waiting:
            return
        text = self._text or self._open_text(due)
        said = "".join(self._waiting)
        text.pieces.append(said)
        text.tokens += self._tokens
        tokens = to_json(self._tokens) if self._tokens else b"[]"
        self._waiting, self._tokens = [], []
        # By hand, as it is by far the most frequent event.
        due.append(
            b'%b%b,"logprobs":%b,"sequence_number":%d}\n\n' % (text.head, _json_text(said), tokens, self._number)
        )
        self._number += 1

    def _open_text(self, due: list[bytes]) -> Text:
        place = len(self._items)
        identity = item_id("message", self._body["id"], self._first_place + place)
        text = self._text = Text(identity=identity, place=place)
        kind = b"response.output_text.delta"
        text.head = b'event: %b\ndata: {"type":"%b","item_id":"%b","output_index":%d,"content_index":0,"delta":' % (
            (kind, kind, identity.encode(), place)
        )
        self._items.append(text)
        item = output.text_item(identity, output.IN_PROGRESS, [])
        due.append(self._event("response.output_item.added", output_index=place, item=item))
        part = {"output_index": place, "item_id": identity, "content_index": 0, "part": output.text_part("")}
        due.append(self._event("response.content_part.added", **part))
        return text

    def _close_text(self, due: list[bytes]) -> None:
        text, self._text = self._text, None
        if text is None:
            return
        place = {"output_index": text.place, "item_id": text.identity, "content_index": 0}
        if self._searched is not None:
            text.annotations = self._searched.annotations("".join(text.pieces))
        for number, annotation in enumerate(text.annotations):
            added = {"annotation_index": number, "annotation": annotation}
            due.append(self._event("response.output_text.annotation.added", **place, **added))
        part = text.part()
        said = {"text": part["text"], "logprobs": part["logprobs"]}
        due.append(self._event("response.output_text.done", **place, **said))
        due.append(self._event("response.content_part.done", **place, part=part))
        item = text.item(self._ended(text))
        due.append(self._event("response.output_item.done", output_index=text.place, item=item))

    def _open_call(self, delta: Mapping[str, Any], function: Mapping[str, Any], due: list[bytes]) -> Call:
        place = len(self._items)
        identity = item_id("function_call", self._body["id"], self._first_place + place)
        call_id = delta.get("id") or f"call_{identity}"
        call = Call(identity=identity, place=place, call_id=call_id, name=function.get("name") or "")
        self._calls[delta["index"]] = call
        self._items.append(call)
        item = call.item(output.IN_PROGRESS)
        due.append(self._event("response.output_item.added", output_index=place, item=item))
        return call

    def _ended(self, item: Text | Call) -> str:
        cut = self._reason in output.CUT_SHORT and item is self._items[-1]
        return output.INCOMPLETE if cut else output.COMPLETED

    def _event(self, kind: str, **fields: Any) -> bytes:
        content = to_json({"type": kind, **fields, "sequence_number": self._number})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), content)


def _json_text(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode(errors="replace")


def _told(info: Any) -> HeliostatError:
    message = info.get("message") if isinstance(info, dict) else info
    return EngineFailure(str(message)[:500])
