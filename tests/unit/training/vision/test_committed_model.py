"""The committed model is whole, small, what its shape says, and its tensors have the names that vLLM loads."""

import json
import re
import struct
from pathlib import Path

from pipelines.training.prompts import BEGIN, CHAT_TEMPLATE, END, PAD
from pipelines.training.vision.evaluate import TASKS
from pipelines.training.vision.shape import IMAGE_TOKEN, VisionArchitecture

MODEL = Path(__file__).parents[4] / "models" / "spark-vision"
SHAPE = VisionArchitecture()
TOWER = "vision_tower.vision_model."


def read(name: str):
    return json.loads((MODEL / name).read_text())


def tensors() -> dict[str, dict]:
    """The header of the weights, which takes no torch to read."""
    with (MODEL / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    del header["__metadata__"]
    return header


def test_it_takes_less_than_eight_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 8_000_000


def test_its_configuration_is_its_shapes() -> None:
    ids = {token["content"]: token["id"] for token in read("tokenizer.json")["added_tokens"]}
    wanted = SHAPE.config(begin=ids[BEGIN], end=ids[END], pad=ids[PAD], image=ids[IMAGE_TOKEN])
    assert read("config.json") == wanted


def test_its_tensors_are_named_as_vllm_loads_them() -> None:
    names = tensors()
    assert names[f"{TOWER}embeddings.patch_embedding.weight"]["shape"] == [192, 3, 10, 10]
    assert names["language_model.model.embed_tokens.weight"]["shape"] == [768, 192]
    assert names["multi_modal_projector.linear_2.bias"]["shape"] == [192]
    assert f"{TOWER}encoder.layers.{SHAPE.tower.layers - 1}.self_attn.q_proj.bias" in names
    assert {tensor["dtype"] for tensor in names.values()} == {"BF16"}


def test_what_only_training_needs_is_not_exported() -> None:
    assert {name.split(".")[0] for name in tensors()} == {"vision_tower", "multi_modal_projector", "language_model"}


def test_its_processor_pads_and_scales_as_training_did() -> None:
    processor = read("preprocessor_config.json")
    assert processor["do_pad"]
    assert not processor["do_center_crop"]
    assert processor["size"] == {"height": SHAPE.tower.image, "width": SHAPE.tower.image}
    assert processor["image_mean"] == [0.5, 0.5, 0.5]


def test_its_template_is_the_trainings() -> None:
    assert (MODEL / "chat_template.jinja").read_text() == CHAT_TEMPLATE


def test_capitals_are_tokens_of_their_own() -> None:
    """Or a printed word could not be spelled letter by letter."""
    vocabulary = read("tokenizer.json")["model"]["vocab"]
    assert not [token for token in vocabulary if len(token) > 1 and re.fullmatch("[A-Z]+", token)]


def test_its_card_states_every_measured_task() -> None:
    card = (MODEL / "README.md").read_text()
    assert all(f"| {task.name} | " in card for task in TASKS)
