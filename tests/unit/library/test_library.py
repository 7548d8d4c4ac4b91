"""The list of all models, and being rid of one."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import catalog
from cluster.errors import (
    BadRequest,
    BrokenModel,
    InvalidModelName,
    ModelInUse,
    ModelNotFound,
    RegistryAway,
    RevisionNotFound,
)
from cluster.library import removal
from cluster.library.entry import ModelEntry
from cluster.library.hub import HubRegistry
from cluster.library.library import Library
from cluster.library.manifest import Order
from cluster.library.pulling import pull
from cluster.settings.models import HubSettings, ModelSettings
from tests.unit.library import models
from tests.unit.library.conftest import NO_WAIT, ROOM
from tests.unit.library.hub_server import FakeHub

Make = Callable[..., Library]


@pytest.fixture
def library(tmp_path: Path) -> Make:
    def make(**hub: object) -> Library:
        settings = HubSettings(**{"model_path": str(tmp_path / "cache"), **hub})  # type: ignore[arg-type]
        return Library(settings, patience=NO_WAIT, machine=ROOM)

    return make


def gguf(path: Path) -> Path:
    """A header with a name and a context, and no tensors."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def entry(key: str, value: str | int) -> bytes:
        kind, data = (8, text(value)) if isinstance(value, str) else (4, struct.pack("<I", value))
        return text(key) + struct.pack("<I", kind) + data

    entries = [
        entry("general.architecture", "llama"),
        entry("general.name", "Tiny"),
        entry("llama.context_length", 128),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries))
    return path


def listed(library: Library) -> dict[str, ModelEntry]:
    return {entry.id: entry for entry in library.entries()}


def test_the_catalog_is_listed_with_what_is_here(library: Make) -> None:
    found = listed(library())
    assert [*found] == [*catalog.models()]
    assert (found["spark-chat"].on_disk, found["spark-chat"].origin) == (True, "built in")
    assert (found["moondream2"].on_disk, found["moondream2"].revision) == (False, "2025-06-21")
    assert {"moondream", "vikhyatk/moondream2"} <= set(found["moondream2"].aliases)
    assert {entry.task for entry in found.values()} == {"chat", "vision", "embedding", "rerank"}


def test_what_was_pulled_is_listed(hub: FakeHub, library: Make) -> None:
    *_, last = library().pull("owner/model")
    entry = listed(library())["owner/model"]
    assert (entry.on_disk, entry.origin, entry.revision) == (True, "hub cache", hub.commit("owner/model"))
    assert (entry.task, entry.context_length, entry.kind, entry.folder) == ("chat", 512, "vllm", last.folder)
    assert entry.generation == {"temperature": 0.5, "top_p": 0.9}
    settings = ModelSettings.model_validate(entry.config_line)
    assert settings.task == "chat" or settings.task is None


def test_an_entry_of_a_catalog_knows_its_pull(hub: FakeHub, library: Make) -> None:
    hub.repositories["HuggingFaceTB/SmolLM2-135M-Instruct"] = models.files()
    *_, last = library().pull("smollm2")
    entry = library().entry("SmolLM2")
    assert (entry.id, entry.on_disk, entry.folder) == ("smollm2-135m-instruct", True, last.folder)
    assert next(one.said_by for one in entry.figures if one.name == "revision").startswith(
        "pulled from the Hub as main"
    )
    assert [one for one in listed(library()) if "SmolLM2-135M" in one] == []


def test_an_entrys_own_code_and_what_it_reads_beside_come_along(
    hub: FakeHub, library: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "own"))
    hub.repositories["vikhyatk/moondream2"] = {**models.files(), "moondream.py": b"code"}
    hub.repositories["moondream/starmie-v1"] = {"tokenizer.json": b"{}"}
    with pytest.raises(RevisionNotFound):
        list(library().pull("moondream2"))
    commit = hub.commit("vikhyatk/moondream2")
    said = list(library().pull(f"moondream2@{commit}"))
    assert [one.status for one in said].count("done") == 1
    assert (Path(str(said[-1].folder)) / "moondream.py").is_file()
    assert list((tmp_path / "own").rglob("tokenizer.json"))


def test_an_unfinished_pull_shows_what_arrived_and_is_not_listed_as_here(hub: FakeHub, library: Make) -> None:
    hub.repositories["HuggingFaceTB/SmolLM2-135M-Instruct"] = models.files(weights=512 * 1024)
    hub.faults.die_at = 300_000
    with pytest.raises(RegistryAway):
        list(library().pull("smollm2"))
    entry = library().entry("smollm2")
    assert (entry.on_disk, entry.partial) == (False, 300_000)
    planned = removal.plan(library(), "smollm2", ())
    assert planned.freed >= 300_000
    removal.remove(library(), planned)
    assert library().entry("smollm2").partial == 0


def test_folders_and_gguf_files_are_found(library: Make, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    models.write(root / "owner" / "good", models.files())
    models.write(root / "broken", {"config.json": b"{}", "model.safetensors": b"no"})
    models.write(root / "empty", {"config.json": b"{}"})
    models.write(root / "too" / "deep" / "by-one", models.files())
    gguf(root / "Tiny-Q4.gguf")
    gguf(root / "big-00002-of-00003.gguf")
    models.write(root, {"cut.gguf": b"GGUF", "mmproj-x.gguf": b"GGUF"})
    found = {
        name: one for name, one in listed(library(folders=(str(root),))).items() if one.origin in {"folder", "file"}
    }
    assert set(found) == {"owner/good", "broken", "empty", "Tiny-Q4", "cut"}
    assert found["owner/good"].problem is None
    assert "no whole safetensors file" in str(found["broken"].problem)
    assert "holds no weights" in str(found["empty"].problem)
    assert "cannot be read as GGUF" in str(found["cut"].problem)
    assert not found["broken"].on_disk
    tiny = found["Tiny-Q4"]
    assert (tiny.kind, tiny.context_length, tiny.task) == ("llama_cpp", 128, "chat")
    assert ModelSettings.model_validate(tiny.config_line).engine.kind == "llama_cpp"


def test_a_folder_with_a_link_that_leaves_it_is_not_loaded(library: Make, tmp_path: Path) -> None:
    outside = models.write(tmp_path / "secret", models.files())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "linked").symlink_to(outside)
    models.write(tmp_path / "mine" / "half", {"config.json": b"{}"})
    (tmp_path / "mine" / "half" / "model.safetensors").symlink_to(outside / "model.safetensors")
    found = listed(library(folders=(str(tmp_path / "mine"),)))
    assert "is a link that leaves" in str(found["linked"].problem)
    assert "is a link that leaves" in str(found["half"].problem)


def test_an_own_catalog_is_listed_too(library: Make, tmp_path: Path) -> None:
    from tests.unit.settings.test_own_catalog import write

    place = tmp_path / "weights"
    own = library(catalog=str(write(tmp_path, engine={"kind": "vllm", "source": str(place)})))
    entry = own.entry("mine")
    assert (entry.id, entry.on_disk) == ("my-qwen", False)
    assert "holds no weights" in str(entry.problem)
    with pytest.raises(BrokenModel, match="holds no weights"):
        list(own.pull("mine"))
    models.write(place, models.files())
    entry = own.entry("mine")
    assert (entry.on_disk, entry.problem, entry.folder) == (True, None, str(place))
    assert any(figure.said_by.endswith("own.yaml") for figure in entry.figures)
    assert [one.note for one in own.pull("mine")] == ["its files are yours"]
    with pytest.raises(BadRequest, match="is yours"):
        removal.plan(own, "mine", ())


def test_an_unknown_name_is_an_error_with_those_that_are_near(hub: FakeHub, library: Make) -> None:
    with pytest.raises(ModelNotFound, match="no model is called smolm2") as caught:
        library().entry("smolm2")
    assert "smollm2" in str(caught.value.hint)
    assert caught.value.legacy == "HF_MODEL_NOT_FOUND"
    with pytest.raises(ModelNotFound, match="does not exist or is private") as caught:
        list(library().pull("HuggingFaceTB/SmolLM2-135M-Instuct"))
    assert "did you mean HuggingFaceTB/SmolLM2-135M-Instruct" in str(caught.value.hint)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../b", "a//b", "", "a/b/c", "x@../y", "a\nb", "-x", "x" * 200]
)
def test_what_leads_out_of_a_folder_is_no_name(library: Make, name: str) -> None:
    with pytest.raises(InvalidModelName):
        list(library().pull(name))


def test_what_comes_with_heliostat_is_not_pulled(library: Make) -> None:
    [only] = library().pull("spark-chat")
    assert (only.status, only.note) == ("done", "it comes with Heliostat")
    with pytest.raises(InvalidModelName):
        list(library().pull("spark-chat@v2"))
    with pytest.raises(BadRequest, match="comes with Heliostat"):
        removal.plan(library(), "spark-chat", ())


def test_offline_a_pull_says_so(library: Make, tmp_path: Path) -> None:
    with pytest.raises(RegistryAway, match=r"hub\.offline is set"):
        list(library(offline=True).pull("owner/model"))
    models.write(tmp_path / "registry" / "owner" / "model", models.files())
    *_, last = library(offline=True, registry=str(tmp_path / "registry")).pull("owner/model")
    assert last.status == "done"


def test_removing_a_model_frees_what_it_says(hub: FakeHub, library: Make) -> None:
    list(library().pull("owner/model"))
    list(library().pull("owner/large"))
    root = library().shelf.root
    before = sum(file.stat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())
    planned = removal.plan(library(), "owner/large", ())
    removal.remove(library(), planned)
    after = sum(file.stat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())
    assert planned.freed == sum(len(data) for data in models.files(weights=512 * 1024).values())
    assert planned.freed <= before - after <= planned.freed + 4096
    assert "owner/large" not in listed(library())
    assert "owner/model" in listed(library())
    with pytest.raises(ModelNotFound):
        removal.plan(library(), "owner/large", ())


def test_one_revision_of_two_may_go(hub: FakeHub, library: Make) -> None:
    list(library().pull("owner/model"))
    first = hub.commit("owner/model")
    hub.repositories["owner/model"]["tokenizer.json"] = b'{"version": "2.0"}'
    list(library().pull("owner/model"))
    planned = removal.plan(library(), f"owner/model@{first}", ())
    assert planned.freed == len(b'{"version": "1.0"}')
    removal.remove(library(), planned)
    assert listed(library())["owner/model"].revision == hub.commit("owner/model")


@pytest.mark.parametrize("serving", ["owner/model", "OWNER/MODEL".casefold()])
def test_a_model_that_is_loaded_is_not_removed(hub: FakeHub, library: Make, serving: str) -> None:
    list(library().pull("owner/model"))
    with pytest.raises(ModelInUse, match="is loaded in the running cluster"):
        removal.plan(library(), "owner/model", {serving})


def test_a_model_that_is_being_pulled_is_not_removed(hub: FakeHub, library: Make) -> None:
    list(library().pull("owner/large"))
    planned = removal.plan(library(), "owner/large", ())
    hub.repositories["owner/large"]["tokenizer.json"] = b"new"
    stream = pull(
        library().wanted("owner/large").orders[0], HubRegistry(), library().shelf, patience=NO_WAIT, machine=ROOM
    )
    for _ in range(3):
        next(stream)
    with pytest.raises(ModelInUse, match="is being pulled"):
        removal.remove(library(), planned)
    stream.close()


def test_a_folder_of_somebodys_own_is_left_alone(library: Make, tmp_path: Path) -> None:
    models.write(tmp_path / "mine" / "good", models.files())
    with pytest.raises(BadRequest, match="is left alone"):
        removal.plan(library(folders=(str(tmp_path / "mine"),)), "good", ())
    assert (tmp_path / "mine" / "good" / "config.json").is_file()


def test_a_gguf_file_of_the_cache_goes_with_its_repository(hub: FakeHub, library: Make, tmp_path: Path) -> None:
    hub.repositories["owner/tiny"] = {"Tiny-Q4.gguf": gguf(tmp_path / "x.gguf").read_bytes()}
    hub_order = Order(name="owner/tiny", only=("Tiny-Q4.gguf",))
    library().order(hub_order)
    entry = library().entry("tiny-q4")
    assert (entry.engine["source"], entry.engine["file"]) == ("owner/tiny", "Tiny-Q4.gguf")
    with pytest.raises(BadRequest, match="is a file of owner/tiny"):
        removal.plan(library(), "Tiny-Q4", ())
    removal.remove(library(), removal.plan(library(), "owner/tiny", ()))
    assert "Tiny-Q4" not in listed(library())


def test_a_model_that_no_engine_runs_says_so(library: Make, tmp_path: Path) -> None:
    config = {"architectures": ["XLMRobertaForSequenceClassification"], "id2label": {"0": "x"}}
    models.write(tmp_path / "mine" / "ranker", models.files(config=config))
    entry = library(folders=(str(tmp_path / "mine"),)).entry("ranker")
    assert (entry.task, entry.kind, entry.problem) == ("rerank", "cross_encoder", None)
    assert not entry.loadable


def test_pickled_weights_that_are_found_are_not_trusted(library: Make, tmp_path: Path) -> None:
    models.write(tmp_path / "mine" / "old", {"config.json": b"{}", "pytorch_model.bin": b"pickled"})
    entry = library(folders=(str(tmp_path / "mine"),)).entry("old")
    assert "pickled" in str(entry.problem)
    assert "allow_pickle" not in entry.engine


def test_a_cache_folder_that_is_a_link_is_left_alone(hub: FakeHub, library: Make, tmp_path: Path) -> None:
    list(library().pull("owner/model"))
    planned = removal.plan(library(), "owner/model", ())
    repository = library().shelf.repository("owner/model")
    repository.rename(tmp_path / "elsewhere")
    repository.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadRequest, match="leaves"):
        removal.remove(library(), planned)
    assert list((tmp_path / "elsewhere" / "blobs").iterdir())
