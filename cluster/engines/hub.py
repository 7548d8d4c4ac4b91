"""Getting a model's files from the Hugging Face Hub: once, before an engine starts, for every engine alike.

An engine is then given a folder and never asks the network, so that there is one place where a download can
fail, and it fails with what to do about it.
"""

from pathlib import Path

from cluster.errors import BrokenModel, HeliostatError, RegistryAway, StartFailed
from cluster.library.inspection import check_weights
from cluster.library.library import Library
from cluster.library.manifest import Order
from cluster.library.selection import with_shards
from cluster.settings.models import HubSettings


def fetch(
    model: str,
    source: str,
    hub: HubSettings,
    revision: str | None = None,
    *,
    allow_pickle: bool = False,
    remote_code: bool = False,
) -> str:
    """The folder of a model's files: `source` itself where it is one, else the library's, pulled where needed.

    model: the id that the config gives it, for the errors. allow_pickle: whether weights may be pickled.
    remote_code: whether the model's own code comes too. What was pulled is used as it is, and asks no network;
    `heliostat models pull` brings what is newer. Blocks. Raises StartFailed saying what to do.
    """
    if Path(source).is_dir():
        try:
            check_weights(Path(source))
        except BrokenModel as error:  # said before an engine's library says it in its own words, minutes later
            raise StartFailed(f"{model} cannot be loaded: {error.message}", hint=error.hint) from error
        return source
    order = Order(name=source, revision=revision, allow_pickle=allow_pickle, remote_code=remote_code)
    return _ordered(model, order, hub)


def fetch_beside(model: str, repositories: tuple[str, ...], hub: HubSettings) -> None:
    """Get repositories that a model's own code will look for in the Hub's own cache. Raises as `fetch` does."""
    for repository in repositories:
        _ordered(model, Order(name=repository, weights=False), hub, beside=True)


def fetch_file(model: str, source: str, file: str, hub: HubSettings, revision: str | None = None) -> Path:
    """One file of a Hub repository, with the others that it is cut into. Blocks; raises as `fetch` does."""
    order = Order(name=source, revision=revision, only=(with_shards(file),))
    found = Path(_ordered(model, order, hub)) / file
    if not found.is_file():
        named = f"{model} is {source} on the Hugging Face Hub"
        raise StartFailed(f"{named}, which has no file {file}", hint="engine.file, as the Hub lists it")
    return found


def download_command(source: str, hub: HubSettings, revision: str | None, only: tuple[str, ...] = ()) -> str:
    """What downloads the files on a machine with a network. only: patterns of those that are wanted."""
    place = f" --cache-dir {hub.model_path}" if hub.model_path else ""
    chosen = "".join(f' --include "{pattern}"' for pattern in only)
    return f"hf download {source}{chosen}{f' --revision {revision}' if revision else ''}{place}"


def _ordered(model: str, order: Order, hub: HubSettings, *, beside: bool = False) -> str:
    place = hub.model_copy(update={"model_path": None}) if beside else hub
    command = download_command(order.name, place, order.revision, order.only)
    named = f"{model} is {order.name}{f' at {order.revision}' if order.revision else ''} on the Hugging Face Hub"
    try:
        return Library(hub).order(order, beside=beside)
    except RegistryAway as error:
        why = "hub.offline is set" if hub.offline else error.message
        # What to do is in the message: of an error in a replica, Serve shows no more than that.
        raise StartFailed(
            f"{named}, which is not on this machine, and {why}; where there is a network: `{command}`",
            hint="or hub.offline: false" if hub.offline else "then hub.offline: true needs no network at all",
        ) from error
    except HeliostatError as error:
        raise StartFailed(f"{model} cannot be loaded: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise StartFailed(f"{named}, and it cannot be stored: {error}", hint=f"by hand: {command}") from error
