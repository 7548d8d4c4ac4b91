"""Reading settings: a config file, then the environment, which wins.

A config is a genuine Ray Serve config file with our settings under the application's `args`. The
environment overrides it: `HELIOSTAT__SECTION__KEY=value` (YAML values; list items by number), and the
Hugging Face names of HF_ALIASES. This module is the one place that reads the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cluster import catalog, yaml_text
from cluster.errors import SettingsError
from cluster.settings.engines import ENGINES
from cluster.settings.models import HubSettings
from cluster.settings.tree import Settings

IMPORT_PATH = "deployments.app:build"
ENVIRONMENT_PREFIX = "HELIOSTAT__"
PROXY_SECRET = "HELIOSTAT_PROXY_SECRET"  # noqa: S105 - the name of the variable that holds it
SECRETS = frozenset({"jwt_secret"})  # settings whose values no error repeats
HF_ALIASES = {
    "HF_MODEL_PATH": ("hub", "model_path"),
    "HF_MAX_CACHED_MODELS": ("hub", "max_cached_models"),
    "HF_DEFAULT_TASK": ("hub", "default_task"),
    "HF_ENABLE_GPU": ("hub", "enable_gpu"),
    "HF_MODEL_TIMEOUT_MS": ("limits", "generation_timeout_ms"),
    "HF_STREAM_CHUNK_SIZE": ("streaming", "max_events_per_chunk"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config file: the whole Serve document, and our settings resolved with the environment.

    document: as Ray Serve wants it, the resolved settings in place under the application's `args`.
    application: the name of our application in it.
    """

    path: Path
    document: dict[str, Any]
    settings: Settings
    application: str


def load_config(path: str | Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read a config file. Raises SettingsError naming file and key."""
    file = Path(path)
    document = _read_yaml(file)
    applications = document.get("applications")
    if not isinstance(applications, list):
        raise SettingsError(f"{file}: applications: missing", hint="a list with one item for Heliostat")
    for application in applications:
        if isinstance(application, dict) and application.get("import_path") == IMPORT_PATH:
            break
    else:
        raise SettingsError(
            f"{file}: applications: none is ours", hint=f"one item needs import_path: {IMPORT_PATH}"
        )
    args = application.get("args") or {}
    settings = resolve(args, environ, origin=str(file))
    application["args"] = settings.model_dump(mode="json")
    return Config(path=file, document=document, settings=settings, application=application.get("name", "default"))


def resolve(args: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, origin: str = "args") -> Settings:
    """Settings from a mapping and the environment, which wins. Raises SettingsError naming origin and key."""
    environ = os.environ if environ is None else environ
    if not isinstance(args, Mapping):
        raise SettingsError(f"{origin}: args: not a mapping", hint="keys such as models, documents, sweeps")
    tree: dict[str, Any] = _plain(args)
    sources: dict[tuple[str, ...], str] = {}
    for name, keys, text in _overrides(environ):
        _put(tree, keys, _value(name, text), name)
        sources[keys] = name
    if environ.get("HELIOSTAT_HOME"):
        tree["home"] = environ["HELIOSTAT_HOME"]
    _complete_from_own_catalog(tree, origin)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, origin, sources) from None


def home(environ: Mapping[str, str] | None = None) -> Path:
    """The data folder of commands that read no config: HELIOSTAT_HOME, or `.heliostat` here."""
    environ = os.environ if environ is None else environ
    return Path(environ.get("HELIOSTAT_HOME") or ".heliostat").expanduser().absolute()


def database_url(environ: Mapping[str, str] | None = None) -> str:
    """The database of commands that read no config: the environment's, or SQLite under the home."""
    environ = os.environ if environ is None else environ
    return environ.get(f"{ENVIRONMENT_PREFIX}STORES__DATABASE") or f"sqlite:///{home(environ) / 'heliostat.db'}"


def credentials(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers that our own commands ask a server with: HELIOSTAT_API_KEY, where it is set."""
    environ = os.environ if environ is None else environ
    key = environ.get("HELIOSTAT_API_KEY")
    return {"authorization": f"Bearer {key}"} if key else {}


def secret(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """A secret that settings name and the environment holds; None where it is not set, or empty."""
    environ = os.environ if environ is None else environ
    return environ.get(name, "").strip() or None


def hub_settings(environ: Mapping[str, str] | None = None) -> HubSettings:
    """Where models are, for commands that read no config: what the environment says. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    tree: dict[str, Any] = {"hub": {}}
    sources: dict[tuple[str, ...], str] = {}
    for name, keys, text in _overrides(environ):
        if keys[0] == "hub":
            _put(tree, keys, _value(name, text), name)
            sources[keys[1:]] = name
    try:
        return HubSettings.model_validate(tree["hub"])
    except ValidationError as error:
        raise _explain(error, "hub", sources, HubSettings) from None


def proxy_secret(environ: Mapping[str, str] | None = None) -> str | None:
    """What our HAProxy proves itself with to Serve's HTTP servers; None where it is not ours, or there is none."""
    return secret(PROXY_SECRET, environ)


def environment() -> dict[str, str]:
    """A copy of the environment, for starting processes with."""
    return dict(os.environ)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        document = yaml_text.load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{file}: no such file", hint="configs/demo.yaml is a working example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{file}: not YAML: {error}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{file}: not a mapping", hint="a Ray Serve config with `applications`")
    return document


def _complete_from_own_catalog(tree: dict[str, Any], origin: str) -> None:
    """Fill in the models of hub.catalog, so that nothing after this needs the file. Raises SettingsError."""
    hub, models = tree.get("hub"), tree.get("models")
    file = hub.get("catalog") if isinstance(hub, dict) else None
    if not isinstance(file, str) or not isinstance(models, list):
        return
    lines = [line for line in models if isinstance(line, dict)]
    if not Path(file).expanduser().is_file() and all(line.get("engine") for line in lines):
        return  # settings that were completed on another machine
    own = catalog.read(Path(file).expanduser())
    kinds = {kind: engine.model_fields for kind, engine in ENGINES.items()}
    for line in lines:
        entry = own.get(str(line.get("catalog") or line.get("id"))) if own else None
        if entry is None:
            continue
        try:
            line.update(catalog.completed(line, kinds, own))
        except ValueError as error:
            raise SettingsError(f"{origin}: models: {error}") from None
        line.pop("catalog", None)
        line.setdefault("memory_gib", entry.memory_gib(line["engine"].get("kv_cache_gib")))


def _plain(value: Any) -> Any:
    """A deep copy in dicts and lists, safe to change."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _overrides(environ: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], str]]:
    """(variable, key path, text) of every override; our own names come last, so they win."""
    found: list[tuple[str, tuple[str, ...], str]] = [
        (name, keys, environ[name]) for name, keys in HF_ALIASES.items() if environ.get(name)
    ]
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = tuple(part.lower() for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__"))
            found.append((name, keys, environ[name]))
    return found


def _value(name: str, text: str) -> Any:
    try:
        return yaml_text.load(text)
    except ValueError:
        raise SettingsError(f"{name}: not a YAML value: {text!r}", hint="quote it as YAML would") from None


def _put(tree: dict[str, Any], keys: tuple[str, ...], value: Any, name: str) -> None:
    node: Any = tree
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise SettingsError(f"{name}: no item {key} in a list of {len(node)}", hint="items count from 0")
            index: Any = int(key)
        elif isinstance(node, dict):
            index = key
            if not last:
                node.setdefault(key, {})
        else:
            raise SettingsError(f"{name}: {'.'.join(keys[:depth])} holds no keys")
        if last:
            node[index] = value
        else:
            node = node[index]


def _explain(
    error: ValidationError,
    origin: str,
    sources: Mapping[tuple[str, ...], str],
    root: type[BaseModel] = Settings,
) -> SettingsError:
    """The first problem, as one line with file or variable, key, and what would be right."""
    problems = error.errors()
    # A misspelt key is reported twice, as unknown and as missing: the unknown one tells more.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    path = tuple(str(part) for part in first["loc"])
    keys = tuple(part for part in path if part not in ENGINES)  # union tags that pydantic puts into paths
    where = sources.get(keys, origin)
    if first["type"] == "extra_forbidden":
        message, hint = "unknown key", f"known keys: {', '.join(_known(path[:-1], root))}"
    elif first["type"] == "missing":
        message, hint = "missing", "this key is required"
    else:
        message, hint = first["msg"].removeprefix("Value error, "), f"got {first['input']!r}"[:120]
        if keys and keys[-1] in SECRETS:
            hint = "its value is not shown"
    return SettingsError(f"{where}: {'.'.join(keys) or 'args'}: {message}", hint=hint, param=".".join(keys))


def _known(path: tuple[str, ...], root: type[BaseModel]) -> list[str]:
    """The declared keys of the settings at a path; empty where the path leads nowhere."""
    kinds: list[Any] = [root]
    for key in path:
        if key.isdigit():
            continue
        if key in ENGINES:  # a provider of that kind is not its engine, and has the same tag
            kinds = [kind for kind in kinds if "kind" in kind.model_fields]
            kinds = [kind for kind in kinds if kind.model_fields["kind"].default == key]
            continue
        fields = [kind.model_fields[key].annotation for kind in kinds if key in kind.model_fields]
        kinds = [kind for annotation in fields for kind in _models_in(annotation)]
    return sorted({name for kind in kinds for name in kind.model_fields})


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for item in getattr(annotation, "__args__", ()) for found in _models_in(item)]
