"""Answers as vectors: their sentences, embedded once each, and from these the whole answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.sweeps.scoring.answer import Answer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.sweeps.scoring.scorers import Embed

MOST_SENTENCES = 100  # of one answer: embedding is what scoring takes its time for
LONGEST = 2000  # characters of one sentence: more than any embedder reads
BATCH = 256  # sentences in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """An answer's vectors. prose: of its running text's sentences, in order, a unit vector a row.

    whole: the unit mean of all its sentences' vectors, so that an embedder's limit cuts nothing off; None for an
    answer without any.
    """

    prose: "NDArray[np.float32]"
    whole: "NDArray[np.float64] | None"


def vectors_of(answers: Sequence[Answer], embed: "Embed") -> list[Vectors]:
    """The vectors of answers; each different sentence is embedded once. Raises what `embed` raises."""
    import numpy as np

    parts = [([_cut(each) for each in a.prose], [_cut(each) for each in a.all_sentences]) for a in answers]
    parts = [(prose[:MOST_SENTENCES], whole[:MOST_SENTENCES]) for prose, whole in parts]
    places = {text: at for at, text in enumerate(dict.fromkeys(s for both in parts for part in both for s in part))}
    texts = list(places)
    batches = [np.asarray(embed(texts[at : at + BATCH]), np.float32) for at in range(0, len(texts), BATCH)]
    table = np.concatenate(batches) if batches else np.zeros((0, 1), np.float32)
    if len(table) != len(texts):
        raise ValueError(f"the embedder gave {len(table)} vectors for {len(texts)} texts")
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    table = np.divide(
        table, lengths, out=table.copy(), where=lengths > 0
    )  # not all that are served are of one length
    return [
        Vectors(prose=table[[places[s] for s in prose]], whole=_whole(table[[places[s] for s in whole]]))
        for prose, whole in parts
    ]


def _cut(sentence: str) -> str:
    return sentence[:LONGEST]


def _whole(rows: "NDArray[np.float32]") -> "NDArray[np.float64] | None":
    import numpy as np

    mean = rows.astype(np.float64).sum(axis=0) if len(rows) else np.zeros(1)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else None
