"""Whether a folder is a model, and what it says of itself."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BrokenModel, NoWeights
from cluster.library import safetensors_header
from cluster.library.inspection import look
from tests.unit.library import models


def header(text: bytes, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def tensor(**changed: Any) -> bytes:
    return json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changed}}).encode()


BROKEN = {
    "empty": b"",
    "shorter than a length": b"\x01\x02",
    "a length past the end": header(b"{}", length=10**6),
    "a length of nothing": header(b"", length=0),
    "an absurd length": b"\xff" * 64,
    "no JSON": header(b"not json!"),
    "no object": header(b"[1, 2]"),
    "deep JSON": header(b"[" * 100_000),
    "cut off": header(tensor(), b"1234"),
    "bytes too many": header(tensor(), b"1" * 12),
    "offsets backwards": header(tensor(data_offsets=[8, 0]), b"1" * 8),
    "offsets past the end": header(tensor(data_offsets=[0, 80]), b"1" * 8),
    "negative offsets": header(tensor(data_offsets=[-8, 0]), b""),
    "offsets that are no numbers": header(tensor(data_offsets=["0", "8"]), b"1" * 8),
    "one offset": header(tensor(data_offsets=[8]), b"1" * 8),
    "a shape that does not fit": header(tensor(shape=[3]), b"1" * 8),
    "a negative shape": header(tensor(shape=[-2]), b"1" * 8),
    "a tensor that is none": header(b'{"a": 5}', b""),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_safetensors_file_that_is_not_whole_says_why(tmp_path: Path, data: bytes) -> None:
    models.write(tmp_path, {"config.json": b"{}", "model.safetensors": data})
    with pytest.raises(BrokenModel, match=r"model\.safetensors is no whole safetensors file: "):
        look(tmp_path)


def test_a_whole_one_is_counted(tmp_path: Path) -> None:
    models.write(
        tmp_path, {"a.safetensors": header(b'{"__metadata__": {"format": "pt"}, ' + tensor()[1:], b"1" * 8)}
    )
    found = safetensors_header.read(tmp_path / "a.safetensors")
    assert (found.parameters, found.bytes, found.dtype) == (2, 8, "F32")


def test_a_model_says_its_context_and_memory(tmp_path: Path) -> None:
    facts = look(models.write(tmp_path, models.files()))
    assert (facts.task, facts.longest, facts.parameters, facts.weights_bytes) == ("chat", 512, 4096, 8192)
    assert facts.memory_bytes() == 8192 + 512 * 2 * 2 * 2 * 16 * 2
    assert facts.generation == {"temperature": 0.5, "top_p": 0.9}


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"architectures": ["LlavaForConditionalGeneration"], "vision_config": {}}, "vision"),
        ({"architectures": ["Phi3VForCausalLM"], "img_processor": {}}, "vision"),
        ({"architectures": ["BertModel"]}, "embedding"),
        ({"architectures": ["XLMRobertaForSequenceClassification"], "id2label": {"0": "x"}}, "rerank"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x", "1": "y"}}, None),
        ({"architectures": ["BertForSequenceClassification"]}, None),
        ({}, None),
        ({"num_hidden_layers": 2, "num_attention_heads": 0, "hidden_size": 8}, None),
    ],
)
def test_the_task_is_known_by_the_class(tmp_path: Path, config: dict[str, object], task: str | None) -> None:
    assert look(models.write(tmp_path, models.files(config=config))).task == task


SHARDED = {
    "config.json": b"{}",
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "model-00001-of-00002.safetensors": models.tensors(names=("a",)),
}


@pytest.mark.parametrize(
    ("files", "kind", "says"),
    [
        ({"config.json": b"{}"}, NoWeights, "holds no weights"),
        ({"config.json": b"{}", "training_args.bin": b"x"}, NoWeights, "holds no weights"),
        (SHARDED, NoWeights, "lacks 1 of 2 files of weights, such as model-00002"),
        ({**SHARDED, "model.safetensors.index.json": b"{}"}, BrokenModel, "maps no weights"),
        ({"model.safetensors": models.tensors()}, BrokenModel, "has no config.json"),
        ({"config.json": b"[]", "model.safetensors": models.tensors()}, BrokenModel, "no JSON object"),
        ({"config.json": b"\xff", "model.safetensors": models.tensors()}, BrokenModel, "cannot be read"),
    ],
)
def test_a_folder_that_is_no_whole_model_says_what_is_missing(
    tmp_path: Path, files: dict[str, bytes], kind: type[BrokenModel], says: str
) -> None:
    with pytest.raises(kind, match=says):
        look(models.write(tmp_path, files))


def test_all_shards_are_a_whole_model(tmp_path: Path) -> None:
    models.write(tmp_path, {**SHARDED, "model-00002-of-00002.safetensors": models.tensors(names=("b",))})
    assert look(tmp_path).parameters == 4096
