"""Models of the Hub's architectures, small and with random weights: for the code that loads them, not the answers.

Each is a folder as the Hub would have it, with the built-in model's tokenizer.
"""

from pathlib import Path
from typing import Any

from cluster.engines.source import project_root
from tests.unit.engines.pictures import encoded, url

TOKENIZER = project_root() / "models" / "spark-chat"
SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
SPREAD = 0.3  # of the weights: with the usual 0.02 every picture gives the same answer
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 1024,
    "initializer_range": SPREAD,
}
EYE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": SPREAD,
}


def picture(seed: int) -> str:
    """The data URL of a picture like no other: 64 x 48 pixels of noise."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return url(encoded(Image.fromarray(pixels)))


def qwen2(folder: Path) -> Path:
    """As Qwen2.5."""
    from transformers import AutoModelForCausalLM, Qwen2Config

    tokenizer = _tokenizer()
    return _saved(folder, AutoModelForCausalLM.from_config(Qwen2Config(**_text(tokenizer))), tokenizer)


def llama(folder: Path) -> Path:
    """As SmolLM2."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    tokenizer = _tokenizer()
    return _saved(folder, AutoModelForCausalLM.from_config(LlamaConfig(**_text(tokenizer))), tokenizer)


def smolvlm(folder: Path, *, second: bool = False) -> Path:
    """As SmolVLM, which is Idefics3; or, second, as SmolVLM2."""
    from transformers import (
        AutoModelForImageTextToText,
        Idefics3Config,
        Idefics3ImageProcessor,
        Idefics3Processor,
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
    )
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    marks = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<|im_start|>"]
    tokenizer = _tokenizer(marks + [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)])
    config = (SmolVLMConfig if second else Idefics3Config)(
        text_config={**_text(tokenizer), "model_type": "llama"},
        vision_config={**EYE, "image_size": 32, "patch_size": 8},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    sizes = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    given = {"image_seq_len": 4, "chat_template": SMOLVLM_TEMPLATE}
    processor: Any
    if second:
        films = SmolVLMVideoProcessor(**sizes)
        processor = SmolVLMProcessor(SmolVLMImageProcessor(**sizes), tokenizer, films, **given)
    else:
        processor = Idefics3Processor(Idefics3ImageProcessor(**sizes), tokenizer, **given)
    return _saved(folder, AutoModelForImageTextToText.from_config(config), processor)


def smolvlm2(folder: Path) -> Path:
    """As SmolVLM2."""
    return smolvlm(folder, second=True)


def llava(folder: Path) -> Path:
    """As LLaVA 1.5: CLIP and Llama."""
    from transformers import AutoModelForImageTextToText, CLIPImageProcessor, LlavaConfig, LlavaProcessor

    tokenizer = _tokenizer(["<image>"])
    config = LlavaConfig(
        text_config={**_text(tokenizer), "model_type": "llama"},
        vision_config={
            **EYE, "model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, "projection_dim": 32,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    size = {"height": 32, "width": 32}
    processor = LlavaProcessor(
        CLIPImageProcessor(size=size, crop_size=size),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    _saved(folder, AutoModelForImageTextToText.from_config(config), processor)
    return _with_the_hubs_names(folder)


def _tokenizer(marks: list[str] | None = None) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    if marks:
        tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return tokenizer


def _text(tokenizer: Any) -> dict[str, Any]:
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    return {**TEXT, **ids, "vocab_size": len(tokenizer)}


def _saved(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _with_the_hubs_names(folder: Path) -> Path:
    """The Hub's LLaVA has the names of tensors of an older Transformers: vLLM reads them, 5.14 writes others."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tensor
        for name, tensor in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})
    return folder
