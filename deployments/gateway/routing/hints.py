"""What requests to the same replica have in common: a session, or how their prompts begin.

A hint is a hash that a model's request router sends to the same replica as long as it can. Sessions are named
by the `x-session-id` header, by the conversation, or by the body's `prompt_cache_key` or `user`, in this order.
"""

from collections.abc import Iterator
from hashlib import blake2b

from cluster.settings.tree import Settings
from deployments.gateway.routing import journey
from deployments.gateway.wire import ChatRequest, CompletionRequest, ImagePart, UserMessage

HEAD = 2048  # characters of a prompt that say where it goes: long enough for instructions or a document's beginning
SHOWN = 128  # characters of a picture's address that tell it from others
TOKENS = 512

Wanted = ChatRequest | CompletionRequest


class Hints:
    """The hints of a gateway's requests."""

    def __init__(self, settings: Settings) -> None:
        self._routing = {model.id: model.routing for model in settings.started_models}

    def of(self, model: str, wanted: Wanted, *, owner: str) -> str:
        """For a request to a model; empty where any replica is as good as another."""
        routing = self._routing.get(model, "queue")
        if routing == "session":
            session = session_of(wanted)
            return "" if session is None else _hash(f"session\0{owner}\0{session}")
        if routing == "prefix":
            # The label comes first, as OpenAI's own: it parts prompts that only begin alike.
            label = wanted.prompt_cache_key if isinstance(wanted, ChatRequest) else None
            return _hash(f"prefix\0{label or ''}\0{head_of(wanted)}")
        return ""


def session_of(wanted: Wanted) -> str | None:
    """The session that a request names; None where it names none."""
    said = journey.session()
    if said:
        return said
    if isinstance(wanted, ChatRequest) and wanted.prompt_cache_key:
        return wanted.prompt_cache_key
    return wanted.user or None


def head_of(wanted: Wanted) -> str:
    """How the prompt begins: until its first question has ended, so that a conversation stays where it began."""
    parts = _said(wanted) if isinstance(wanted, ChatRequest) else _prompted(wanted)
    head, room = [], HEAD
    for part in parts:
        head.append(part[:room])
        room -= len(part)
        if room <= 0:
            break
    return "\0".join(head)


def _said(wanted: ChatRequest) -> Iterator[str]:
    for message in wanted.messages:
        yield message.role
        if isinstance(message.content, str):
            yield message.content
        else:
            for part in message.content or ():
                yield part.image_url.url[:SHOWN] if isinstance(part, ImagePart) else part.text
        if isinstance(message, UserMessage):
            return


def _prompted(wanted: CompletionRequest) -> Iterator[str]:
    prompt = wanted.prompt[0] if wanted.prompt and not isinstance(wanted.prompt[0], int) else wanted.prompt
    yield prompt if isinstance(prompt, str) else repr(prompt[:TOKENS])


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
