"""The LLaVA architecture in plain PyTorch: our Llama, given a picture's patches in place of words.

`weights` names the tensors as vLLM does, so that what is trained here is served unchanged.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training import model as llama
from pipelines.training.model import Llama, norm, rotation
from pipelines.training.precision import compute_dtype
from pipelines.training.vision.labels import HEADS
from pipelines.training.vision.shape import TowerShape, VisionArchitecture

_GREY_LEVELS = 127.5  # a pixel of 0 to 255 becomes one of -1 to 1, as processor.py tells vLLM to do
_LONGEST_WAVE = 30.0  # in patches, over a full turn
_LIKENESS_DEVIATION = 0.05  # gives attention logits of a few units between like patches
_PREFIXES = {"tower": "vision_tower.vision_model.", "text": "language_model."}


class TowerLayer(nn.Module):
    """One layer of the tower; tensors are [batch, patches, hidden]."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(shape.hidden, shape.norm_epsilon)
        self.mlp_norm = nn.LayerNorm(shape.hidden, shape.norm_epsilon)
        self.query_key_value = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.output = nn.Linear(shape.hidden, shape.hidden)
        self.up = nn.Linear(shape.hidden, shape.intermediate)
        self.down = nn.Linear(shape.intermediate, shape.hidden)

    def forward(self, hidden: Tensor) -> Tensor:
        """Let every patch look at all, then think."""
        batch, patches, width = hidden.shape
        joint = self.query_key_value(self.attention_norm(hidden))
        query, key, value = joint.view(batch, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        hidden = hidden + self.output(attended.transpose(1, 2).reshape(batch, patches, width))
        thought: Tensor = self.down(functional.gelu(self.up(self.mlp_norm(hidden)), approximate="tanh"))
        return hidden + thought


class Tower(nn.Module):
    """A SigLIP vision transformer without its last norm and without pooling."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch = nn.Linear(3 * shape.patch**2, shape.hidden)
        self.position = nn.Parameter(_waves(shape))
        self.layers = nn.ModuleList(TowerLayer(shape) for _ in range(shape.layers))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return [batch, patches, hidden] of pictures, uint8 [batch, image, image, 3]."""
        batch, side, patch = pixels.shape[0], self.shape.side, self.shape.patch
        cut = (pixels.float() / _GREY_LEVELS - 1).view(batch, side, patch, side, patch, 3)
        # Channel, row, column: the order of a convolution's weight, which is what vLLM makes of this.
        cut = cut.permute(0, 1, 3, 5, 2, 4).reshape(batch, side * side, 3 * patch * patch)
        hidden: Tensor = self.patch(cut.to(compute_dtype())) + self.position.to(compute_dtype())
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


def _waves(shape: TowerShape) -> Tensor:
    """Sines and cosines of each patch's column and row, [patches, hidden].

    Begun with small random positions instead, the tower took some hundred steps to find out where anything is.
    """
    quarter = shape.hidden // 4
    slowness = _LONGEST_WAVE ** (torch.arange(quarter) / quarter)
    angles = torch.arange(shape.side)[:, None] / slowness
    along = torch.cat((angles.sin(), angles.cos()), dim=-1)
    columns, rows = along.repeat(shape.side, 1), along.repeat_interleave(shape.side, dim=0)
    return torch.cat((columns, rows), dim=-1)


def _incline_to_neighbours(layer: TowerLayer) -> None:
    """Let attention begin with what is alike and near: keys begin as the queries, as in the Llama's layers."""
    width = layer.output.in_features
    with torch.no_grad():
        query = torch.randn(width, width) * _LIKENESS_DEVIATION
        layer.query_key_value.weight[:width] = query
        layer.query_key_value.weight[width : 2 * width] = query + torch.randn(width, width) * (
            _LIKENESS_DEVIATION / 4
        )


class Projector(nn.Module):
    """From the tower's space to the Llama's."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.first = nn.Linear(source, target)
        self.second = nn.Linear(target, target)

    def forward(self, hidden: Tensor) -> Tensor:
        """Project [..., source] to [..., target]."""
        projected: Tensor = self.second(functional.gelu(self.first(hidden)))
        return projected


class Llava(nn.Module):
    """The whole model, and for training alone a head that says of every patch what it shows."""

    def __init__(self, shape: VisionArchitecture) -> None:
        super().__init__()
        self.shape = shape
        self.tower = Tower(shape.tower)
        self.projector = Projector(shape.tower.hidden, shape.text.hidden)
        self.text = Llama(shape.text)
        self.labels = nn.Linear(shape.tower.hidden, sum(HEADS.values()))
        for module in (*self.tower.modules(), *self.projector.modules(), self.labels):
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        for layer in self.tower.layers:
            assert isinstance(layer, TowerLayer)
            for last in (layer.output, layer.down):
                nn.init.normal_(last.weight, std=0.02)
            _incline_to_neighbours(layer)

    def see(self, pixels: Tensor) -> Tensor:
        """Return the tower's patches [batch, patches, hidden] of uint8 pictures [batch, image, image, 3]."""
        seen: Tensor = self.tower(pixels)
        return seen

    def read(
        self,
        tokens: Tensor,
        seen: Tensor | None,
        *,
        image_at: int,
        mask: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Return the last hidden states [batch, time, hidden] of tokens [batch, time].

        seen: the tower's patches, put over the tokens from `image_at` on.
        mask: what sees what, [time, time]; without one, all that stands before.
        places: each token's position [time], where they do not simply count on.
        """
        hidden = self.text.embedding(tokens).to(compute_dtype())
        if seen is not None:
            end = image_at + seen.shape[1]
            hidden = torch.cat(
                (hidden[:, :image_at], self.projector(seen).to(hidden.dtype), hidden[:, end:]), dim=1
            )
        longest = tokens.shape[1] if places is None else int(places.max()) + 1
        cosine, sine = (table.to(hidden) for table in rotation(self.shape.text, longest))
        if places is not None:
            cosine, sine = cosine[places], sine[places]
        for layer in self.text.layers:
            hidden = layer(hidden, cosine, sine, mask)
        return norm(hidden, self.text.norm, self.shape.text.norm_epsilon)


def weights(model: Llava) -> dict[str, Tensor]:
    """Return the tensors in bfloat16 under vLLM's names; the training's own head stays behind."""
    tower, shape = _PREFIXES["tower"], model.shape.tower
    patch = model.tower.patch
    named: dict[str, Tensor] = {
        f"{tower}embeddings.patch_embedding.weight": patch.weight.view(-1, 3, shape.patch, shape.patch),
        f"{tower}embeddings.patch_embedding.bias": patch.bias,
        f"{tower}embeddings.position_embedding.weight": model.tower.position,
    }
    for index, layer in enumerate(model.tower.layers):
        assert isinstance(layer, TowerLayer)
        named |= _layer_weights(layer, f"{tower}encoder.layers.{index}.")
    for number, part in enumerate((model.projector.first, model.projector.second), start=1):
        named[f"multi_modal_projector.linear_{number}.weight"] = part.weight
        named[f"multi_modal_projector.linear_{number}.bias"] = part.bias
    # Cloned, because a row of a stacked matrix shares its memory, which safetensors refuses.
    exported = {name: tensor.detach().to(torch.bfloat16).clone() for name, tensor in named.items()}
    return exported | {f"{_PREFIXES['text']}{name}": part for name, part in llama.weights(model.text).items()}


def restore(shape: VisionArchitecture, tensors: dict[str, Tensor]) -> Llava:
    """Build a model from tensors that `weights` named; the training's own head is left as initialised.

    Raises:
        KeyError: if a tensor is missing.
    """
    model = Llava(shape)
    prefix = _PREFIXES["text"]
    text = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    model.text = llama.restore(shape.text, text)
    tower = _PREFIXES["tower"]
    with torch.no_grad():
        model.tower.patch.weight.copy_(tensors[f"{tower}embeddings.patch_embedding.weight"].flatten(1))
        model.tower.patch.bias.copy_(tensors[f"{tower}embeddings.patch_embedding.bias"])
        model.tower.position.copy_(tensors[f"{tower}embeddings.position_embedding.weight"])
        for index, layer in enumerate(model.tower.layers):
            assert isinstance(layer, TowerLayer)
            for name, tensor in _layer_weights(layer, f"{tower}encoder.layers.{index}.").items():
                tensor.copy_(tensors[name])
        for number, part in enumerate((model.projector.first, model.projector.second), start=1):
            part.weight.copy_(tensors[f"multi_modal_projector.linear_{number}.weight"])
            part.bias.copy_(tensors[f"multi_modal_projector.linear_{number}.bias"])
    return model


def _layer_weights(layer: TowerLayer, prefix: str) -> dict[str, Tensor]:
    """Name a tower layer's tensors; all are views of the parameters, so that one can also write through them."""
    named: dict[str, Tensor] = {}
    queries, keys, values = (
        slice(n * layer.output.in_features, (n + 1) * layer.output.in_features) for n in range(3)
    )
    for part, rows in (("q", queries), ("k", keys), ("v", values)):
        named[f"{prefix}self_attn.{part}_proj.weight"] = layer.query_key_value.weight[rows]
        named[f"{prefix}self_attn.{part}_proj.bias"] = layer.query_key_value.bias[rows]
    modules: dict[str, nn.Linear | nn.LayerNorm] = {
        "self_attn.out_proj": layer.output,
        "layer_norm1": layer.attention_norm,
        "layer_norm2": layer.mlp_norm,
        "mlp.fc1": layer.up,
        "mlp.fc2": layer.down,
    }
    for name, module in modules.items():
        named[f"{prefix}{name}.weight"] = module.weight
        named[f"{prefix}{name}.bias"] = module.bias
    return named
