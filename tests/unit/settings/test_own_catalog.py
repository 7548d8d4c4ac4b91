"""A catalog of somebody's own, beside the built-in one."""

import json
from pathlib import Path

import pytest
import yaml

from cluster import catalog
from cluster.config import hub_settings, resolve
from cluster.errors import SettingsError
from cluster.settings.engines import VllmSettings

ENTRY = {
    "id": "my-qwen",
    "aliases": ["mine"],
    "about": "fine-tuned",
    "engine": {"kind": "vllm", "source": "/models/my-qwen", "kv_cache_gib": 2},
    "replicas": {"cpus": 2},
    "context_length": 1024,
    "longest": 2048,
    "capabilities": ["chat"],
    "parameters": 1024**3,
    "bytes_per_parameter": 2,
    "licence": "ours",
}


def write(folder: Path, **changed: object) -> Path:
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump([{**ENTRY, **changed}]))
    return file


def test_its_models_are_lines_of_a_config(tmp_path: Path) -> None:
    settings = resolve({"hub": {"catalog": str(write(tmp_path))}, "models": [{"id": "my-qwen"}]}, {})
    [found] = settings.models
    assert isinstance(found.engine, VllmSettings)
    assert (found.engine.source, found.engine.kv_cache_gib) == ("/models/my-qwen", 2)
    assert (found.context_length, found.replicas.cpus, found.memory) == (1024, 2, 4.0)


def test_another_machine_needs_the_settings_only(tmp_path: Path) -> None:
    file = write(tmp_path)
    settings = resolve({"hub": {"catalog": str(file)}, "models": [{"id": "a", "catalog": "my-qwen"}]}, {})
    sent = json.loads(settings.model_dump_json())
    assert resolve(sent, {}) == settings
    file.unlink()
    assert resolve(sent, {}) == settings


def test_the_environment_may_name_it(tmp_path: Path) -> None:
    environ = {"HELIOSTAT__HUB__CATALOG": str(write(tmp_path)), "HF_MODEL_PATH": "/models"}
    assert resolve({"models": [{"id": "my-qwen"}]}, environ).models[0].context_length == 1024
    assert hub_settings(environ).model_path == "/models"


def test_its_names_and_those_of_the_built_in_are_found_together(tmp_path: Path) -> None:
    own = catalog.read(write(tmp_path))
    assert catalog.find("MINE", own) is own["my-qwen"]
    found = catalog.find("smollm2", own)
    assert found is not None
    assert found.id == "smollm2-135m-instruct"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"contxt_length": 3}, "my-qwen.contxt_length: unknown key"),
        ({"parameters": "many"}, "my-qwen.parameters: "),
        ({"capabilities": ["singing"]}, "my-qwen.capabilities.0: "),
        ({"id": "../x"}, "../x.id: "),
        ({"id": "spark-chat"}, "the name 'spark-chat' is taken"),
        ({"aliases": ["SmolLM2"]}, "the name 'SmolLM2' is taken by smollm2-135m-instruct"),
        ({"engine": {"kind": "lamma", "source": "x"}}, "my-qwen.engine.kind: 'lamma' is no engine"),
        ({"engine": {"kind": "vllm"}}, "my-qwen.engine.source: missing"),
        ({"engine": {"kind": "scripted"}}, "my-qwen.engine.source: missing"),
        ({"engine": {"kind": "vllm", "source": "x", "max_seqs": 3}}, "my-qwen.engine.max_seqs: "),
    ],
)
def test_what_is_wrong_in_it_is_said_with_file_and_key(
    tmp_path: Path, changed: dict[str, object], says: str
) -> None:
    file = write(tmp_path, **changed)
    with pytest.raises(SettingsError) as caught:
        catalog.read(file)
    assert says in caught.value.line()
    assert str(file) in caught.value.line()
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize("text", ["{", "id: x", "- 5", "- id: &a [*a]", "5"])
def test_a_file_that_is_no_catalog_is_an_error_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"own\.yaml"):
        catalog.read(tmp_path / "own.yaml")


def test_a_file_that_is_not_there_is_an_error_where_a_model_needs_it() -> None:
    with pytest.raises(SettingsError, match="no such file"):
        resolve({"hub": {"catalog": "/nowhere.yaml"}, "models": [{"id": "my-qwen"}]}, {})


def test_a_wrong_hub_setting_of_the_environment_is_said() -> None:
    with pytest.raises(SettingsError, match="HELIOSTAT__HUB__FOLDERZ: folderz: unknown key") as caught:
        hub_settings({"HELIOSTAT__HUB__FOLDERZ": "[x]"})
    assert "folders" in str(caught.value.hint)
