"""What the running cluster has loaded, by every name that a model may go by."""

import httpx

from cluster import catalog
from cluster.config import credentials, home, load_config
from cluster.errors import ClusterError, SettingsError
from cluster.runtime.lifecycle import current
from cluster.settings.models import ModelSettings

TIMEOUT_S = 5.0


def loaded_names() -> frozenset[str] | None:
    """Ids and sources, in small letters; None where no cluster runs.

    Where the endpoint does not say what it serves, all that its config names counts as loaded.
    """
    try:
        state = current(home())
    except ClusterError:
        return None
    try:
        configured = load_config(state.config).settings.models
    except SettingsError:
        configured = ()
    served = _served(state.url)
    known = {model.id: model for model in configured}
    names = {name for model in configured if served is None or model.id in served for name in _names(model)}
    for name in served or ():
        entry = catalog.find(name)
        names |= {name, *(entry.names if entry is not None and name not in known else ())}
    return frozenset(name.casefold() for name in names)


def _names(model: ModelSettings) -> set[str]:
    entry = catalog.find(model.catalog or model.id)
    source = getattr(model.engine, "source", None)
    beside = getattr(model.engine, "also", ())
    is_entry = entry is not None and entry.source == source
    return {model.id, *(entry.names if is_entry and entry else ()), *([source] if source else []), *beside}


def _served(url: str) -> frozenset[str] | None:
    try:
        answer = httpx.get(f"{url}/v1/models", headers=credentials(), timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        coming = httpx.get(f"{url}/api/v1/models/loaded", headers=credentials(), timeout=TIMEOUT_S, trust_env=False)
        rows = [*answer.json()["data"], *(coming.json()["data"] if coming.is_success else [])]
        return frozenset(str(item["id"]) for item in rows if item.get("state") != "unloaded")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
