"""What a provider lists: the names of its models, and what it says of each.

All that is read is bounded in bytes, in time and in number; what cannot be a model's name is left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cluster.engines.remote import refusals
from cluster.engines.remote.connection import FACTS_S, Connection
from cluster.engines.remote.facts import Facts, entries_of, of_entry
from cluster.engines.remote.lines import parsed, written
from cluster.engines.remote.ollama_model import facts_of
from cluster.errors import HeliostatError, ProviderFailure
from cluster.settings.providers import AnyProvider, OllamaProvider

LIST_BYTES = 16 * 1024**2  # the longest known has a thousand entries in one
MOST = 2000  # models of one provider that are listed; the first ones
SHOWN = 128  # models of an Ollama server that are asked for one by one
NAME = re.compile(r"[\x21-\x7e]{1,192}")  # what a header and a log line can carry, with the provider's id before it
LATEST = ":latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """One model. created: Unix seconds, 0 where nobody says. digest: of its weights, where the provider has one."""

    name: str
    facts: Facts = field(default_factory=Facts)
    created: int = 0
    digest: str = ""


async def listed(
    connection: Connection, settings: AnyProvider, before: Iterable[ListedModel] = ()
) -> tuple[ListedModel, ...]:
    """The models that the provider has and that are offered, in its order, none twice.

    before: an earlier list, whose facts need not be asked for again. Raises ProviderFailure for what is no list,
    ProviderAway, Overloaded, and ProviderRefused for a wrong key.
    """
    if isinstance(settings, OllamaProvider):
        found = [one for one in _tags(await _asked(connection, "/api/tags")) if settings.offers(one.name)]
        known = {(one.name, one.digest): one for one in before if one.digest}
        return tuple([await _described(connection, one, known, at) for at, one in enumerate(_distinct(found))])
    found = [one for one in _entries(await _asked(connection, "/models")) if settings.offers(one.name)]
    return tuple(_distinct(found))


async def _asked(connection: Connection, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    sent = None if body is None else written(body)
    async with connection.ask(path, sent, total_s=FACTS_S) as reply:
        await refusals.accepted(reply, connection, refusals.JSON_TYPES)
        data = parsed(await reply.whole(LIST_BYTES), connection.name)
    if body is None and not isinstance(data.get("data"), list) and not isinstance(data.get("models"), list):
        raise ProviderFailure(f"{connection.name} answered with JSON that is no list of models")
    return data


def _entries(data: Mapping[str, Any]) -> Iterator[ListedModel]:
    for entry in entries_of(data):
        name, created = entry.get("id"), entry.get("created")
        if isinstance(name, str) and NAME.fullmatch(name):
            at = created if isinstance(created, int) and 0 <= created < 2**40 else 0
            yield ListedModel(name=name, facts=of_entry(entry), created=at)


def _tags(data: Mapping[str, Any]) -> Iterator[ListedModel]:
    for entry in data["models"] if isinstance(data.get("models"), list) else ():
        name = entry.get("model") or entry.get("name") if isinstance(entry, Mapping) else None
        if isinstance(name, str) and NAME.fullmatch(name):
            # Ollama takes both, and people write neither.
            yield ListedModel(name=name.removesuffix(LATEST) or name, digest=str(entry.get("digest") or "")[:80])


async def _described(
    connection: Connection, one: ListedModel, known: Mapping[tuple[str, str], ListedModel], at: int
) -> ListedModel:
    """The same with what `/api/show` says. A list is none the worse for a model that is not described."""
    if (before := known.get((one.name, one.digest))) is not None:
        return before
    if at < SHOWN:
        with suppress(HeliostatError):
            shown = await _asked(connection, "/api/show", {"model": one.name})
            return ListedModel(name=one.name, facts=facts_of(shown), digest=one.digest)
    return ListedModel(name=one.name)  # without the digest it is asked for again next time


def _distinct(found: Iterable[ListedModel]) -> list[ListedModel]:
    return list({one.name: one for one in found}.values())[:MOST]
