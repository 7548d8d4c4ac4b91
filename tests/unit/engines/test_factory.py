import subprocess
import sys
from pathlib import Path

import pytest

from cluster.engines.factory import chat_engine, embedding_engine
from cluster.engines.hashing import HashEmbedder
from cluster.engines.scripted import ScriptedEngine
from cluster.engines.source import project_root, resolve_source
from cluster.errors import StartFailed
from cluster.settings.models import HubSettings, ModelSettings
from cluster.settings.tree import Settings


def settings(**model: object) -> tuple[ModelSettings, Settings]:
    tree = Settings.model_validate({"models": [{"id": "m", **model}]})
    return tree.models[0], tree


def test_settings_name_the_engine() -> None:
    engine = chat_engine(*settings(engine={"kind": "scripted"}, context_length=77))
    assert isinstance(engine, ScriptedEngine)
    assert engine.capabilities.context_length == 77
    assert isinstance(embedding_engine(*settings(engine={"kind": "hash"})), HashEmbedder)


def test_an_engine_of_the_other_task_is_refused() -> None:
    with pytest.raises(StartFailed, match="does not chat"):
        chat_engine(*settings(engine={"kind": "hash"}))
    with pytest.raises(StartFailed, match="does not embed"):
        embedding_engine(*settings(engine={"kind": "scripted"}))


@pytest.mark.parametrize(
    "source", ["models/no-such-model", "./nowhere", "/no/such/folder", "~/no-such-folder-here"]
)
def test_a_folder_that_does_not_exist_is_named(source: str) -> None:
    with pytest.raises(StartFailed) as caught:
        chat_engine(*settings(engine={"kind": "vllm", "source": source}))
    assert source in caught.value.message


def test_a_relative_folder_is_one_of_the_project_from_wherever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_source("cluster/engines", HubSettings()) == str(project_root() / "cluster" / "engines")


def test_a_relative_folder_may_be_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve_source("mine/model", HubSettings()) == str(tmp_path / "mine" / "model")


def test_a_model_kept_under_the_hub_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    hub = HubSettings(model_path=str(tmp_path))
    assert resolve_source("owner/name", hub) == str(tmp_path / "owner" / "name")


@pytest.mark.parametrize("source", ["gpt2", "HuggingFaceTB/SmolLM2-135M-Instruct"])
def test_a_hub_id_stays_as_it_is(source: str) -> None:
    assert resolve_source(source, HubSettings()) == source


def test_building_any_engine_loads_nothing_heavy() -> None:
    program = """
import sys
from cluster.engines.factory import chat_engine, embedding_engine
from cluster.settings.tree import Settings
tree = Settings.model_validate({"models": [
    {"id": "a", "engine": {"kind": "vllm", "source": "owner/name"}},
    {"id": "b", "engine": {"kind": "sentence"}},
    {"id": "c", "engine": {"kind": "llama_cpp", "source": "owner/name", "file": "x.gguf"}},
]})
chat_engine(tree.models[0], tree), embedding_engine(tree.models[1], tree), chat_engine(tree.models[2], tree)
heavy = ("ray", "torch", "vllm", "transformers", "sentence_transformers", "xllamacpp")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=project_root(), check=True
    )
    assert done.stdout.strip() == "[]"
