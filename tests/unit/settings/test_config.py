from pathlib import Path

import pytest
import yaml

from cluster.config import load_config, resolve
from cluster.errors import SettingsError

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
ECHO = {"models": [{"id": "echo", "engine": {"kind": "scripted"}}]}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_loads(path: Path) -> None:
    config = load_config(path, {})
    assert config.settings.chat_models
    assert config.settings.embedding_models
    assert config.application == "heliostat"


def test_the_configs_are_there() -> None:
    assert [path.stem for path in CONFIGS] == ["cluster", "demo", "gguf", "gpu-node", "laptop", "remote"]


def test_resolved_settings_survive_the_way_through_serves_args() -> None:
    settings = load_config(ROOT / "configs/cluster.yaml", {}).settings
    assert resolve(yaml.safe_load(yaml.safe_dump(settings.model_dump(mode="json"))), {}) == settings


def write(folder: Path, text: str) -> Path:
    path = folder / "bad.yaml"
    path.write_text(text)
    return path


def with_args(args: str) -> str:
    return f"applications: [{{name: h, import_path: 'deployments.app:build', args: {args}}}]"


BAD = {
    "unknown key": (with_args("{modles: []}"), "modles", "models"),
    "unknown key in an engine": (
        with_args("{models: [{id: a, engine: {kind: vllm, source: x, max_seqs: 3}}]}"),
        "models.0.engine.max_seqs",
        "max_num_seqs",
    ),
    "wrong type": (with_args("{models: [{id: a, engine: {kind: scripted, tokens: many}}]}"), "tokens", "many"),
    "unknown engine": (with_args("{models: [{id: a, engine: {kind: llama}}]}"), "models.0.engine", "scripted"),
    "missing key": (with_args("{models: [{id: a, engine: {kind: vllm}}]}"), "models.0.engine.source", "required"),
    "no models": (with_args("{}"), "models", "required"),
    "an id twice": (
        with_args("{models: [{id: a, engine: {kind: scripted}}, {id: a, engine: {kind: scripted}}]}"),
        "models",
        "twice",
    ),
    "overlap over size": (
        with_args(
            "{models: [{id: a, engine: {kind: scripted}}], documents: {chunk_tokens: 16, chunk_overlap: 16}}"
        ),
        "documents",
        "chunk_overlap",
    ),
    "no applications": ("http_options: {}", "applications", "list"),
    "none of ours": ("applications: [{import_path: 'a:b'}]", "applications", "deployments.app:build"),
    "not YAML": ("a: [", "not YAML", ""),
    "not a mapping": ("- 1", "not a mapping", ""),
}


@pytest.mark.parametrize(("text", "names", "helps"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_line_with_file_key_and_help(tmp_path: Path, text, names, helps) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_config(path, {})
    line = caught.value.line()
    assert "\n" not in line
    assert line.startswith(str(path))
    assert names in line
    assert helps in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load_config(tmp_path / "none.yaml", {})


def test_the_environment_wins_over_the_file() -> None:
    environ = {
        "HELIOSTAT__LIMITS__MAX_MESSAGES": "7",
        "HELIOSTAT__MODELS__0__REPLICAS__MAX": "3",
        "HELIOSTAT_HOME": "/data",
    }
    settings = resolve(ECHO, environ)
    assert settings.limits.max_messages == 7
    assert settings.models[0].replicas.max == 3
    assert settings.home == "/data"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HELIOSTAT__LIMITS__MAX_MESSAGES", "many"),
        ("HELIOSTAT__LIMITS__NOPE", "1"),
        ("HELIOSTAT__MODELS__5__ID", "x"),
        ("HELIOSTAT__HOME__DEEP", "x"),
        ("HF_MAX_CACHED_MODELS", "0"),
        ("HF_ENABLE_GPU", "perhaps"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve({**ECHO, "home": "/h"}, {name: value})
    assert name in caught.value.line()


def test_the_hugging_face_names_are_honoured() -> None:
    vllm = {"models": [{"id": "m", "engine": {"kind": "vllm", "source": "x"}}]}
    environ = {
        "HF_MODEL_PATH": "/models",
        "HF_MAX_CACHED_MODELS": "5",
        "HF_DEFAULT_TASK": "text-generation",
        "HF_ENABLE_GPU": "true",
        "HF_MODEL_TIMEOUT_MS": "30000",
        "HF_STREAM_CHUNK_SIZE": "20",
    }
    settings = resolve(vllm, environ)
    assert settings.hub.model_path == "/models"
    assert settings.hub.max_cached_models == 5
    assert settings.gpus_of(settings.models[0]) == 1
    assert settings.limits.generation_timeout_ms == 30000
    assert settings.streaming.max_events_per_chunk == 20
    embedding = resolve({"models": [*ECHO["models"], *vllm["models"]]}, {"HF_DEFAULT_TASK": "feature-extraction"})
    assert [model.id for model in embedding.embedding_models] == ["m"]


def test_more_chat_models_than_may_be_kept_are_refused() -> None:
    models = [{"id": f"m{n}", "engine": {"kind": "scripted"}} for n in range(3)]
    with pytest.raises(SettingsError, match="max_cached_models"):
        resolve({"models": models}, {"HF_MAX_CACHED_MODELS": "2"})
