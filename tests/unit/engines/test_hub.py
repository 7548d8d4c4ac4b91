"""Downloads, from a Hub that this process serves: the real client, and no network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.config import resolve
from cluster.engines.factory import chat_engine, embedding_engine
from cluster.engines.hub import fetch, fetch_beside, fetch_file
from cluster.errors import StartFailed
from cluster.settings.models import HubSettings
from tests.unit.library import models
from tests.unit.library.hub_server import FakeHub, point_at, serving

FILES = {**models.files(), "pytorch_model.bin": b"the same once more", "onnx/model.onnx": b"the same again"}
REPOSITORIES = {
    "owner/model": FILES,
    "owner/pickled": {"config.json": b"{}", "pytorch_model.bin": b"weights"},
    "owner/tokenizer": {"tokenizer.json": b"{}"},
    "owner/gguf": {f"big-0000{part}-of-00002.gguf": b"GGUF" for part in (1, 2)} | {"small.gguf": b"GGUF"},
}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(REPOSITORIES) as hub:
        point_at(hub.address, monkeypatch)
        yield hub


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at("http://127.0.0.1:1", monkeypatch)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    models.write(tmp_path, models.files())
    assert fetch("m", str(tmp_path), HubSettings(offline=True)) == str(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [({"config.json": b"{}"}, "holds no weights"), ({"model.safetensors": b"no"}, "no whole safetensors file")],
)
def test_a_folder_without_whole_weights_is_no_model(tmp_path: Path, content: dict[str, bytes], says: str) -> None:
    with pytest.raises(StartFailed, match=f"m cannot be loaded: .*{says}"):
        fetch("m", str(models.write(tmp_path, content)), HubSettings(offline=True))


def names(folder: str) -> set[str]:
    return {str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file()}


def test_weights_come_once_and_what_no_engine_reads_does_not(served: FakeHub, tmp_path: Path) -> None:
    folder = fetch("m", "owner/model", HubSettings(model_path=str(tmp_path)))
    assert names(folder) == set(models.files())
    assert Path(folder).is_relative_to(tmp_path)


def test_pickled_weights_come_where_they_may_and_are_refused_elsewhere(served: FakeHub, tmp_path: Path) -> None:
    hub = HubSettings(model_path=str(tmp_path))
    with pytest.raises(StartFailed, match="has pickled weights only") as caught:
        fetch("m", "owner/pickled", hub)
    assert "allow_pickle: true" in caught.value.line()
    folder = fetch("m", "owner/pickled", hub, allow_pickle=True)
    assert names(folder) == {"config.json", "pytorch_model.bin"}


def test_what_another_tool_fetched_is_used_where_there_is_no_network(
    served: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import snapshot_download

    folder = snapshot_download("owner/model", cache_dir=tmp_path, allow_patterns=list(models.files()))
    point_at("http://127.0.0.1:1", monkeypatch)
    assert fetch("m", "owner/model", HubSettings(model_path=str(tmp_path))) == folder
    assert fetch("m", "owner/model", HubSettings(model_path=str(tmp_path), offline=True)) == folder
    (Path(folder) / "model.safetensors").unlink()
    assert "hub.offline is set" in failure("owner/model", HubSettings(model_path=str(tmp_path), offline=True))


def test_what_a_pull_fetched_is_found_by_other_tools(served: FakeHub, tmp_path: Path) -> None:
    from huggingface_hub import scan_cache_dir, snapshot_download

    folder = fetch("m", "owner/model", HubSettings(model_path=str(tmp_path)))
    assert snapshot_download("owner/model", cache_dir=tmp_path, local_files_only=True) == folder
    [repository] = scan_cache_dir(tmp_path).repos
    [revision] = repository.revisions
    assert (repository.repo_id, set(revision.refs)) == ("owner/model", {"main"})


def test_a_folder_of_models_is_asked_before_the_hub(unreachable: None, tmp_path: Path) -> None:
    models.write(tmp_path / "registry" / "owner" / "model", models.files())
    hub = HubSettings(model_path=str(tmp_path / "cache"), registry=str(tmp_path / "registry"), offline=True)
    folder = fetch("m", "owner/model", hub)
    assert names(folder) == set(models.files())
    assert "no such folder" in failure_of(hub)


def failure_of(hub: HubSettings) -> str:
    with pytest.raises(StartFailed) as caught:
        fetch("m", "owner/other", hub)
    return str(caught.value.__cause__)


def test_what_a_models_code_reads_beside_it_goes_into_the_hubs_own_cache(
    served: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "own"))
    fetch_beside("m", ("owner/tokenizer",), HubSettings(model_path=str(tmp_path / "models")))
    assert list((tmp_path / "own").rglob("tokenizer.json"))
    assert not (tmp_path / "models").exists()


def test_one_file_comes_with_those_it_is_cut_into(served: FakeHub, tmp_path: Path) -> None:
    hub = HubSettings(model_path=str(tmp_path))
    file = fetch_file("m", "owner/gguf", "big-00001-of-00002.gguf", hub)
    assert names(str(file.parent)) == {"big-00001-of-00002.gguf", "big-00002-of-00002.gguf"}
    with pytest.raises(StartFailed, match=r"no file other\.gguf"):
        fetch_file("m", "owner/gguf", "other.gguf", hub)


def test_what_was_downloaded_needs_no_network_again(
    served: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch("m", "owner/model", HubSettings(model_path=str(tmp_path)))
    point_at("http://127.0.0.1:1", monkeypatch)
    assert fetch("m", "owner/model", HubSettings(model_path=str(tmp_path))) == folder
    assert fetch("m", "owner/model", HubSettings(model_path=str(tmp_path), offline=True)) == folder


def failure(source: str, hub: HubSettings, revision: str | None = None) -> str:
    with pytest.raises(StartFailed) as caught:
        fetch("my-model", source, hub, revision)
    line = caught.value.line()
    assert "\n" not in line
    assert "my-model" in line
    assert source in line
    return line


def test_without_a_network_the_error_says_what_to_download(unreachable: None, tmp_path: Path) -> None:
    line = failure("owner/model", HubSettings(model_path=str(tmp_path)), "v2")
    assert "cannot be reached" in line
    assert f"hf download owner/model --revision v2 --cache-dir {tmp_path}" in line
    assert "hub.offline: true" in line


def test_offline_the_error_says_so(tmp_path: Path) -> None:
    line = failure("owner/model", HubSettings(model_path=str(tmp_path), offline=True))
    assert "hub.offline is set" in line
    assert "hf download owner/model" in line
    assert "hub.offline: false" in line


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
async def test_an_engine_whose_model_cannot_come_does_not_start_and_says_so(
    unreachable: None, tmp_path: Path, kind: str
) -> None:
    engine = {"kind": kind, "source": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    settings = resolve({"hub": {"model_path": str(tmp_path)}, "models": [{"id": "my-model", "engine": engine}]}, {})
    with pytest.raises(StartFailed, match="my-model is HuggingFaceTB/SmolLM2-135M-Instruct on the") as caught:
        await chat_engine(settings.models[0], settings).start()
    assert "hf download HuggingFaceTB/SmolLM2-135M-Instruct" in caught.value.line()


def test_an_embedder_that_cannot_come_does_not_start_and_says_so(unreachable: None, tmp_path: Path) -> None:
    engine = {"kind": "sentence", "source": "owner/embedder"}
    settings = resolve({"hub": {"model_path": str(tmp_path)}, "models": [{"id": "mine", "engine": engine}]}, {})
    with pytest.raises(StartFailed, match="is owner/embedder on the Hugging Face Hub"):
        embedding_engine(settings.models[0], settings).start()


@pytest.mark.parametrize(
    ("source", "revision", "says"),
    [
        ("owner/nothing", None, "does not exist or is private"),
        ("owner/model", "v9", "no revision v9"),
        ("owner/gated", None, "hf auth login"),
        ("a/b/c", None, "owner/name"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_line(
    served: FakeHub, tmp_path: Path, source: str, revision: str | None, says: str
) -> None:
    assert says in failure(source, HubSettings(model_path=str(tmp_path)), revision)
