"""A model as it is listed: from the catalog, from the disk, or both."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Origin = Literal["built in", "catalog", "hub cache", "folder", "file", "provider"]
CHATS = ("chat", "vision")  # the tasks of models that answer chats


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something that is said of a model, and who says it."""

    name: str
    value: Any
    said_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model. Sizes in bytes; None is unknown.

    provider: who runs it; `local` is this cluster. origin: how it became known. task: `chat`, `vision`,
    `embedding` or `rerank`. memory: weights and KV cache, without activations. size: of its files here. partial:
    of what has arrived of an unfinished pull. revision: the commit of what is here, else what a pull would take.
    folder: where its files are, a file for a GGUF. problem: why it cannot be loaded. engine: as a config says it.
    """

    id: str
    origin: Origin
    engine: Mapping[str, Any]
    provider: str = "local"
    aliases: tuple[str, ...] = ()
    about: str = ""
    task: str | None = None
    capabilities: tuple[str, ...] = ()
    context_length: int | None = None
    memory: int | None = None
    on_disk: bool = False
    size: int | None = None
    partial: int = 0
    revision: str | None = None
    folder: str | None = None
    licence: str | None = None
    generation: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def kind(self) -> str:
        """The engine that runs it."""
        return str(self.engine.get("kind", ""))

    @property
    def names(self) -> tuple[str, ...]:
        """All that it may be called."""
        return (self.id, *self.aliases)

    @property
    def config_line(self) -> dict[str, Any]:
        """The model of a config that serves it: an id of the catalog needs no more."""
        if self.origin in {"built in", "catalog"}:
            return {"id": self.id}
        line: dict[str, Any] = {"id": self.id, "engine": dict(self.engine)}
        if self.context_length:
            line["context_length"] = self.context_length
        return line

    @property
    def loadable(self) -> bool:
        """Whether it is here whole, and answers chats: the fleet loads it by its name."""
        return self.on_disk and not self.problem and self.task in CHATS

    def loaded_among(self, names: Collection[str] | None) -> bool:
        """Whether one of its names is among those, which are in small letters."""
        return any(name.casefold() in (names or ()) for name in self.names)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return {**asdict(self), "engine_kind": self.kind}
