"""The models the cluster knows, what they take, and what their deployments are called.

The facts are in `models.yaml` beside this file, so that they are at hand in an installed wheel too.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cluster import yaml_text
from cluster.errors import SettingsError

FILE = Path(__file__).with_name("models.yaml")
GIB = 1024**3
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
NEAR = 3  # names that an error offers for one that nobody has
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
    """One model. engine, context_length, replicas: what a config would say; the rest are facts (models.yaml).

    aliases: other names of it; what its files are called on the Hub is always one.
    """

    id: str = Field(pattern=rf"^{ID.pattern}$")
    aliases: list[str] = []
    about: str
    engine: dict[str, Any]
    replicas: dict[str, Any] = {}
    context_length: int = Field(ge=16)
    longest: int = Field(ge=16)
    capabilities: list[Literal["chat", "vision", "tools", "embedding", "rerank"]] = Field(min_length=1)
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
        """`chat`, `embedding` or `rerank`."""
        return next((word for word in ("embedding", "rerank") if word in self.capabilities), "chat")

    @property
    def shown_task(self) -> str:
        """What it is for, in the words of a list: `chat`, `vision`, `embedding` or `rerank`."""
        return next((word for word in ("vision", "embedding", "rerank") if word in self.capabilities), "chat")

    @property
    def built_in(self) -> bool:
        """Whether its files come with this project."""
        return self.source.startswith("models/") or self.source == "builtin"

    @property
    def own_path(self) -> Path | None:
        """The folder or GGUF file of somebody's own that holds it; None where it is built in or in a registry."""
        local = (
            self.source.startswith((".", "/", "~")) or self.source.endswith(".gguf") or self.source.count("/") > 1
        )
        return Path(self.source).expanduser() if local and not self.built_in else None

    @property
    def from_hub(self) -> bool:
        """Whether its files come from a registry."""
        return not self.built_in and self.own_path is None

    @property
    def names(self) -> tuple[str, ...]:
        """All that it may be called, its id first."""
        return (self.id, *self.aliases, *([self.source] if self.from_hub and self.source != self.id else []))

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


def read(file: Path) -> Mapping[str, CatalogModel]:
    """A catalog of somebody's own, in the words of models.yaml. Raises SettingsError naming file, model and key."""
    try:
        listed = yaml_text.load(file.read_text(encoding="utf-8"))
        found = TypeAdapter(list[CatalogModel]).validate_python(listed)
    except FileNotFoundError:
        raise SettingsError(
            f"{file}: no such file", hint="hub.catalog is a file like cluster/models.yaml"
        ) from None
    except ValidationError as error:
        raise _wrong(file, listed, error) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from None
    taken = {name.casefold(): entry.id for entry in models().values() for name in entry.names}
    for place, entry in enumerate(found):
        _check_engine(file, entry)
        for name in (entry.id, *entry.aliases):
            if taken.setdefault(name.casefold(), f"item {place}") != f"item {place}":
                other = taken[name.casefold()]
                raise SettingsError(
                    f"{file}: {entry.id}: the name {name!r} is taken by {other}", hint="another name"
                )
    return {entry.id: entry for entry in found}


def find(name: str, own: Mapping[str, CatalogModel] | None = None) -> CatalogModel | None:
    """The model of that id or alias, whatever its letters' case; None is none. own: entries beside the built-in."""
    return {**models(), **(own or {})}.get(name) or _by_name(own).get(name.casefold())


def nearest(name: str, names: Collection[str]) -> list[str]:
    """The names that somebody may have meant, the most likely first."""
    folded = {known.casefold(): known for known in names}
    short = {known.rpartition("/")[2]: folded[known] for known in folded}
    wanted = name.casefold()
    near = [folded[one] for one in get_close_matches(wanted, folded, n=NEAR, cutoff=0.5)]
    near += [short[one] for one in get_close_matches(wanted.rpartition("/")[2], short, n=NEAR, cutoff=0.5)]
    return list(dict.fromkeys(near))[:NEAR]


def completed(
    given: Mapping[str, Any],
    kinds: Mapping[str, Collection[str]],
    own: Mapping[str, CatalogModel] | None = None,
) -> dict[str, Any]:
    """A model of a config with all that its line stands for; what the config says stays.

    kinds: the keys that each kind of engine takes. An engine of another kind takes the keys that it knows; one
    that runs no model, such as the scripted fake, takes nothing. own: entries beside the built-in. Raises
    ValueError for a name that is in no catalog and has no engine.
    """
    alias, engine = given.get("catalog"), given.get("engine")
    name = given.get("id") if alias is None else alias
    if not isinstance(name, str):
        return dict(given)  # which is an error, and pydantic's to tell
    entry = find(name, own)
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


@cache
def _built_in_names() -> Mapping[str, CatalogModel]:
    return {name.casefold(): entry for entry in models().values() for name in entry.names}


def _by_name(own: Mapping[str, CatalogModel] | None) -> Mapping[str, CatalogModel]:
    if not own:
        return _built_in_names()
    return {name.casefold(): entry for entry in own.values() for name in entry.names} | dict(_built_in_names())


def _wrong(file: Path, listed: Any, error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    place = first["loc"][0] if first["loc"] else None
    item = listed[place] if isinstance(place, int) else None
    named = str(item.get("id", place)) if isinstance(item, Mapping) else str(place if place is not None else "")
    keys = ".".join([named, *(str(part) for part in first["loc"][1:])]) or "the file"
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(CatalogModel.model_fields))
        return SettingsError(f"{file}: {keys}: unknown key", hint=f"known keys: {known}", param=keys)
    return SettingsError(f"{file}: {keys}: {first['msg']}", hint="as in cluster/models.yaml", param=keys)


def _check_engine(file: Path, entry: CatalogModel) -> None:
    from cluster.settings.engines import ENGINES

    kind = entry.engine.get("kind")
    if kind not in ENGINES:
        raise SettingsError(f"{file}: {entry.id}.engine.kind: {kind!r} is no engine", hint=", ".join(ENGINES))
    if "source" not in ENGINES[kind].model_fields or "source" not in entry.engine:
        hint = "a folder, a GGUF file, or owner/name of the Hub; a model of another server is a line of a config"
        raise SettingsError(
            f"{file}: {entry.id}.engine.source: missing", hint=hint, param=f"{entry.id}.engine.source"
        )
    try:
        ENGINES[kind].model_validate(entry.engine)
    except ValidationError as error:
        first = error.errors()[0]
        keys = ".".join([entry.id, "engine", *(str(part) for part in first["loc"])])
        raise SettingsError(f"{file}: {keys}: {first['msg']}", hint=f"the engine {kind}", param=keys) from None


def _merged(base: Mapping[str, Any], over: Any) -> Any:
    """`over` laid over `base`, mapping by mapping."""
    if not isinstance(over, Mapping):
        return over
    both = {key: _merged(base[key], over[key]) for key in base if key in over and isinstance(base[key], Mapping)}
    return {**base, **over, **both}


def _unknown(name: str, *, needs_engine: bool) -> str:
    near = nearest(name, models())
    meant = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(models())}"
    wants = ", so it needs an engine" if needs_engine else ""
    return f"{name!r} is not in the catalog{wants}{meant}"
