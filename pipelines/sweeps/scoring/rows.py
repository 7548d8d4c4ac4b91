"""A whole run's rows, scored: features, scores and versions filled, prompt by prompt.

Diversity needs an answer's repeats, novelty the greedy answer, a length without a target the prompt's other
answers: so the rows of a prompt belong together. The stored text is all that is read: scoring again generates
nothing.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipelines.sweeps.scoring.prompt_rows import FILLED, NOTHING, PromptRows, Values
from pipelines.sweeps.scoring.scorers import Scorers

if TYPE_CHECKING:
    import pyarrow as pa


def score_rows(rows: "pa.Table", scorers: Scorers) -> "pa.Table":
    """The rows, in their order, with FILLED filled; those of an error stay NULL.

    Pure: the same rows have the same scores. The column `completeness` is `completeness/1`, as the runner writes
    it; the score of that name is `completeness/2`. Raises what `scorers.embed` and `scorers.ask` raise.
    """
    values = [NOTHING] * rows.num_rows
    for places in _prompts(rows):
        for place, found in zip(places, PromptRows(rows.take(places), scorers).values(), strict=True):
            values[place] = found
    return _with(rows, values)


def by_prompt(rows: "pa.Table", scorers: Scorers) -> "Iterator[pa.Table]":
    """What `score_rows` gives, a table a prompt, in order of appearance: for a run too large to hold twice."""
    for places in _prompts(rows):
        part = rows.take(places)
        yield _with(part, PromptRows(part, scorers).values())


def _prompts(rows: "pa.Table") -> list[list[int]]:
    found: dict[str | None, list[int]] = {}
    for place, prompt in enumerate(rows.column("prompt_id").to_pylist()):
        found.setdefault(prompt, []).append(place)
    return list(found.values())


def _with(rows: "pa.Table", values: Sequence[Values]) -> "pa.Table":
    import pyarrow as pa

    for place, name in enumerate(FILLED):
        kind = pa.float64() if name == "completeness" else pa.string()
        column = pa.array([each[place] for each in values], kind)
        at = rows.schema.get_field_index(name)
        rows = rows.append_column(name, column) if at < 0 else rows.set_column(at, pa.field(name, kind), column)
    return rows
