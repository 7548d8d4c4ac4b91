"""Scores from stored text: at the end of each session, and again by `sweep rescore`. No cell is generated again."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cluster.errors import HeliostatError
from cluster.stores.run_parts import Prepare
from cluster.stores.runs import Run
from cluster.types import EmbeddingCall
from pipelines.documents.served import Served
from pipelines.sweeps.spec import SweepSpec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from pipelines.sweeps.scoring.scorers import Scorers


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Who helps to score. embedder: the id of the served embedding model, None where there is none."""

    application: str
    embedder: str | None = None


def scorers_for(spec: SweepSpec, desk: Desk | None) -> "Scorers":
    """What a spec asks for, with the served models' help; desk: None is without any cluster."""
    from pipelines.sweeps.judging import asking
    from pipelines.sweeps.scoring.scorers import VERSIONS, Scorers, scorers_of
    from pipelines.sweeps.scoring_spec import JUDGED

    embed = judge = ask = None
    if desk is not None and desk.embedder is not None:
        embed = partial(_embed, Served(desk.application, "Embedder"))
    if spec.judge is not None:
        judge = spec.judge.judge
        if desk is not None:
            ask = asking(desk.application, judge)
    embedder = desk.embedder if embed is not None and desk is not None else None
    if spec.scorers is None and spec.weights is None:  # ours; to look for others reads all that is installed
        names = (*VERSIONS, JUDGED) if judge is not None else tuple(VERSIONS)
        return Scorers(names=names, embed=embed, embedder=embedder, judge=judge, ask=ask)
    return scorers_of(
        spec.scorers,
        weights=spec.weights,
        embed=embed,
        embedder=embedder,
        judge=judge,
        ask=ask,
    )


def preparing(scorers: "Scorers", *, again: bool) -> Prepare:
    """Scores the rows of each prompt. again: also where all have scores and no row is new."""
    from pipelines.sweeps.scoring.rows import score_rows

    def prepare(rows: "pa.Table") -> "pa.Table":
        if not again and _scored(rows):
            return rows
        return score_rows(rows, scorers)

    return prepare


def finish(run: Run, session: str, spec: SweepSpec, scorers: Callable[[], "Scorers"]) -> "Finished":
    """Compact the run, with scores where any are missing; all anew where the spec scores otherwise than before.

    A run is never lost to its scores: then its rows are stored without, and `sweep rescore` makes them.
    """
    known, mark = run.scored_by, spec.scored_by
    if known == mark and _scored(run.table(["error_code", "scores"])):
        return Finished(rows=run.compact(session))
    had = known is not None and bool(run.files())
    try:
        rows = run.compact(session, preparing(scorers(), again=known != mark))
    except HeliostatError as error:
        return Finished(rows=run.compact(session), unscored=error.line())
    run.note_scored(mark)
    return Finished(rows=rows, rescored=had and known != mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A compacted run. unscored: why it has no scores by its spec, None where it has them.

    rescored: its scores were made anew, because the spec's scorers, weights or judge are others than before.
    """

    rows: int
    unscored: str | None = None
    rescored: bool = False


def rescore(run: Run, scorers: "Scorers", spec: SweepSpec) -> int:
    """Score all stored rows again; returns how many there are. Raises Conflict while a driver holds the run.

    spec: the run's own, or with another judge: it is stored, and later sessions score as this one. Killed before
    its end, the run's next session scores.
    """
    with run.held() as session:
        if spec.canonical() != run.spec():
            run.begin(spec.canonical(), run.manifest())
        rows = run.compact(session, preparing(scorers, again=True))
        run.note_scored(spec.scored_by)
        return rows


def _scored(rows: "pa.Table") -> bool:
    import pyarrow.compute as pc

    missing = pc.and_(pc.is_null(rows.column("error_code")), pc.is_null(rows.column("scores")))
    return not pc.any(missing).as_py()


def _embed(served: Served, texts: list[str]) -> "NDArray[np.float32]":
    call = EmbeddingCall(inputs=tuple(texts), request_id=f"scores-{secrets.token_hex(4)}")
    vectors: NDArray[np.float32] = served.call("embed", call).vectors
    return vectors
