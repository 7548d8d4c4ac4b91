"""The models the cluster knows, what they take, and what their deployments are called.

The facts are in `models.yaml` beside this file, so that they are at hand in an installed wheel too.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cluster import yaml_text

FILE = Path(__file__).with_name("models.yaml")
GIB = 1024**3
CACHE_BYTES = 2  # of each number in the KV cache, which every engine here keeps in 16 bits


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class KeysAndValues(_Fact):
    """The shape of the attention cache. heads: those that keep keys and values."""

    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_size: int = Field(ge=1)

    @property
    def bytes_per_token(self) -> int:
        """Of keys and values together."""
        return 2 * self.layers * self.heads * self.head_size * CACHE_BYTES


class CatalogModel(_Fact):
    """One model. engine, context_length, replicas: what a config would say; the rest are facts (models.yaml)."""

    id: str
    about: str
    engine: dict[str, Any]
    replicas: dict[str, Any] = {}
    context_length: int = Field(ge=16)
    longest: int = Field(ge=16)
    capabilities: list[Literal["chat", "vision", "tools", "embedding"]] = Field(min_length=1)
    parameters: int = Field(ge=1)
    bytes_per_parameter: Literal[2, 4]
    kv: KeysAndValues | None = None
    licence: str

    @property
    def kind(self) -> str:
        """The engine that runs it."""
        return str(self.engine["kind"])

    @property
    def source(self) -> str:
        """A Hub id, a folder of this project, or `builtin`."""
        return str(self.engine["source"])

    @property
    def task(self) -> str:
        """`chat` or `embedding`."""
        return "embedding" if "embedding" in self.capabilities else "chat"

    @property
    def weights_gib(self) -> float:
        """What the weights take once loaded."""
        return self.parameters * self.bytes_per_parameter / GIB

    def context_gib(self, tokens: int | None = None) -> float:
        """What the KV cache takes for one sequence of that many tokens; None is the whole context."""
        return (tokens or self.context_length) * self.kv.bytes_per_token / GIB if self.kv else 0.0

    def memory_gib(self, cache_gib: float | None = None) -> float:
        """Weights and KV cache, without activations and the interpreter.

        cache_gib: what the engine reserves for the cache; None is what one sequence of the whole context takes.
        """
        return self.weights_gib + (self.context_gib() if cache_gib is None else cache_gib)


@cache
def models() -> Mapping[str, CatalogModel]:
    """All models by id, in the file's order."""
    found = TypeAdapter(list[CatalogModel]).validate_python(yaml_text.load(FILE.read_text(encoding="utf-8")))
    return {model.id: model for model in found}


def find(name: str) -> CatalogModel | None:
    """The model of that id, or None."""
    return models().get(name)


def completed(given: Mapping[str, Any], kinds: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """A model of a config with all that its line stands for; what the config says stays.

    kinds: the keys that each kind of engine takes. An engine of another kind takes the keys that it knows; one
    that runs no model, such as the scripted fake, takes nothing. Raises ValueError for a name that is in no
    catalog and has no engine.
    """
    alias, engine = given.get("catalog"), given.get("engine")
    name = given.get("id") if alias is None else alias
    if not isinstance(name, str):
        return dict(given)  # which is an error, and pydantic's to tell
    entry = find(name)
    if entry is None:
        if alias is not None or engine is None:
            raise ValueError(_unknown(name, needs_engine=alias is None))
        return dict(given)
    if engine is not None and not isinstance(engine, Mapping):
        return dict(given)
    own = dict(engine or {})
    kind = own.get("kind", entry.kind)
    keys = kinds.get(kind, ()) if isinstance(kind, str) else ()
    if "source" not in keys:
        return dict(given)
    base = {key: value for key, value in entry.engine.items() if key in keys}
    return {
        "task": entry.task,
        "context_length": entry.context_length,
        **{key: value for key, value in given.items() if value is not None},
        "engine": {**_merged(base, own), "kind": kind},
        "replicas": _merged(entry.replicas, given.get("replicas") or {}),
    }


def deployment_name(model_id: str) -> str:
    """The Serve deployment of a model: its id, with what Serve's names cannot hold replaced by `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", model_id)


def _merged(base: Mapping[str, Any], over: Any) -> Any:
    """`over` laid over `base`, mapping by mapping."""
    if not isinstance(over, Mapping):
        return over
    both = {key: _merged(base[key], over[key]) for key in base if key in over and isinstance(base[key], Mapping)}
    return {**base, **over, **both}


def _unknown(name: str, *, needs_engine: bool) -> str:
    folded = {known.casefold(): known for known in models()}
    near = get_close_matches(name.rpartition("/")[2].casefold(), folded, n=1, cutoff=0.5)
    meant = f"; did you mean {folded[near[0]]}?" if near else f"; it has {', '.join(models())}"
    wants = ", so it needs an engine" if needs_engine else ""
    return f"{name!r} is not in the catalog{wants}{meant}"
