"""BERT's forward pass over a row of texts without padding, on a CPU.

The library pads a batch to its longest text, makes every intermediate tensor anew, and walks 25 MB for each step of
a feed-forward layer. Here the texts lie end to end, so that no padding is multiplied; query, key and value are one
product; and the caller keeps the row short enough for the processor's caches. The numbers are the same up to
float32's rounding: `packed` compares them before it hands the forward pass over. `rounded` makes it faster still,
with products in int8 for all texts but the shortest. docs/decisions/0018 has figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cluster.batched import batched
from cluster.engines.int8 import Int8Linear, Seen
from cluster.engines.openmp import one_thread

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
CLOSE_ROUNDED = 0.9993  # cosine of int8 to float32 for texts that were not calibrated with: 0.999 is promised
EXACT_BELOW = 16  # different tokens: no mean over so few evens the rounding out, so they are computed in float32
CALIBRATED_TOGETHER = 8  # rows
SAME_SIZE = 16  # oneDNN prepares itself for each number of rows, 1 to 3 ms: there are few different ones


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

    def __call__(self, given: "Tensor") -> "Tensor":
        """Shape (rows, inputs) to (rows, outputs)."""
        from torch.nn.functional import linear

        return linear(given, self.weight, self.bias)


Product = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One layer: attention and feed-forward, each with the normalisation behind it."""

    mixed: Product
    joined: Product
    attended: Norm
    wide: Product
    narrow: Product
    answered: Norm


class PackedBert:
    """The forward pass of one loaded model. Threads may share it: it keeps nothing of a call.

    weights: how many its layers have.
    """

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
        self._rounded: tuple[Block, ...] = ()
        self.weights = sum(weight.numel() for weight in bert.encoder.parameters())

    @property
    def in_int8(self) -> bool:
        """Whether texts of EXACT_BELOW different tokens and more are computed in int8."""
        return bool(self._rounded)

    def __call__(self, rows: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        """The vectors of rows of token ids, special tokens included: float32, shape (n, dimensions).

        Rows of one length beside each other share their attention's product: sort them. What a row's vector is does
        not depend on the rows beside it.
        """
        import numpy as np

        if not self._rounded:
            return self._run(rows, self._blocks)
        varied = [_varied(row) for row in rows]
        long = [at for at, one in enumerate(varied) if one]
        short = [at for at, one in enumerate(varied) if not one]
        if not long:
            return self._run(rows, self._blocks)
        filling = -sum(len(rows[at]) for at in long) % SAME_SIZE
        found = self._run([rows[at] for at in long] + [[0]] * filling, self._rounded)
        vectors = np.empty((len(rows), found.shape[1]), np.float32)
        vectors[long] = found[: len(long)]
        if short:
            vectors[short] = self._run([rows[at] for at in short], self._blocks)
        return vectors

    def round(self, rows: Sequence[Sequence[int]]) -> None:
        """Compute in int8 from now on, with weights rounded for what these rows show. Takes seconds."""
        seen = tuple(_each(block, Seen) for block in self._blocks)
        for some in batched(sorted(rows, key=len), CALIBRATED_TOGETHER):
            self._run(some, seen)
        with one_thread():
            self._rounded = tuple(_each(block, Int8Linear) for block in seen)

    def _run(self, rows: Sequence[Sequence[int]], blocks: Sequence[Block]) -> "NDArray[np.float32]":
        import torch

        lengths = [len(row) for row in rows]
        runs = [(length, sum(1 for _ in same)) for length, same in groupby(lengths)]
        with torch.inference_mode():
            state = self._embed(rows, lengths)
            for block in blocks:
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

        attended = block.joined(self._attend(block.mixed(state), runs))
        state = _normed(attended.add_(state), block.attended)
        answered = block.narrow(torch.ops.aten.gelu_(block.wide(state)))
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


def rounded(exact: PackedBert, model: Any, calibrating: Sequence[Sequence[int]]) -> PackedBert | None:
    """The forward pass with products in int8; None where its vectors would be too far from `exact`'s.

    calibrating: rows of token ids of many kinds of text. Every fifth is left out of the calibration and compared.
    """
    import numpy as np
    import torch

    unseen = [row for row in calibrating[::5] if _varied(row)]
    if not unseen:  # its vocabulary reads them all alike
        return None
    found = PackedBert(model)
    try:
        found.round([row for at, row in enumerate(calibrating) if at % 5])
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # numbers that no rounding can be weighed by, such as NaN
        return None
    cosines = _cosines(exact(unseen), found(unseen))
    return found if np.all(cosines >= CLOSE_ROUNDED) else None


def _varied(row: Sequence[int]) -> bool:
    return len(set(row)) >= EXACT_BELOW


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
    return bool(np.all(_cosines(own, found(rows)) >= CLOSE))


def _cosines(own: "NDArray[np.float32]", other: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    found: NDArray[np.float32] = np.sum(own * other, 1) / (
        np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
    )
    return found


def _each(block: Block, become: Callable[[Any], Product]) -> Block:
    return replace(
        block,
        mixed=become(block.mixed),
        joined=become(block.joined),
        wide=become(block.wide),
        narrow=become(block.narrow),
    )


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


def _norm(layer: Any) -> Norm:
    shape = tuple(layer.normalized_shape)
    return Norm(shape=shape, weight=layer.weight.detach(), bias=layer.bias.detach(), eps=layer.eps)


def _normed(given: "Tensor", norm: Norm) -> "Tensor":
    from torch.nn.functional import layer_norm

    return layer_norm(given, norm.shape, norm.weight, norm.bias, norm.eps)
