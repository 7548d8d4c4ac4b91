"""What `/api/tags`, `/api/ps` and `/api/show` say: of what is served, what may be loaded and what is on disk."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cluster.catalog import GIB
from cluster.engines.remote.providers import Providers
from cluster.errors import ModelNotFound, Unavailable
from cluster.library.entry import ModelEntry
from cluster.library.library import Library
from cluster.settings.tree import Settings
from cluster.types import LoadedModel, ModelCard, ModelState
from deployments.clients import Backends
from deployments.gateway.models.on_demand import Available, card_of
from deployments.gateway.ollama.names import bare, tagged

Json = dict[str, Any]
MayAsk = Callable[[str], bool]
NEVER = "9999-12-31T23:59:59Z"  # when a model goes that stays
CAPABILITIES = {"chat": "completion"}  # theirs, of ours; the others have the same names
PARAMETERS = {"repetition_penalty": "repeat_penalty"}
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
UNITS = ((10**9, "B"), (10**6, "M"), (10**3, "K"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One model. entry: of the library, where it has one. files: what its folder says, read with the entry."""

    id: str
    entry: ModelEntry | None
    modified_at: float
    config: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The commit of its files where they have one, else a hash of what is known: a new one with new files."""
        revision, size = (self.entry.revision, self.entry.size) if self.entry else (None, None)
        if revision and len(revision) >= 40:
            return revision
        return sha256(f"{self.id} {revision} {size} {self.modified_at}".encode()).hexdigest()

    @property
    def details(self) -> Json:
        """What it is made of; empty is unknown."""
        kind = self.entry.kind if self.entry else ""
        family = str(self.config.get("model_type") or "")
        return {
            "parent_model": "",
            "format": "gguf" if kind == "llama_cpp" else "safetensors" if self.config else "",
            "family": family,
            "families": [family] if family else None,
            "parameter_size": _short(self.figure("parameters")),
            "quantization_level": str(self.figure("quantization") or DTYPES.get(_dtype(self.config), "")),
        }

    def figure(self, name: str) -> Any:
        """What the library says of it."""
        figures = self.entry.figures if self.entry else ()
        return next((figure.value for figure in figures if figure.name == name), None)

    @property
    def row(self) -> Json:
        """As it is listed."""
        name = tagged(self.id)
        return {
            "name": name,
            "model": name,
            "modified_at": _moment(self.modified_at),
            "size": (self.entry.size if self.entry else None) or 0,
            "digest": self.digest,
            "details": self.details,
        }


class Listing:
    """Describes the models of a gateway."""

    def __init__(self, settings: Settings, backends: Backends) -> None:
        self._settings = settings
        self._models = backends.models
        self._fleet = backends.fleet
        self._providers = backends.providers or Providers(settings)
        self._embedder = backends.embedder
        self._embedder_id = settings.embedding_models[0].id if settings.embedding_models else None
        self._began = time.time()

    async def tags(self, may_ask: MayAsk) -> Json:
        """All that is served, or on disk."""
        entries = await self._entries()
        found = {name: await self._described(name, entries) for name in self._served() if may_ask(name)}
        listed = {one.entry.id for one in found.values() if one.entry}
        for entry in entries.values():
            if entry.on_disk and not entry.problem and entry.id not in listed and may_ask(entry.id):
                found.setdefault(entry.id, await self._described(entry.id, entries))
        return {"models": [one.row for one in found.values()]}

    async def ps(self, may_ask: MayAsk) -> Json:
        """All that is loaded."""
        entries = await self._entries()
        loaded = await self._fleet.loaded() if self._fleet is not None else ()
        rows = [
            {**(await self._described(one.id, entries)).row, **_loaded(one), **await self._context(one.id)}
            for one in loaded
            if one.state is ModelState.READY and may_ask(one.id)
        ]
        seen = {one.id for one in loaded}
        for name in (*self._models, *([self._embedder_id] if self._embedder_id else [])):
            if name not in seen and may_ask(name):
                card = await self._card(name)
                size = round((card.memory_gib or 0.0) * GIB) if card else 0
                more = {"size": size, "size_vram": 0, "expires_at": NEVER}
                rows.append({**(await self._described(name, entries)).row, **more, **await self._context(name)})
        for row in rows:
            del row["modified_at"]
        return {"models": rows}

    async def show(self, asked: str, may_ask: MayAsk) -> Json:
        """One model. Raises ModelNotFound, also for one that may not be asked."""
        served = self._served()
        name = bare(asked, served)
        if isinstance(self._models, Available) and name not in served:
            name = self._models.name_of(name) or name
        entries = await self._entries()
        entry = entries.get(name.casefold())
        if not may_ask(name) or (name not in served and (entry is None or not entry.on_disk)):
            near = self._models.nearest(name, may_ask) if isinstance(self._models, Available) else []
            hint = f"did you mean {', '.join(near)}?" if near else "GET /api/tags lists them all"
            raise ModelNotFound(f"No model is called {asked[:128]!r}", hint=hint, param="model")
        found, card = await self._described(name, entries), await self._card(name)
        said = (
            card.capabilities.names if card and (card.created or not entry) else entry.capabilities if entry else ()
        )
        context = (card.capabilities.context_length if card else 0) or (entry.context_length if entry else 0) or 0
        generation = {PARAMETERS.get(key, key): value for key, value in (entry.generation if entry else {}).items()}
        parameters = {**generation, **({"num_ctx": context} if context else {})}
        shown = {
            "parameters": "\n".join(f"{key:<30} {value}" for key, value in parameters.items()),
            "details": found.details,
            "model_info": _model_info(found, context),
            "capabilities": [CAPABILITIES.get(one, one) for one in said],
            "modified_at": _moment(found.modified_at),
        }
        template = await asyncio.to_thread(_template, entry)
        more = {"template": template, "license": entry.licence if entry else None}
        return shown | {key: value for key, value in more.items() if value}

    def _served(self) -> list[str]:
        """The ids of all that may be asked, loaded or not."""
        loadable = [card.id for card in self._models.loadable()] if isinstance(self._models, Available) else []
        provided = [card.id for card in self._providers.cards()]
        return [*self._models, *loadable, *([self._embedder_id] if self._embedder_id else []), *provided]

    async def _card(self, name: str) -> ModelCard | None:
        """What a model says of itself; of one that is not loaded, what its description says. It loads none."""
        with suppress(Unavailable):  # a list is none the worse for one that does not answer just now
            if name == self._embedder_id:
                return await self._embedder.card() if self._embedder is not None else None
            if name in tuple(self._models):  # iterating gives those that are always there
                return await card_of(self._models, name)
        loadable = self._models.loadable() if isinstance(self._models, Available) else ()
        return next((card for card in (*loadable, *self._providers.cards()) if card.id == name), None)

    async def _context(self, name: str) -> Json:
        card = await self._card(name)
        length = card.capabilities.context_length if card else 0
        return {"context_length": length} if length else {}

    async def _entries(self) -> dict[str, ModelEntry]:
        """The library, by all names in small letters."""
        entries = await asyncio.to_thread(Library(self._settings.hub).entries)
        return {name.casefold(): entry for entry in entries for name in entry.names}

    async def _described(self, name: str, entries: Mapping[str, ModelEntry]) -> Described:
        entry = entries.get(name.casefold())
        modified_at, config = await asyncio.to_thread(_files, entry)
        return Described(id=name, entry=entry, modified_at=modified_at or self._began, config=config)


def _loaded(model: LoadedModel) -> Json:
    size = round(model.memory_gib * GIB)
    until = NEVER if model.until is None else _moment(model.until)
    return {"size": size, "size_vram": size if model.device == "cuda" else 0, "expires_at": until}


def _model_info(found: Described, context: int) -> Json:
    family = found.details["family"] or "unknown"
    info: Json = {"general.architecture": family, "general.basename": found.id}
    if isinstance(parameters := found.figure("parameters"), int):
        info["general.parameter_count"] = parameters
    longest = found.figure("longest") or context
    return info | ({f"{family}.context_length": longest} if longest else {})


def _files(entry: ModelEntry | None) -> tuple[float | None, Json]:
    """When a model's files came, and its config.json."""
    folder = Path(entry.folder) if entry and entry.on_disk and entry.folder else None
    if folder is None or not folder.exists():
        return None, {}
    config: Any = {}
    with suppress(OSError, ValueError):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return folder.stat().st_mtime, config if isinstance(config, dict) else {}


def _template(entry: ModelEntry | None) -> str | None:
    """The chat template of a model's folder, where it has one."""
    folder = Path(entry.folder) if entry and entry.folder else None
    if folder is None:
        return None
    with suppress(OSError, ValueError):
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    with suppress(OSError, ValueError, AttributeError):
        said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
        return said if isinstance(said, str) else None
    return None


def _dtype(config: Mapping[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype") or "")


def _short(parameters: Any) -> str:
    if not isinstance(parameters, int) or parameters <= 0:
        return ""
    for unit, letter in UNITS:
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return str(parameters)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
