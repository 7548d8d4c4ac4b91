"""BERT's forward pass over a row of texts without padding, on a CPU.

The library pads a batch to its longest text, makes every intermediate tensor anew, and walks 25 MB for each step of
a feed-forward layer. Here the texts lie end to end, so that no padding is multiplied; query, key and value are one
product; and the caller keeps the row short enough for the processor's caches. The numbers are the same up to
float32's rounding: `packed` compares them before it hands the forward pass over. docs/decisions/0018 has figures,
and why there is no int8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FAMILY = {
    "BertModel": False,
    "RobertaModel": True,
    "XLMRobertaModel": True,
}  # True: positions start behind padding's
POOLINGS = frozenset({"mean", "cls"})
CLOSE = 0.99999  # cosine to the library's own vectors; float32's rounding leaves 0.999999


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A layer's normalisation."""

    shape: tuple[int, ...]
    weight: "Tensor"
    bias: "Tensor"
    eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A product's weights and its bias."""

    weight: "Tensor"
    bias: "Tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One layer: attention and feed-forward, each with the normalisation behind it."""

    mixed: Linear
    joined: Linear
    attended: Norm
    wide: Linear
    narrow: Linear
    answered: Norm


class PackedBert:
    """The forward pass of one loaded model. Threads may share it: it keeps nothing of a call."""

    def __init__(self, model: Any) -> None:
        bert = model[0].auto_model
        embeddings, config = bert.embeddings, bert.config
        self._rest = [model[at] for at in range(2, len(model))]
        self._pooling = str(model[1].pooling_mode)
        self._words = embeddings.word_embeddings.weight.detach()
        kind = embeddings.token_type_embeddings.weight[0]  # every token of an input is of the first type
        first = config.pad_token_id + 1 if FAMILY[type(bert).__name__] else 0
        self._places = (embeddings.position_embeddings.weight[first:] + kind).detach()
        self._embedded = _norm(embeddings.LayerNorm)
        self._heads = int(config.num_attention_heads)
        self._blocks = tuple(_block(layer) for layer in bert.encoder.layer)

    def __call__(self, rows: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        """The vectors of rows of token ids, special tokens included: float32, shape (n, dimensions).

        Rows of one length beside each other share their attention's product: sort them.
        """
        import torch

        lengths = [len(row) for row in rows]
        runs = [(length, sum(1 for _ in same)) for length, same in groupby(lengths)]
        with torch.inference_mode():
            state = self._embed(rows, lengths)
            for block in self._blocks:
                state = self._layer(block, state, runs)
            vectors: NDArray[np.float32] = self._finish(state, runs).numpy()
        return vectors

    def _embed(self, rows: Sequence[Sequence[int]], lengths: Sequence[int]) -> "Tensor":
        import torch

        ids = torch.tensor([token for row in rows for token in row])
        steps = torch.arange(max(lengths))
        places = torch.cat([steps[:length] for length in lengths])
        return _normed(self._words[ids].add_(self._places[places]), self._embedded)

    def _layer(self, block: Block, state: "Tensor", runs: Sequence[tuple[int, int]]) -> "Tensor":
        import torch

        attended = _times(self._attend(_times(state, block.mixed), runs), block.joined)
        state = _normed(attended.add_(state), block.attended)
        wide = torch.ops.aten.gelu_(_times(state, block.wide))
        answered = _times(wide, block.narrow)
        return _normed(answered.add_(state), block.answered)

    def _attend(self, mixed: "Tensor", runs: Sequence[tuple[int, int]]) -> "Tensor":
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        parts = []
        first = 0
        for length, count in runs:
            tokens = mixed[first : first + length * count].view(count, length, 3, self._heads, -1)
            query, key, value = tokens.permute(2, 0, 3, 1, 4).unbind(0)
            found = scaled_dot_product_attention(query, key, value)
            parts.append(found.transpose(1, 2).reshape(count * length, -1))
            first += length * count
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _finish(self, state: "Tensor", runs: Sequence[tuple[int, int]]) -> "Tensor":
        import torch

        parts = []
        first = 0
        for length, count in runs:
            tokens = state[first : first + length * count].view(count, length, -1)
            parts.append(tokens[:, 0] if self._pooling == "cls" else tokens.mean(1))
            first += length * count
        features = {"sentence_embedding": torch.cat(parts)}
        for module in self._rest:
            features = module(features)
        return features["sentence_embedding"]


def packed(model: Any) -> PackedBert | None:
    """The packed forward pass of a sentence-transformers model; None where it would not be the model's own.

    It is that of float32 models of BERT's family on a CPU whose texts are pooled by mean or first token.
    """
    if not _readable(model):
        return None
    found = PackedBert(model)
    return found if _agrees(found, model) else None


def _readable(model: Any) -> bool:
    import torch

    if len(model) < 2 or model.device.type != "cpu":
        return False
    bert: Any = getattr(model[0], "auto_model", None)
    if type(bert).__name__ not in FAMILY or getattr(model[1], "pooling_mode", None) not in POOLINGS:
        return False
    config = bert.config
    return bool(
        bert.dtype == torch.float32
        and config.hidden_act == "gelu"
        and not config.is_decoder
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
    )


def _agrees(found: PackedBert, model: Any) -> bool:
    """Whether both give the same vectors for rows of several lengths."""
    import numpy as np
    import torch

    most = min(model.max_seq_length or 64, 64)
    padding = model.tokenizer.pad_token_id or 0
    words = [token for token in range(model.tokenizer.vocab_size) if token != padding]  # no place of a text has it
    rows = [[words[(7 * at * at + length) % len(words)] for at in range(length)] for length in (1, 5, 5, most)]
    ids = torch.full((len(rows), most), padding)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    with torch.inference_mode():
        own = model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].numpy()
    ours = found(rows)
    cosines = np.sum(own * ours, 1) / (np.linalg.norm(own, axis=1) * np.linalg.norm(ours, axis=1))
    return bool(np.all(cosines >= CLOSE))


def _block(layer: Any) -> Block:
    import torch

    inner, joined = layer.attention.self, layer.attention.output
    parts = (inner.query, inner.key, inner.value)
    return Block(
        mixed=_linear(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])),
        joined=_linear(joined.dense.weight, joined.dense.bias),
        attended=_norm(joined.LayerNorm),
        wide=_linear(layer.intermediate.dense.weight, layer.intermediate.dense.bias),
        narrow=_linear(layer.output.dense.weight, layer.output.dense.bias),
        answered=_norm(layer.output.LayerNorm),
    )


def _linear(weight: "Tensor", bias: "Tensor") -> Linear:
    return Linear(weight=weight.detach().contiguous(), bias=bias.detach())


def _times(given: "Tensor", by: Linear) -> "Tensor":
    from torch.nn.functional import linear

    return linear(given, by.weight, by.bias)


def _norm(layer: Any) -> Norm:
    shape = tuple(layer.normalized_shape)
    return Norm(shape=shape, weight=layer.weight.detach(), bias=layer.bias.detach(), eps=layer.eps)


def _normed(given: "Tensor", norm: Norm) -> "Tensor":
    from torch.nn.functional import layer_norm

    return layer_norm(given, norm.shape, norm.weight, norm.bias, norm.eps)
