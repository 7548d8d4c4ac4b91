"""Write a trained spark-vision as a folder that Transformers and vLLM load, and load it back."""

from pathlib import Path
from typing import Any

from pipelines.training.folder import read_weights, write_json, write_weights
from pipelines.training.prompts import BEGIN, END, PAD
from pipelines.training.tokenizer import Tokenizer, write_tokenizer
from pipelines.training.vision.model import Llava, restore, weights
from pipelines.training.vision.shape import IMAGE_TOKEN, VisionArchitecture


def export(model: Llava, tokenizer: Tokenizer, out: Path) -> None:
    """Write weights in bfloat16, configuration, tokenizer and processor into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    begin, end, pad, image = (tokenizer.token_to_id(token) for token in (BEGIN, END, PAD, IMAGE_TOKEN))
    write_json(out / "config.json", model.shape.config(begin=begin, end=end, pad=pad, image=image))
    ids = {"bos_token_id": begin, "eos_token_id": end, "pad_token_id": pad}
    write_json(out / "generation_config.json", {**ids, "do_sample": False})
    write_json(out / "preprocessor_config.json", _image_processor(model.shape.tower.image))
    write_json(out / "processor_config.json", _processor(model.shape))
    write_tokenizer(tokenizer, out, context=model.shape.text.context)
    write_weights(weights(model), out)


def load(shape: VisionArchitecture, folder: Path) -> tuple[Llava, Tokenizer]:
    """Load what `export` wrote, weights rounded to bfloat16 as served.

    Raises:
        FileNotFoundError: if the folder holds no model.
    """
    model = restore(shape, read_weights(folder))
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def _image_processor(side: int) -> dict[str, Any]:
    """Pad to a square of grey, resize by Pillow, scale to -1 to 1: what `pictures.fit` and `model.Tower` do."""
    return {
        "image_processor_type": "LlavaImageProcessorPil",
        "do_convert_rgb": True,
        "do_pad": True,
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": 3,  # bicubic
        "do_center_crop": False,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def _processor(shape: VisionArchitecture) -> dict[str, Any]:
    return {
        "processor_class": "LlavaProcessor",
        "patch_size": shape.tower.patch,
        "num_additional_image_tokens": 0,
        "vision_feature_select_strategy": "full",
        "image_token": IMAGE_TOKEN,
    }
