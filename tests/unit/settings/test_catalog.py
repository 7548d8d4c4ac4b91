import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cluster import catalog
from cluster.catalog import CatalogModel
from cluster.config import resolve
from cluster.engines.source import project_root
from cluster.errors import SettingsError
from cluster.settings.engines import ScriptedSettings, TransformersSettings, VllmSettings
from cluster.settings.models import ModelSettings

ENTRIES = list(catalog.models().values())
FOLDERS = [entry for entry in ENTRIES if entry.source.startswith("models/")]


def model(environ: dict[str, str] | None = None, **given: Any) -> ModelSettings:
    return resolve({"models": [given]}, environ or {}).models[0]


def named(entry: CatalogModel) -> str:
    return entry.id


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_the_id_alone_is_a_whole_model(entry: CatalogModel) -> None:
    settings = resolve({"models": [{"id": entry.id}]}, {})
    [found] = settings.models
    assert found.engine.kind == entry.kind
    assert settings.task_of(found) == entry.task
    assert found.context_length == entry.context_length <= entry.longest
    for key, value in entry.engine.items():
        assert json.loads(found.engine.model_dump_json(include={key}, exclude_none=True)) == {key: value}


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_what_an_id_stands_for_stays_that_on_the_way_through_serves_args(entry: CatalogModel) -> None:
    settings = resolve({"models": [{"id": entry.id}]}, {})
    assert resolve(settings.model_dump(mode="json"), {}) == settings


def test_what_a_config_says_beside_the_id_wins() -> None:
    found = model(
        id="smollm2-1.7b-instruct",
        context_length=1024,
        engine={"max_num_seqs": 3, "generation": {"temperature": 1}},
        replicas={"max": 2},
    )
    assert isinstance(found.engine, VllmSettings)
    assert (found.context_length, found.engine.max_num_seqs, found.engine.kv_cache_gib) == (1024, 3, 3)
    assert (found.engine.generation.temperature, found.engine.generation.top_p) == (1, 0.9)
    assert (found.replicas.max, found.replicas.cpus) == (2, 1)


def test_the_environment_wins_over_the_catalog_too() -> None:
    found = model({"HELIOSTAT__MODELS__0__ENGINE__KV_CACHE_GIB": "2"}, id="spark-chat")
    assert isinstance(found.engine, VllmSettings)
    assert found.engine.kv_cache_gib == 2


def test_null_takes_back_what_the_catalog_says() -> None:
    found = model(id="qwen2.5-0.5b-instruct", engine={"tool_call_parser": None})
    assert isinstance(found.engine, VllmSettings)
    assert found.engine.tool_call_parser is None


def test_a_model_may_have_another_name() -> None:
    found = model(id="assistant", catalog="qwen2.5-0.5b-instruct")
    assert found.id == "assistant"
    assert found.memory == model(id="qwen2.5-0.5b-instruct").memory


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("smollm2", "smollm2-135m-instruct"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m-instruct"),
        ("Moondream", "moondream2"),
        ("mistral", "mistral-7b-instruct"),
        ("LLaVA", "llava-1.5-7b"),
        ("phi-3.5-vision", "phi-3.5-vision-instruct"),
        ("smolvlm", "smolvlm-256m-instruct"),
        ("smolvlm2", "smolvlm2-256m-video-instruct"),
    ],
)
def test_an_alias_means_the_same_model_and_stays_what_clients_call_it(name: str, entry: str) -> None:
    found, meant = model(id=name), model(id=entry)
    assert found.id == name
    assert found.model_copy(update={"id": entry}) == meant
    assert found.memory == meant.memory


def test_no_two_models_share_a_name() -> None:
    names = [name.casefold() for entry in ENTRIES for name in entry.names]
    assert len(names) == len(set(names))


def test_another_engine_runs_the_same_model() -> None:
    found = model(id="smollm2-135m-instruct", engine={"kind": "transformers"})
    assert isinstance(found.engine, TransformersSettings)
    assert found.engine.source == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert found.engine.generation.temperature == 0.2


def test_a_fake_of_the_same_name_is_a_fake_and_nothing_else() -> None:
    found = model(id="spark-chat", engine={"kind": "scripted"})
    assert found.engine == ScriptedSettings()
    assert (found.context_length, found.memory, found.replicas.max_ongoing) == (None, None, 64)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"id": "SmolLM2-135M-Instrct"}, "did you mean smollm2-135m-instruct?"),
        ({"id": "HuggingFaceTB/SmolVLM-256M-Instuct"}, "did you mean smolvlm-256m-instruct?"),
        ({"id": "assistant", "catalog": "moondream3"}, "did you mean moondream2?"),
        ({"id": "zzz"}, "it has spark-chat, "),
        ({"id": "zzz"}, "needs an engine"),
        ({}, "models.0.id"),
        ({"id": 5}, "models.0.id"),
        ({"id": "spark-chat", "catalog": 5}, "models.0.catalog"),
        ({"id": "spark-chat", "engine": {"max_seqs": 3}}, "models.0.engine.max_seqs"),
        ({"id": "spark-chat", "engine": "vllm"}, "models.0.engine"),
        ({"id": "spark-chat", "engine": {"kind": ["vllm"]}}, "models.0.engine"),
        ({"id": "spark-chat", "engine": {"kind": "llama"}}, "models.0.engine"),
        ({"id": "spark-chat", "replicas": 3}, "models.0.replicas"),
        ({"id": "spark-chat", "context_length": 0}, "models.0.context_length"),
    ],
)
def test_a_wrong_line_is_one_line_of_help(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve({"models": [given]}, {})
    assert says in caught.value.line()
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.kind == "vllm"], ids=named)
def test_the_cache_holds_one_sequence_of_the_whole_context(entry: CatalogModel) -> None:
    engine = model(id=entry.id).engine
    assert isinstance(engine, VllmSettings)
    assert entry.context_gib() <= engine.kv_cache_gib


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.engine.get("trust_remote_code")], ids=named)
def test_code_from_the_hub_is_pinned(entry: CatalogModel) -> None:
    assert entry.engine["revision"]


def test_memory_is_weights_and_cache() -> None:
    found = model(id="qwen2.5-7b-instruct", engine={"kv_cache_gib": 6})
    assert found.memory == pytest.approx(7_615_616_512 * 2 / 2**30 + 6)
    # Transformers keeps a cache for the one answer it makes: 24 layers of 32 heads of 64, twice, in 2 bytes.
    tokens = 2048 * 2 * 24 * 32 * 64 * 2
    assert model(id="moondream2").memory == pytest.approx((1_927_237_104 * 2 + tokens) / 2**30)
    assert model(id="spark-chat", memory_gib=3).memory == 3
    assert model(id="other", engine={"kind": "vllm", "source": "a/b"}).memory is None


def test_tools_are_promised_where_they_can_be_read_and_only_there() -> None:
    assert {entry.id for entry in ENTRIES if "tools" in entry.capabilities} == {
        entry.id for entry in ENTRIES if entry.engine.get("tool_call_parser")
    }


@pytest.mark.parametrize("entry", FOLDERS, ids=named)
def test_the_facts_of_a_built_in_model_are_those_of_its_folder(entry: CatalogModel) -> None:
    folder = project_root() / entry.source
    config = json.loads((folder / "config.json").read_text())
    text = config.get("text_config", config)
    assert entry.parameters == parameters(folder / "model.safetensors")
    assert entry.longest == text["max_position_embeddings"]
    assert entry.kv is not None
    size = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    heads = text.get("num_key_value_heads") or text["num_attention_heads"]
    assert (entry.kv.layers, entry.kv.heads, entry.kv.head_size) == (text["num_hidden_layers"], heads, size)
    assert ("vision" in entry.capabilities) == ("vision_config" in config)
    assert "tools" not in entry.capabilities or "tools" in (folder / "chat_template.jinja").read_text()


def parameters(file: Path) -> int:
    """How many numbers a file of weights holds, by its header."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
    counts = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
    total = 0
    for shape in counts:
        size = 1
        for side in shape:
            size *= side
        total += size
    return total


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("moondream2", "vision"),
        ("SmolVLM", "vision"),
        ("SmolVLM2", "vision"),
        ("Phi-3.5-Vision", "vision"),
        ("LLaVA", "vision"),
        ("Mistral", "chat"),
    ],
)
def test_the_models_that_these_services_have_always_had_are_one_line_each(name: str, task: str) -> None:
    entry = catalog.find(name)
    assert entry is not None
    assert entry.shown_task == task
    found = model(id=entry.id)
    assert found.context_length == entry.context_length
    assert found.memory is not None
    if entry.engine.get("trust_remote_code"):  # its code is that of one revision, and no other
        assert found.engine.revision  # type: ignore[union-attr]
