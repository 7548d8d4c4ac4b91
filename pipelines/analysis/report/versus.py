"""Two runs against each other: prompt by prompt, in the configurations that both ran.

The run is made a factor like any parameter, so that the paired tests and equal companions of `comparisons` and
`levels` apply: neither other prompts nor other configurations of one run can pass for a difference.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cluster.errors import BadRequest
from pipelines.analysis.comparisons import Comparison, pairwise
from pipelines.analysis.frame import frame_of
from pipelines.analysis.levels import LevelFigure, levels
from pipelines.analysis.report import words
from pipelines.analysis.report.results import PREFERRED

if TYPE_CHECKING:
    import pyarrow as pa

RUN = "compared run"  # no parameter of a request has a blank in its name
FIRST, SECOND = "first", "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """figures: each run's mean. comparison: first minus second. matched: over equal configurations alone.

    settings: configurations that both ran, 0 where they share none.
    """

    metric: str
    figures: Sequence[LevelFigure]
    comparison: Comparison
    matched: bool
    settings: int

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        figures = [asdict(one) | {"settings": one.settings[RUN]} for one in self.figures]
        pair = asdict(self.comparison)
        del pair["first_settings"], pair["second_settings"]
        return {
            "metric": self.metric,
            "runs": figures,
            "difference": pair,
            "matched": self.matched,
            "shared_configurations": self.settings,
        }

    def lines(self, first: str, second: str) -> list[str]:
        """The same to read. first, second: the runs' names."""
        pair = self.comparison
        lines = [f"{self.metric}, mean and 95 % interval over prompts:"]
        for one in self.figures:
            name = first if one.settings[RUN] == FIRST else second
            lines.append(
                f"  {words.number(one.mean):>6}  {words.interval(one.low, one.high):<16}  n={one.prompts}  {name}"
            )
        if self.matched:
            count = "1 configuration" if self.settings == 1 else f"{self.settings} configurations"
            lines.append(f"over the {count} that both ran")
        else:
            lines.append("the runs share no configuration: the difference may be the configurations'")
        if pair.difference is None or pair.p is None:
            return [*lines, f"no test: {pair.reason}"]
        verdict = "they differ" if pair.significant else "no detectable difference"
        return [
            *lines,
            f"{verdict}: first minus second {words.number(pair.difference, 2)} "
            f"(95 % {words.interval(pair.low, pair.high, 2)}; n = {pair.prompts} prompts of both; {pair.test}; "
            f"p {words.p_value(pair.p)})",
        ]


def versus(tables: "Sequence[pa.Table]", *, metric: str | None = None) -> Versus:
    """The comparison of two runs' rows. Raises BadRequest where they share no prompt, or neither has the metric."""
    import pyarrow as pa

    rows = pa.concat_tables([_marked(table, run) for table, run in zip(tables, (FIRST, SECOND), strict=True)])
    frame = frame_of(rows)
    chosen = metric or next((name for name in PREFERRED if name in frame.metrics), PREFERRED[0])
    here = [set(table.column("prompt_hash").to_pylist()) for table in tables]
    if not here[0] & here[1]:
        raise BadRequest("The two sweeps have no prompt in common", hint="a comparison pairs prompts")
    figures = levels(frame, chosen, RUN)
    made: dict[str, set[str]] = {FIRST: set(), SECOND: set()}
    for one in frame.configurations:
        others = {name: value for name, value in one.settings.items() if name != RUN}
        made[one.settings[RUN]].add(json.dumps(others, sort_keys=True))
    found = pairwise(frame, chosen, by=RUN)
    if not found.pairs:
        raise BadRequest(f"There is nothing to compare: {found.reason}")
    return Versus(
        metric=chosen,
        figures=figures,
        comparison=found.pairs[0],
        matched=figures[0].matched,
        settings=len(made[FIRST] & made[SECOND]),
    )


def _marked(table: "pa.Table", run: str) -> "pa.Table":
    """The rows with their run as a parameter, and no configuration of another run's."""
    import pyarrow as pa

    texts = table.column("parameters").to_pylist()
    read = {text: json.dumps({**json.loads(text or "{}"), RUN: run}) for text in set(texts)}
    for name, values in (
        ("parameters", pa.array([read[text] for text in texts], pa.string())),
        ("config_id", pa.nulls(table.num_rows, pa.string())),
        ("run_id", pa.array([run] * table.num_rows, pa.string())),
    ):
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, values)
    return table
