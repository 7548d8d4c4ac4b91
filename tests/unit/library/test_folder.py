"""A folder of models as a registry."""

import hashlib
from pathlib import Path

import pytest

from cluster.errors import BrokenModel, HashMismatch, InvalidModelName, ModelNotFound, RevisionNotFound
from cluster.library.folder import FolderRegistry
from cluster.library.manifest import Order
from cluster.library.pulling import pull
from cluster.library.shelf import Shelf
from tests.unit.library import models
from tests.unit.library.conftest import NO_WAIT, ROOM


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    models.write(tmp_path / "registry" / "owner" / "model", models.files())
    models.write(tmp_path / "registry" / "single", models.files(weights=8192))
    return FolderRegistry(tmp_path / "registry")


def pulled(order: Order, registry: FolderRegistry, shelf: Shelf) -> Path:
    *_, last = pull(order, registry, shelf, patience=NO_WAIT, machine=ROOM)
    assert last.folder is not None
    return Path(last.folder)


@pytest.mark.parametrize("name", ["owner/model", "single"])
def test_a_model_is_copied_whole(registry: FolderRegistry, shelf: Shelf, tmp_path: Path, name: str) -> None:
    folder = pulled(Order(name=name), registry, shelf)
    for file in (tmp_path / "registry" / name).iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert registry.names() == ["owner/model", "single"]


def test_its_revision_is_the_hash_of_its_content(registry: FolderRegistry, shelf: Shelf, tmp_path: Path) -> None:
    first = registry.manifest("single", None).commit
    assert registry.manifest("single", first).commit == first
    (tmp_path / "registry" / "single" / "tokenizer.json").write_text("{}")
    assert registry.manifest("single", None).commit != first
    with pytest.raises(RevisionNotFound):
        registry.manifest("single", first)


def test_its_own_sums_are_what_is_compared(registry: FolderRegistry, shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "registry" / "single"
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in folder.iterdir())
    (folder / "SHA256SUMS").write_text(sums)
    assert pulled(Order(name="single"), registry, shelf).is_dir()
    damaged = bytearray((folder / "model.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "model.safetensors").write_bytes(damaged)
    with pytest.raises(HashMismatch):
        pulled(Order(name="single"), registry, Shelf(tmp_path / "other"))


@pytest.mark.parametrize(
    ("text", "says"), [("what is this", "no hash"), (f"{'0' * 64}  gone.json", "is not there")]
)
def test_sums_that_make_no_sense_are_said(registry: FolderRegistry, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "registry" / "single" / "SHA256SUMS").write_text(text)
    with pytest.raises(BrokenModel, match=says):
        registry.manifest("single", None)


def test_a_name_that_leads_out_is_no_name(registry: FolderRegistry, tmp_path: Path) -> None:
    models.write(tmp_path / "secret", models.files())
    for name in ("../secret", "/etc", "owner/../../secret", "owner/../single", ".", ""):
        with pytest.raises(InvalidModelName):
            registry.manifest(name, None)


def test_links_that_lead_out_are_refused(registry: FolderRegistry, tmp_path: Path) -> None:
    outside = models.write(tmp_path / "secret", models.files())
    (tmp_path / "registry" / "linked").symlink_to(outside)
    (tmp_path / "registry" / "single" / "more.json").symlink_to(outside / "config.json")
    for name in ("linked", "single"):
        with pytest.raises(InvalidModelName, match="leaves"):
            registry.manifest(name, None)


def test_what_it_does_not_have_is_not_found(registry: FolderRegistry) -> None:
    assert not registry.has("owner/other")
    with pytest.raises(ModelNotFound):
        registry.manifest("owner/other", None)
