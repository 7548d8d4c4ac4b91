"""The Llama architecture in plain PyTorch, for training and evaluation.

Written out because it is short, trains faster on a CPU than the general one, and
needs neither Transformers nor vLLM. `weights` names the tensors as those do, so that
what is trained here loads there unchanged.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training.precision import compute_dtype
from pipelines.training.recipe import Architecture

_INITIAL_DEVIATION = 0.02
_COPYING_DEVIATION = 0.04  # gives attention logits of a few units between equal tokens


class Layer(nn.Module):
    """One transformer layer; tensors are [batch, time, hidden]."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.attention_norm = nn.Parameter(torch.ones(shape.hidden))
        self.mlp_norm = nn.Parameter(torch.ones(shape.hidden))
        self.query_key_value = nn.Linear(shape.hidden, 3 * shape.hidden, bias=False)
        self.output = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.intermediate, bias=False)
        self.down = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(self, hidden: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend to what stands before, then think; `cosine` and `sine` are [time, head_dim].

        mask: [time, time], true where a row may attend to a column, if not to all before it.
        """
        batch, time, width = hidden.shape
        joint = self.query_key_value(norm(hidden, self.attention_norm, self.shape.norm_epsilon))
        query, key, value = joint.view(batch, time, 3, self.shape.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(
            rotate(query, cosine, sine),
            rotate(key, cosine, sine),
            value,
            attn_mask=mask,
            is_causal=mask is None,
        )
        hidden = hidden + self.output(attended.transpose(1, 2).reshape(batch, time, width))
        gate, up = self.gate_up(norm(hidden, self.mlp_norm, self.shape.norm_epsilon)).chunk(2, dim=-1)
        thought: Tensor = self.down(functional.silu(gate) * up)
        return hidden + thought


class Llama(nn.Module):
    """The whole model."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab_size, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_INITIAL_DEVIATION)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            _incline_to_copy(layer)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the last hidden states [batch, time, hidden] of tokens [batch, time].

        Rows may be padded on the right: no token sees what follows it.
        """
        hidden = self.embedding(tokens).to(compute_dtype())
        return self.run(hidden)

    def run(self, hidden: Tensor) -> Tensor:
        """Return the last hidden states of embedded tokens, both [batch, time, hidden]."""
        tables = rotation(self.shape, hidden.shape[1])
        cosine, sine = (table.to(hidden.device, hidden.dtype) for table in tables)
        for layer in self.layers:
            hidden = layer(hidden, cosine, sine)
        return norm(hidden, self.norm, self.shape.norm_epsilon)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits [..., vocab] of hidden states, in float32."""
        return functional.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()


def _incline_to_copy(layer: Layer) -> None:
    """Let attention begin by finding equal tokens and passing them on.

    Queries begin as the keys, and the output as the values' transpose ("mimetic" initialisation). Copying, which
    all else here builds on, begins sooner: repeating words, the loss after 140,000 tokens was 3.2 and not 3.5, in
    one run each. Whether it still helps after minutes was not measured.
    """
    width = layer.shape.hidden
    with torch.no_grad():
        query = torch.randn(width, width) * _COPYING_DEVIATION
        value = torch.randn(width, width) * _COPYING_DEVIATION
        key = query + torch.randn(width, width) * (_COPYING_DEVIATION / 4)
        layer.query_key_value.weight.copy_(torch.cat((query, key, value)))
        layer.output.weight.copy_(value.T)


def norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Scale each vector to a root mean square of one, then by the weight."""
    return functional.rms_norm(hidden, (hidden.shape[-1],), weight.to(hidden.dtype), epsilon)


def rotation(shape: Architecture, time: int) -> tuple[Tensor, Tensor]:
    """Return the cosine and sine tables [time, head_dim] of the rotary positions."""
    exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
    angles = torch.outer(torch.arange(time, dtype=torch.float32), shape.rope_theta**-exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn queries or keys [batch, heads, time, head_dim] by their positions."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((-second, first), dim=-1) * sine


def weights(model: Llama) -> dict[str, Tensor]:
    """Return the tensors in bfloat16, named as Transformers and vLLM name those of a Llama."""
    named: dict[str, Tensor] = {
        "model.embed_tokens.weight": model.embedding.weight,
        "model.norm.weight": model.norm,
    }
    for index, layer in enumerate(model.layers):
        assert isinstance(layer, Layer)
        prefix = f"model.layers.{index}."
        query, key, value = layer.query_key_value.weight.chunk(3)
        gate, up = layer.gate_up.weight.chunk(2)
        named |= {
            f"{prefix}input_layernorm.weight": layer.attention_norm,
            f"{prefix}post_attention_layernorm.weight": layer.mlp_norm,
            f"{prefix}self_attn.q_proj.weight": query,
            f"{prefix}self_attn.k_proj.weight": key,
            f"{prefix}self_attn.v_proj.weight": value,
            f"{prefix}self_attn.o_proj.weight": layer.output.weight,
            f"{prefix}mlp.gate_proj.weight": gate,
            f"{prefix}mlp.up_proj.weight": up,
            f"{prefix}mlp.down_proj.weight": layer.down.weight,
        }
    return {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in named.items()}


def restore(shape: Architecture, tensors: dict[str, Tensor]) -> Llama:
    """Build a model from tensors that `weights` named.

    Raises:
        KeyError: if a tensor is missing.
    """
    model = Llama(shape)
    with torch.no_grad():
        model.embedding.weight.copy_(tensors["model.embed_tokens.weight"])
        model.norm.copy_(tensors["model.norm.weight"])
        for index, layer in enumerate(model.layers):
            assert isinstance(layer, Layer)
            prefix = f"model.layers.{index}."
            attention = [tensors[f"{prefix}self_attn.{part}_proj.weight"] for part in "qkv"]
            layer.query_key_value.weight.copy_(torch.cat(attention))
            layer.output.weight.copy_(tensors[f"{prefix}self_attn.o_proj.weight"])
            layer.gate_up.weight.copy_(
                torch.cat([tensors[f"{prefix}mlp.{part}_proj.weight"] for part in ("gate", "up")])
            )
            layer.down.weight.copy_(tensors[f"{prefix}mlp.down_proj.weight"])
            layer.attention_norm.copy_(tensors[f"{prefix}input_layernorm.weight"])
            layer.mlp_norm.copy_(tensors[f"{prefix}post_attention_layernorm.weight"])
    return model
