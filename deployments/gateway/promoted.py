"""What models generate with where a request does not say, as sweeps found it: promoted parameters.

They are written into the request once it is checked, so that all that comes after sees them: the engine, the keys
of the cache, the limits. What a request says stays. They are in the database; each gateway looks there again after
a second, when somebody asks. Without the database, what was last known holds, and no request waits for it long.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, TypeVar

from pydantic_core import from_json, to_json
from sqlalchemy import Engine

from cluster.errors import HeliostatError
from cluster.stores.promotions import Promotion, Promotions
from cluster.types import ModelCard
from deployments.gateway.checked import CheckedChat, CheckedCompletion

logger = logging.getLogger(__name__)

BELIEVED_S = 1.0
PATIENCE_S = 1.0  # a database that takes longer is not waited for

Request = TypeVar("Request", CheckedChat, CheckedCompletion)


class Promoted:
    """engine: of the database; None where there is none, and nothing is promoted. clock: seconds that only grow."""

    def __init__(
        self, engine: Engine | None, *, believed_s: float = BELIEVED_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._store = None if engine is None else Promotions(engine)
        self._believed_s = believed_s
        self._clock = clock
        self._known: Mapping[str, Promotion] = {}
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._since = 0.0
        self._patience_s = PATIENCE_S

    async def now(self) -> Mapping[str, Promotion]:
        """The promotions by model, at most a second old while the database answers."""
        if self._store is not None and not self._fresh():
            if self._reading is None or self._reading.done():
                self._reading, self._since = asyncio.create_task(self._read(self._store)), monotonic()
            left = self._since + self._patience_s - monotonic()
            _, slow = await asyncio.wait({self._reading}, timeout=max(left, 0.0))
            if slow:
                self._patience_s = 0.0  # until it has answered again, requests go on with what is known
        return self._known

    async def completed(self, chat: Request, card: ModelCard | None) -> Request:
        """The request with what its model's promotion says and it does not. card: None where it is not known now.

        A parameter that the model no longer honours is left out: no request fails for what it did not say.
        """
        known = await self.now()
        if not known:
            return chat
        promotion = known.get(chat.wanted.model) or (known.get(card.id) if card is not None else None)
        if promotion is None:
            return chat
        wanted, honoured = chat.wanted, None if card is None else _honoured(chat, card)
        missing = {
            name: value
            for name, value in promotion.parameters.items()
            if name in type(wanted).model_fields
            and getattr(wanted, name) is None
            and (honoured is None or name in honoured)
        }
        return _with(chat, missing, promoted=frozenset(missing)) if missing else chat

    def redirected(self, chat: Request, target: str) -> Request:
        """The request to another model, without what was promoted for the one that it named."""
        return _with(chat, {"model": target, **dict.fromkeys(chat.promoted)}, promoted=frozenset())

    def _fresh(self) -> bool:
        return self._read_at is not None and self._clock() - self._read_at < self._believed_s

    async def _read(self, store: Promotions) -> None:
        try:
            self._known = await asyncio.to_thread(store.all)
            self._patience_s = PATIENCE_S
        except HeliostatError as error:  # a request needs no database
            self._patience_s = 0.0
            logger.warning("what was promoted is not known anew: %s", error.message)
        self._read_at = self._clock()


def _honoured(chat: CheckedChat | CheckedCompletion, card: ModelCard) -> frozenset[str]:
    able = card.capabilities
    return able.parameters if isinstance(chat, CheckedChat) else able.completion


def _with(chat: Request, changes: Mapping[str, Any], *, promoted: frozenset[str]) -> Request:
    """The request with other fields, None for none, in its body and as it was parsed."""
    body = {**from_json(chat.call.body), **changes}
    said = to_json({name: value for name, value in body.items() if value is not None or name not in changes})
    wanted = chat.wanted.model_copy(update=dict(changes))
    return replace(chat, call=replace(chat.call, body=said), wanted=wanted, promoted=promoted)
