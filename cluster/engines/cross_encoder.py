"""Cross-encoders through sentence-transformers, which knows how each model's number becomes a score.

Such a model reads two texts together, so it ranks better than the cosine of their embeddings, and each pair costs a
pass of its own. Tokenising and batching are done here: the library cuts long pairs without saying so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster.engines.hub import fetch
from cluster.engines.learned import Learned
from cluster.engines.padding import mask, padded
from cluster.engines.pretrained import pretrained
from cluster.engines.reading import Reading
from cluster.engines.sentence import by_tokens, fitting
from cluster.engines.weights import revision_of
from cluster.errors import BadRequest, EngineDead, StartFailed
from cluster.settings.engines import CrossEncoderSettings
from cluster.settings.models import HubSettings
from cluster.types import Capabilities, Scores, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARAMETERS = frozenset({"model", "query", "documents", "top_n", "return_documents", "user"})


class Pair(NamedTuple):
    """Two texts as the model reads them. kinds: which text each token is of. tokens: of both, before the cut."""

    ids: list[int]
    kinds: list[int]
    tokens: int


class Special(NamedTuple):
    """Tokens of no text, with their kinds."""

    ids: list[int]
    kinds: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around two texts. kinds: of the first's and the second's own tokens. room: left for both."""

    before: Special
    between: Special
    behind: Special
    kinds: tuple[int, int]
    room: int

    def pair(self, first: list[int], second: list[int]) -> Pair:
        """Both texts in their frame, cut where they are too long together."""
        ones, others = shares(len(first), len(second), self.room)
        return Pair(
            ids=[*self.before.ids, *first[:ones], *self.between.ids, *second[:others], *self.behind.ids],
            kinds=[
                *self.before.kinds,
                *[self.kinds[0]] * ones,
                *self.between.kinds,
                *[self.kinds[1]] * others,
                *self.behind.kinds,
            ],
            tokens=len(first) + len(second),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A loaded model. kinds: whether it wants to know which text a token is of."""

    model: Any
    tokenizer: Any
    padding: int
    frame: Frame
    kinds: bool
    lower: bool


class CrossEncoderEngine(Learned):
    """An engine that scores pairs. source: a folder or a Hub id. context_length: None takes the model's own."""

    def __init__(
        self,
        settings: CrossEncoderSettings,
        name: str = "The reranker",
        *,
        source: str | None = None,
        context_length: int | None = None,
        hub: HubSettings | None = None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._source = source or settings.source
        self._wanted_context = context_length
        self._hub = hub or HubSettings()
        self._capabilities = Capabilities(
            task=Task.RERANK, context_length=context_length or 0, parameters=PARAMETERS
        )
        self._loaded: Loaded | None = None
        self._batch_tokens = 0

    def start(self) -> None:
        """Load the model. Raises StartFailed with the reason."""
        if self._loaded is not None:
            return
        pickle, revision = self._settings.allow_pickle, self._settings.revision
        source = fetch(self._name, self._source, self._hub, revision, allow_pickle=pickle)
        try:
            model = pretrained(source, self._settings, self._hub)
            loaded = _look_at(model, self._wanted_context)
        except Exception as error:  # whatever a model's files make the library raise, it means: not this model
            raise StartFailed(f"sentence-transformers cannot load {source}: {error}") from error
        config = model[0].auto_model.config
        self._revision = revision_of(source, getattr(config, "_commit_hash", None))
        self._capabilities = Capabilities(task=Task.RERANK, context_length=loaded.frame.room, parameters=PARAMETERS)
        self._batch_tokens = self._settings.batch_tokens or fitting(config, model.device)
        self._loaded = loaded

    def read(self, first: Sequence[str], second: Sequence[str]) -> Reading:
        """Pairs as token ids, cut; one text in `first` goes with all of `second`. Safe beside `compute`."""
        loaded = self._model()
        encoded = _encode(loaded, [*first, *second])
        others = encoded[len(first) :]
        ones = encoded[:1] * len(others) if len(first) == 1 else encoded[: len(first)]
        pairs = tuple(loaded.frame.pair(one, other) for one, other in zip(ones, others, strict=True))
        room = loaded.frame.room
        return Reading(
            items=pairs,
            sizes=tuple(len(pair.ids) for pair in pairs),
            truncated=sum(pair.tokens > room for pair in pairs),
        )

    def compute(self, items: Sequence[Pair]) -> Scores:
        """The scores of pairs that were read, in their order; computed in batches of like lengths."""
        import numpy as np

        values = np.zeros(len(items), dtype=np.float32)
        for part in by_tokens([len(pair.ids) for pair in items], self._batch_tokens):
            values[part] = self._scored([items[place] for place in part])
        return Scores(values=values, tokens=tuple(pair.tokens for pair in items))

    def _scored(self, pairs: Sequence[Pair]) -> "NDArray[np.float32]":
        import torch

        loaded = self._model()
        rows = [pair.ids for pair in pairs]
        features = {"input_ids": padded(rows, loaded.padding), "attention_mask": mask(rows)}
        if loaded.kinds:
            features["token_type_ids"] = padded([pair.kinds for pair in pairs])
        model = loaded.model
        with torch.inference_mode():
            told = model({name: each.to(model.device) for name, each in features.items()})["scores"]
            values: NDArray[np.float32] = model.activation_fn(told.float()).reshape(-1).cpu().numpy()
        return values

    def _model(self) -> Loaded:
        if self._loaded is None:
            raise EngineDead(f"The reranker {self._source} is not running")
        return self._loaded


def shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text are read: the longer one is cut first, as tokenizers do (`longest_first`)."""
    if first + second <= room:
        return first, second
    short = min(first, second)
    if short <= room // 2:
        return (short, room - short) if first <= second else (room - short, short)
    less, more = room // 2, room - room // 2
    return (less, more) if first <= second else (more, less)


def _encode(loaded: Loaded, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, whole and without special tokens."""
    for place, text in enumerate(texts):
        if not text.strip():
            raise BadRequest(f"input[{place}] is empty", hint="send text", param=f"input[{place}]")
    given = [text.lower() for text in texts] if loaded.lower else list(texts)
    return [encoding.ids for encoding in loaded.tokenizer.encode_batch(given, add_special_tokens=False)]


def _look_at(model: Any, wanted_context: int | None) -> Loaded:
    """What tokenising by ourselves needs to know of a model. Raises ValueError for one that is not of this kind."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    network = model[0].auto_model
    if len(model) != 1 or not type(network).__name__.endswith("ForSequenceClassification"):
        raise ValueError(f"{type(network).__name__} does not classify pairs of texts")
    if model.num_labels != 1:
        raise ValueError(f"it has {model.num_labels} labels: a cross-encoder that ranks has one")
    if model.default_prompt_name is not None:
        raise ValueError(f"it puts the prompt {model.default_prompt_name!r} before texts, which is not done here")
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())  # ours: others set its padding
    tokenizer.no_truncation()
    tokenizer.no_padding()
    limits = [limit for limit in (model.max_seq_length, wanted_context) if limit]
    if not limits:
        raise ValueError("it does not say how many tokens it reads; set context_length")
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        padding=model.tokenizer.pad_token_id or 0,
        frame=_frame(tokenizer, min(limits)),
        kinds="token_type_ids" in model.tokenizer.model_input_names,
        lower=bool(getattr(model[0], "do_lower_case", False)),
    )


def _frame(tokenizer: Any, limit: int) -> Frame:
    """What the tokenizer puts around two texts, by a sample of each."""
    sample = tokenizer.encode("a", "a", add_special_tokens=True)
    ids, kinds, of = list(sample.ids), list(sample.type_ids), list(sample.sequence_ids)
    first, second = of.index(0), of.index(1)
    ended, end = len(of) - of[::-1].index(0), len(of) - of[::-1].index(1)
    return Frame(
        before=Special(ids=ids[:first], kinds=kinds[:first]),
        between=Special(ids=ids[ended:second], kinds=kinds[ended:second]),
        behind=Special(ids=ids[end:], kinds=kinds[end:]),
        kinds=(kinds[first], kinds[second]),
        room=limit - of.count(None),
    )
