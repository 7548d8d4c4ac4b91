"""All models that this machine has or could have: one list, one way to get one, one way to be rid of one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cluster import catalog
from cluster.catalog import GIB, CatalogModel
from cluster.errors import BrokenModel, HeliostatError, InvalidModelName, ModelNotFound, RegistryAway
from cluster.library import discovery
from cluster.library.cached import held, partial_bytes
from cluster.library.described import described, orders_of
from cluster.library.entry import ModelEntry
from cluster.library.folder import FolderRegistry
from cluster.library.hub import HubRegistry
from cluster.library.manifest import Order, PullProgress, Registry
from cluster.library.pulling import Machine, Patience, Pulling, pull
from cluster.library.reference import Reference, check_name, parse
from cluster.library.shelf import Shelf
from cluster.settings.models import HubSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a name means: an entry of the catalog, or a name on the Hub; and what a pull of it takes."""

    reference: Reference
    entry: CatalogModel | None
    orders: tuple[Order, ...]


class Library:
    """What hub settings say about models. patience, machine: for tests."""

    def __init__(
        self, hub: HubSettings, *, patience: Patience | None = None, machine: Machine | None = None
    ) -> None:
        self._hub = hub
        self._patience = patience or Patience()
        self._machine = machine or Machine(keep_free=int(hub.keep_free_gib * GIB))
        self.shelf = Shelf(hub_cache(hub))

    @cached_property
    def own(self) -> Mapping[str, CatalogModel]:
        """The entries of hub.catalog. Raises SettingsError."""
        return catalog.read(Path(self._hub.catalog).expanduser()) if self._hub.catalog else {}

    @property
    def registry(self) -> FolderRegistry | None:
        """The folder of hub.registry."""
        return FolderRegistry(Path(self._hub.registry).expanduser()) if self._hub.registry else None

    def entries(self) -> tuple[ModelEntry, ...]:
        """All models: the catalog in its order, then what is found on disk and in no catalog, by name."""
        known = [self._listed(entry) for entry in (*catalog.models().values(), *self.own.values())]
        described_names = {name.casefold() for entry in known for name in entry.names}
        seen = {entry.folder for entry in known if entry.folder}
        others: dict[str, ModelEntry] = {}
        for entry in self._found():
            if entry.id.casefold() not in described_names and entry.folder not in seen:
                others.setdefault(entry.id, entry)
        return (*known, *(others[name] for name in sorted(others, key=str.casefold)))

    def entry(self, name: str) -> ModelEntry:
        """The model of that id or alias. Raises InvalidModelName, and ModelNotFound with the nearest names."""
        check_name(name)
        known = catalog.find(name, self.own)
        if known is not None:
            return self._listed(known)
        entries = self.entries()
        for entry in entries:
            if name.casefold() in {one.casefold() for one in entry.names}:
                return entry
        raise self.unknown(name, entries)

    def unknown(self, name: str, entries: tuple[ModelEntry, ...] | None = None) -> ModelNotFound:
        """The error for a name that nothing has."""
        names = [one for entry in (entries or self.entries()) for one in entry.names]
        near = catalog.nearest(name, names)
        meant = f"did you mean {', '.join(near)}?" if near else "`heliostat models list` shows them all"
        return ModelNotFound(f"no model is called {name}", hint=meant, param="model")

    def wanted(self, text: str) -> Wanted:
        """What `NAME[@REVISION]` means. Raises InvalidModelName."""
        reference = parse(text)
        entry = catalog.find(reference.name, self.own)
        if entry is None:
            orders: tuple[Order, ...] = (Order(name=reference.name, revision=reference.revision),)
        else:
            orders = orders_of(entry, reference.revision)
        return Wanted(reference=reference, entry=entry, orders=orders)

    def pull(self, text: str) -> Pulling:
        """Get a model; see `pulling.pull`. A model that needs no download is done at once.

        Raises ModelNotFound with the nearest names, and InvalidModelName for a revision of what has none.
        """
        wanted = self.wanted(text)
        if not wanted.orders:
            assert wanted.entry is not None
            entry = self._listed(wanted.entry)
            if wanted.reference.revision:
                raise InvalidModelName(f"{entry.id} is from no registry, so it has no other revisions")
            if entry.problem:
                raise BrokenModel(entry.problem)
            note = "it comes with Heliostat" if wanted.entry.built_in else "its files are yours"
            yield PullProgress(status="done", model=entry.id, note=note, folder=entry.folder)
            return
        first, *beside = wanted.orders
        for order in beside:  # before the model, so that its last report is the last of all
            yield from (one for one in self._pull(order, Shelf(hub_cache(None))) if one.status != "done")
        try:
            yield from self._pull(first, self.shelf)
        except ModelNotFound as error:
            if wanted.entry is not None or type(error) is not ModelNotFound:
                raise
            near = catalog.nearest(first.name, [one for entry in self.entries() for one in entry.names])
            meant = f"did you mean {', '.join(near)}? " if near else ""
            raise ModelNotFound(error.message, hint=f"{meant}{error.hint or ''}".strip(), param="model") from error

    def order(self, order: Order, *, beside: bool = False) -> str:
        """The folder of what is ordered, from the disk where it is there whole, else pulled; blocks.

        beside: into the Hub's own cache. Raises what a pull raises.
        """
        shelf = Shelf(hub_cache(None)) if beside else self.shelf
        here = held(shelf, order)
        if here is not None and (here.record is not None or self._hub.offline):
            return str(here.folder)
        try:
            reports = list(self._pull(order, shelf))
        except RegistryAway:
            if here is None:
                raise
            return str(here.folder)  # what another tool fetched, and looks whole, is better than no start
        return str(reports[-1].folder)

    def _pull(self, order: Order, shelf: Shelf) -> Pulling:
        return pull(order, self._registry_for(order.name), shelf, patience=self._patience, machine=self._machine)

    def _registry_for(self, name: str) -> Registry:
        folder = self.registry
        if folder is not None and folder.has(name):
            return folder
        if self._hub.offline:
            looked = f" and {self._hub.registry} has no such folder" if folder else ""
            raise RegistryAway(f"{name} is not on this machine, hub.offline is set{looked}")
        return HubRegistry()

    def _found(self) -> Iterator[ModelEntry]:
        yield from discovery.in_cache(self.shelf)
        for folder in self._hub.folders:
            yield from discovery.in_folder(Path(folder).expanduser().absolute())

    def _listed(self, entry: CatalogModel) -> ModelEntry:
        own = f"{self._hub.catalog}" if entry.id in self.own else "cluster/models.yaml"
        said = described(entry, own)
        if entry.own_path is not None:
            return discovery.of_own(said, entry.own_path)
        if entry.built_in:
            return said
        order = orders_of(entry, None)[0]
        try:
            here = held(self.shelf, order)
        except HeliostatError as error:
            return replace(said, problem=error.message)
        if here is None:
            return replace(said, partial=partial_bytes(self.shelf, order.name))
        return described(entry, own, here)


def hub_cache(hub: HubSettings | None) -> Path:
    """Where models of the Hub are kept: hub.model_path, or the Hub's own cache."""
    from huggingface_hub import constants

    place = hub.model_path if hub is not None and hub.model_path else constants.HF_HUB_CACHE
    return Path(place).expanduser().absolute()
