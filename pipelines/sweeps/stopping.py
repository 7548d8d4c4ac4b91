"""When a configuration has repeats enough: its mean's interval over prompts is expected to be as narrow as asked.

Repeats go in rounds. A configuration whose interval is narrow after one takes part in the next, and in no further
one; what it leaves out stays planned, without a row. The one more is no waste: an interval is narrow by luck, too,
and a repeat that had no say in the decision takes some of that luck back. For the same reason the width is the
expected one (`pipelines.analysis.expected_width`, docs/statistics.md), not the one that is seen. A decision rests
on the repeats up to its round and on nothing later, so that a driver that was killed decides the same again. Pure:
who runs cells and reads rows is given in.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from cluster.errors import BadRequest
from pipelines.sweeps.strict import Strict

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.scoring.scorers import Scorers

LEAST_PROMPTS = 10  # with 5, tests of what was stopped err in 6.4 % (benchmarks/sweep_stopping.py)


class StopWhen(Strict):
    """The rule. metric: a score, or what was measured. half_width: of its 95 % interval over prompts, in its unit.

    min_repeats: that every configuration gets; the interval is looked at from one fewer on, and from two at least,
    as one repeat tells nothing of repeats. The width is the expected one: a mean's own may come out a little wider.
    """

    metric: str = Field(min_length=1, max_length=100)
    half_width: float = Field(gt=0, allow_inf_nan=False)
    min_repeats: int = Field(2, ge=2)

    @property
    def first_look(self) -> int:
        """After so many repeats it is looked at for the first time."""
        return max(2, self.min_repeats - 1)


def check_stop(
    rule: StopWhen, *, prompts: int, repeats: int, scorers: Collection[str] | None, judged: bool
) -> None:
    """Raises BadRequest with `param` for a rule that cannot save anything, or looks at what no row will have."""
    from pipelines.analysis.frame import MEASURES
    from pipelines.sweeps.scoring.scorers import VERSIONS
    from pipelines.sweeps.scoring_spec import JUDGED

    if prompts < LEAST_PROMPTS:
        raise BadRequest(
            f"stop_when needs {LEAST_PROMPTS} prompts or more: its interval is over prompts", param="stop_when"
        )
    if rule.min_repeats >= repeats:
        raise BadRequest(
            f"stop_when saves nothing: min_repeats is {rule.min_repeats}, and repeats {repeats}",
            hint="repeats is the most that a configuration gets",
            param="stop_when.min_repeats",
        )
    names = tuple(VERSIONS) + (JUDGED,) * judged if scorers is None else tuple(scorers)
    own = tuple(f"{name}_" for name in names if name not in VERSIONS)  # several scores of one scorer
    if rule.metric not in (*MEASURES, *names) and not rule.metric.startswith(own):
        raise BadRequest(
            f"stop_when looks at {rule.metric!r}, which no row will have",
            hint=f"known: {', '.join((*names, *MEASURES))}",
            param="stop_when.metric",
        )


def run_rounds(
    plan: "Plan",
    ordinals: Sequence[int],
    run_cells: Callable[[Sequence[int]], bool],
    rows: Callable[[int], "pa.Table | None"],
) -> list[int]:
    """Run what is due, round by round; the ordinals of what the rule left out.

    run_cells: runs some cells, and answers whether the next round may begin. rows: those of the repeats up to a
    number, with the rule's metric; None where it cannot be had, and then nothing is left out.
    """
    rule = plan.spec.stop_when
    assert rule is not None
    cells = (plan.cell(ordinal) for ordinal in ordinals)
    left = [(cell.ordinal, cell.repeat, cell.config_id) for cell in cells]
    left_out: list[int] = []
    for last in range(rule.first_look, plan.spec.repeats + 1):
        due = [ordinal for ordinal, repeat, _ in left if repeat <= last]
        left = [one for one in left if one[1] > last]
        if due and not run_cells(due):
            return []
        found = rows(last) if left else None
        narrow = set() if found is None else narrow_in(found, rule)
        needless = {one for one in left if one[2] in narrow and one[1] > last + 1}
        left_out += sorted(ordinal for ordinal, _, _ in needless)
        left = [one for one in left if one not in needless]
    return left_out


def only(scorers: "Scorers", metric: str) -> "Scorers":
    """As few as give the metric: each round scores all rows anew."""
    from pipelines.sweeps.scoring.scorers import VERSIONS

    if metric not in VERSIONS or metric == "overall":
        return scorers
    return replace(scorers, names=(metric,), custom=())


def narrow_in(rows: "pa.Table", rule: StopWhen) -> set[str]:
    """The ids of the configurations whose interval is narrow."""
    from pipelines.analysis.expected_width import expected_half_width
    from pipelines.analysis.frame import frame_of

    frame = frame_of(rows)
    if rule.metric not in frame.columns:
        return set()
    now, first = frame.blocks(rule.metric), frame.upto(rule.first_look).blocks(rule.metric)
    prompts = (now.count > 0).sum(axis=0)
    narrow = (prompts >= LEAST_PROMPTS) & (expected_half_width(first, now) <= rule.half_width)
    return {one.id for one, enough in zip(frame.configurations, narrow, strict=True) if enough}
