"""The shape of a LLaVA model: a SigLIP tower, a projector of two layers, and a Llama."""

from dataclasses import dataclass, field
from typing import Any

from pipelines.training.recipe import Architecture

IMAGE_TOKEN = "<image>"  # noqa: S105  # the text that stands for a picture; vLLM's LLaVA writes it into prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """The vision tower's shape; `image` and `patch` in pixels, the rest in elements."""

    image: int = 120
    patch: int = 10  # 144 patches: what the Llama pays for a picture
    hidden: int = 192
    intermediate: int = 512
    layers: int = 4
    heads: int = 6
    norm_epsilon: float = 1e-6

    @property
    def side(self) -> int:
        """Patches along one side of a picture."""
        return self.image // self.patch

    @property
    def patches(self) -> int:
        """Patches, and so tokens, of a picture."""
        return self.side**2

    def config(self) -> dict[str, Any]:
        """Describe the tower as Transformers and vLLM read it."""
        return {
            "model_type": "siglip_vision_model",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_channels": 3,
            "image_size": self.image,
            "patch_size": self.patch,
            "layer_norm_eps": self.norm_epsilon,
            "hidden_act": "gelu_pytorch_tanh",
            "attention_dropout": 0.0,
            "vision_use_head": False,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionArchitecture:
    """The whole model's shape."""

    tower: TowerShape = field(default_factory=TowerShape)
    text: Architecture = field(
        default_factory=lambda: Architecture(
            vocab_size=768, hidden=192, intermediate=512, layers=3, heads=3, context=1024
        )
    )

    def config(self, *, begin: int, end: int, pad: int, image: int) -> dict[str, Any]:
        """Describe the model as the `config.json` that Transformers and vLLM read."""
        return {
            "architectures": ["LlavaForConditionalGeneration"],
            "model_type": "llava",
            "text_config": self.text.config(begin=begin, end=end, pad=pad),
            "vision_config": self.tower.config(),
            "image_token_index": image,
            "image_seq_length": self.tower.patches,
            "projector_hidden_act": "gelu",
            "multimodal_projector_bias": True,
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
            "tie_word_embeddings": True,
            "bos_token_id": begin,
            "eos_token_id": end,
            "pad_token_id": pad,
            "dtype": "bfloat16",
        }
