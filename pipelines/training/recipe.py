"""What a built-in text model is made with: its shape and the settings of its training."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The shape of a Llama model with tied embeddings; sizes are in elements."""

    vocab_size: int = 2048
    hidden: int = 256
    intermediate: int = 640
    layers: int = 4
    heads: int = 4  # of 64 elements: the head size that every attention kernel of vLLM supports
    context: int = 2048
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Elements of one attention head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """How many numbers are learnt; the output shares the embedding's."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.vocab_size * self.hidden + self.layers * layer + self.hidden

    def config(self, *, begin: int, end: int, pad: int) -> dict[str, Any]:
        """Describe the model as the `config.json` that Transformers and vLLM read."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.norm_epsilon,
            "rope_theta": self.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "attention_bias": False,
            "mlp_bias": False,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "tie_word_embeddings": True,
            "use_cache": True,
            "bos_token_id": begin,
            "eos_token_id": end,
            "pad_token_id": pad,
            "dtype": "bfloat16",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A training that went on from an exported model: how far, and with which seed."""

    steps: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A model's name, shape and training; learning rates are the highest of the schedule.

    `shape` is the language model's; what else a model has, its course knows.
    """

    name: str
    shape: Architecture
    steps: int  # of the optimizer, in all
    matrix_rate: float = 0.02  # Muon's, for the matrices of the layers
    other_rate: float = 0.003  # AdamW's, for embeddings and norms
    weight_decay: float = 0.05
    warm_up_steps: int = 100
    fall: float = 0.5  # the share of the steps over which the rate falls
    final_share: float = 0.02  # of the highest rate: the least
    clip: float = 1.0
