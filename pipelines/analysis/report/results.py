"""What a run found, computed once: the page, the PDF, the workbook and the API all read this one value."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.analysis.best import Best, best
from pipelines.analysis.comparisons import Comparisons, pairwise
from pipelines.analysis.effects import Anova, anova
from pipelines.analysis.frame import COLUMNS as FRAME_COLUMNS
from pipelines.analysis.frame import Frame, frame_of
from pipelines.analysis.friedman import Friedman, friedman
from pipelines.analysis.insights import Insights, insights
from pipelines.analysis.intervals import ConfigurationFigure, configurations
from pipelines.analysis.levels import LevelFigure, levels
from pipelines.analysis.pareto import Front, front
from pipelines.analysis.preferences import Preferences, preferences
from pipelines.analysis.variance import Split, split

if TYPE_CHECKING:
    import pyarrow as pa

PREFERRED = ("overall", "completeness")  # what a report is about where nobody says
COLUMNS = (*FRAME_COLUMNS, "score_versions")
"""The columns of a stored run that `results_of` reads: not its texts."""

MOST_LEVELS = 40  # of a factor: beyond, a chart shows nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The statistics of one metric. effects: a factor's levels. pairs: of two factors' levels together."""

    configurations: Sequence[ConfigurationFigure]
    comparisons: Comparisons
    friedman: Friedman
    anova: Anova
    effects: Mapping[str, Sequence[LevelFigure]]
    pairs: Mapping[tuple[str, str], Sequence[LevelFigure]]
    split: Split
    front: Front
    best: Best
    insights: Insights


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """name: of the run. metric: what the figures are of, 0 to 100. cells, errors: rows, greedy anchors included.

    newest: when the last cell was asked; what a report has for a date, so that the same rows make the same report.
    findings: None where no cell has the metric (`reason` says why). versions: metric -> version, as stored.
    preferences: of each judge that compared pairs of answers.
    """

    name: str
    spec: Mapping[str, Any] | None
    metric: str
    cells: int
    errors: int
    newest: datetime | None
    frame: Frame
    versions: Mapping[str, str]
    findings: Findings | None
    reason: str | None
    preferences: Sequence[Preferences] = ()


def results_of(
    rows: "pa.Table",
    *,
    name: str,
    spec: Mapping[str, Any] | None = None,
    metric: str | None = None,
    verdicts: "Iterable[pa.Table]" = (),
) -> Results:
    """The results of a run's rows. metric: `overall` where it was computed, else completeness, unless named.

    verdicts: on pairs of answers, a table for each judge (`cluster.stores.run_pairs.RunPairs.judges`). Raises
    BadRequest for a metric that no cell has, while others are there.
    """
    import pyarrow.compute as pc

    frame = frame_of(rows)
    chosen = metric or next((one for one in PREFERRED if one in frame.metrics), (*frame.metrics, PREFERRED[0])[0])
    failed = rows.num_rows - rows.column("error_code").null_count if "error_code" in rows.column_names else 0
    newest = pc.max(rows.column("started")).as_py() if rows.num_rows and "started" in rows.column_names else None
    findings = reason = None
    if frame.metrics:
        findings = _findings(frame, chosen)
    else:
        reason = "no cell has been scored yet" if len(frame) else "no cell has gone well yet"
    return Results(
        name=name,
        spec=spec,
        metric=chosen,
        cells=rows.num_rows,
        errors=failed,
        newest=newest.astimezone(UTC) if newest is not None else None,
        frame=frame,
        versions=_versions(rows),
        findings=findings,
        reason=reason,
        preferences=[preferences(one) for one in verdicts],
    )


def _findings(frame: Frame, metric: str) -> Findings:
    effects = anova(frame, metric)
    drawn = [factor for factor in frame.factors if len(frame.levels(factor)) <= MOST_LEVELS]
    strength = {frozenset(effect.factors): effect.squares for effect in effects.effects}
    pairs = [(first, second) for place, first in enumerate(drawn) for second in drawn[place + 1 :]]
    pairs.sort(key=lambda pair: -strength.get(frozenset(pair), 0.0))
    return Findings(
        configurations=configurations(frame, metric),
        comparisons=pairwise(frame, metric),
        friedman=friedman(frame, metric),
        anova=effects,
        effects={factor: levels(frame, metric, factor) for factor in drawn},
        pairs={pair: levels(frame, metric, *pair) for pair in pairs},
        split=split(frame, metric),
        front=front(frame, metric),
        best=best(frame, metric),
        insights=insights(frame, metric),
    )


def _versions(rows: "pa.Table") -> dict[str, str]:
    """The metrics' versions; several of one metric, as after a change between two sessions, are all there."""
    import pyarrow.compute as pc

    found: dict[str, set[str]] = {}
    if "score_versions" in rows.column_names:
        for text in pc.unique(rows.column("score_versions")).to_pylist():
            for name, version in json.loads(text or "{}").items():
                found.setdefault(name, set()).add(str(version))
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}
