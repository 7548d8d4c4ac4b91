"""What the figures do not see: cells that failed or could not be scored, and whose they are.

Means are of what went well. Where one configuration loses more cells than the others, its mean is a survivor's, so
the loss is tested like any other figure: each prompt's share of lost cells against that of the other
configurations, paired.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.analysis import comparisons, signflips, student
from pipelines.analysis.frame import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Attrition:
    """The configuration that lost most, against the mean of the others, over prompts.

    share, others: lost cells, in percent; apart: share minus others, in points, with its 95 % interval for
    whichever configuration it was (Bonferroni). cells, asked: lost, of all. p_adjusted: among the configurations.
    """

    label: str
    share: float
    others: float
    apart: float
    low: float
    high: float
    prompts: int
    cells: int
    asked: int
    test: str
    p_adjusted: float
    significant: bool


def attrition(frame: Frame, metric: str, *, alpha: float = 0.05) -> Attrition | None:
    """None where nothing is missing, or nothing can be compared. Raises BadRequest for an unknown metric."""
    asked, count = frame.asked, frame.blocks(metric).count
    lost = asked - count
    if asked.shape[1] < 2 or not lost.any():
        return None
    share = np.divide(lost, asked, out=np.full(asked.shape, np.nan), where=asked > 0) * 100
    here = np.isfinite(share)
    others_n = here.sum(axis=1, keepdims=True) - here
    total = np.where(here, share, 0.0)
    rest = np.divide(
        total.sum(axis=1, keepdims=True) - total, others_n, out=np.full(share.shape, np.nan), where=others_n > 0
    )
    differences = np.where(here, share - rest, np.nan)
    tests = comparisons.paired(differences)
    means = tests.moments.mean
    if not (np.isfinite(means) & (tests.moments.n > 1)).any():
        return None
    worst = int(np.nanargmax(np.where(tests.moments.n > 1, means, np.nan)))
    tried = asked.shape[1] if asked.shape[1] > 2 else 1  # of two, one's loss is the other's gain
    half = float(student.half_width(tests.moments, 1 - (1 - student.LEVEL) / tried)[worst])
    p_adjusted = min(1.0, float(tests.p[worst]) * tried)
    if tests.flipped:
        p_adjusted = max(float(tests.p[worst]), float(signflips.adjusted(differences[tests.here])[worst]))
    both = np.isfinite(differences[:, worst])
    return Attrition(
        label=frame.configurations[worst].label,
        share=float(share[both, worst].mean()),
        others=float(rest[both, worst].mean()),
        apart=float(means[worst]),
        low=max(-100.0, float(means[worst]) - half),
        high=min(100.0, float(means[worst]) + half),
        prompts=int(tests.moments.n[worst]),
        cells=int(lost.sum()),
        asked=int(asked.sum()),
        test=str(tests.test[worst]),
        p_adjusted=p_adjusted,
        significant=bool(p_adjusted <= alpha and means[worst] > 0),
    )
