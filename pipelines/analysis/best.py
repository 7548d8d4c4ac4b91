"""Which configuration is best, how sure that is, and when nobody can tell.

P(best) is the share of cluster-bootstrap draws of prompts in which a configuration has the highest mean. Plain
draws are too sure of the luckiest of many equals, so means are drawn toward their common mean by what the spread
between them exceeds their error (empirical Bayes: Efron & Morris 1975), and the draws' variance is n/(n-1) of the
plain one's, which a sample of n prompts makes too small. Then P(best) is calibrated: of configurations with P(best)
0.8, about 80 % are (benchmarks/sweep_statistics.py).

A winner is named only when the leader differs from every other configuration by the paired test, corrected for
the k - 1 others: then a configuration that is not the best is named with probability alpha at most, and those that
are told apart from the leader leave the best among the rest (Hsu 1984's comparison with the best; by Bonferroni,
under 15 prompts by Westfall and Young). P(best) alone names nobody.

Where cells are missing, leader and P(best) go by means over the same prompts (`incomplete_blocks`), not by the
means of what went well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.analysis import comparisons, incomplete_blocks, resamples, signflips, student
from pipelines.analysis.figures import known
from pipelines.analysis.frame import MEASURES, Floats, Frame

NO_WINNER = "no detectable winner"
TEST = "comparison with the best"
COMPARED = ("behind", "low", "high", "p", "p_adjusted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One configuration. p_best: None where it has figures of fewer than two prompts.

    mean: of its own prompts. behind: by how much it is worse than the leader over the prompts of both, with its t
    interval, 95 % for all others together (Bonferroni: the leader was chosen for leading); p: two-sided, of that
    pair; p_adjusted: among the others. All None for the leader itself.
    """

    config_id: str
    label: str
    settings: Mapping[str, Any]
    mean: float | None
    p_best: float | None
    behind: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """leader: of the means over the same prompts, None without any. winner: its id where it is shown to be best.

    candidates: by P(best), the likeliest first. prompts: of the leader. p_adjusted: of the leader against its
    nearest rival. test: the pairs'. verdict: in words. reason: why there is no winner.
    """

    winner: str | None
    leader: str | None
    candidates: tuple[Candidate, ...]
    prompts: int
    alpha: float
    p_adjusted: float | None
    test: str
    verdict: str
    reason: str | None


def best(frame: Frame, metric: str, *, alpha: float = 0.05) -> Best:
    """P(best) of every configuration, and the winner if there is one. Raises BadRequest for an unknown metric.

    A score is best where it is highest; latency, tokens and cost where they are lowest.
    """
    return frame.once(("best", metric, alpha), lambda: _best(frame, metric, alpha))


def _best(frame: Frame, metric: str, alpha: float) -> Best:
    names = [configuration.id for configuration in frame.configurations]
    labels = [configuration.label for configuration in frame.configurations]
    settings = [configuration.settings for configuration in frame.configurations]
    return best_of(frame.blocks(metric).mean, names, labels, settings, alpha=alpha, lower=metric in MEASURES)


def best_of(
    matrix: Floats,
    names: list[str],
    labels: list[str],
    settings: Sequence[Mapping[str, Any]],
    *,
    alpha: float = 0.05,
    lower: bool = False,
    drawn: bool = True,
) -> Best:
    """The same of a matrix: prompts by treatments. lower: the lowest is the best. drawn: with P(best)."""
    sign = -1.0 if lower else 1.0
    matrix = sign * matrix
    moments = student.columns_of(matrix)
    if not np.isfinite(moments.mean).any():
        return _none("nothing was measured", alpha)
    leader = int(np.nanargmax(incomplete_blocks.filled(matrix).mean(axis=0)))
    p_best = probabilities(matrix) if drawn else np.full(len(names), np.nan)
    tests = comparisons.paired(matrix[:, [leader]] - matrix)
    others = max(int((moments.n > 0).sum()) - 1, 1)
    half = student.half_width(tests.moments, 1 - (1 - student.LEVEL) / others)
    p_adjusted, behind = _adjusted(tests, matrix[:, [leader]] - matrix, leader, others), tests.moments.mean
    compared = np.stack([behind, behind - half, behind + half, tests.p, p_adjusted])
    compared[:, leader] = np.nan
    candidates = [
        Candidate(
            config_id=names[place],
            label=labels[place],
            settings=settings[place],
            mean=known(sign * moments.mean[place]),
            p_best=known(p_best[place]),
            **dict(zip(COMPARED, map(known, compared[:, place]), strict=True)),
        )
        for place in range(len(names))
    ]
    rivals = [place for place in range(len(names)) if place != leader and moments.n[place]]
    reason = _reason(tests, p_adjusted, rivals, alpha, labels)
    return Best(
        winner=None if reason else names[leader],
        leader=names[leader],
        candidates=tuple(
            sorted(candidates, key=lambda each: (each.mean is None, -(each.p_best or 0.0), each.behind or 0.0))
        ),
        prompts=int(moments.n[leader]),
        alpha=alpha,
        p_adjusted=known(max((p_adjusted[place] for place in rivals), default=np.nan)),
        test=str(tests.test[rivals[0]]) if rivals else TEST,
        verdict=NO_WINNER if reason else f"{labels[leader]} is best",
        reason=reason,
    )


def _adjusted(tests: comparisons.Paired, differences: Floats, leader: int, others: int) -> Floats:
    bonferroni = np.minimum(1.0, tests.p * others)
    if not tests.flipped:
        return np.asarray(bonferroni)
    rest = np.arange(len(tests.p)) != leader
    found = np.full(len(tests.p), np.nan)
    found[rest] = signflips.adjusted(differences[np.ix_(tests.here, rest)])
    return np.asarray(np.maximum(tests.p, found))


def probabilities(matrix: Floats) -> Floats:
    """P(best) of each column; ties share a draw. NaN under two prompts: nothing tells its error."""
    n = np.isfinite(matrix).sum(axis=0)
    found = np.full(matrix.shape[1], np.nan)
    there = n > 1
    if there.any():
        drawn = _posterior(matrix[:, there])
        top = drawn == np.max(drawn, axis=1, keepdims=True)
        found[there] = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    return found


def _posterior(matrix: Floats) -> Floats:
    """Draws (rows) of the true means: bootstrap deviations and estimates, both shrunk.

    Gaps are filled so that draws of prompts compare like with like; a column's deviations are as large as its own
    prompts, which are fewer, leave them.
    """
    whole = incomplete_blocks.filled(matrix)
    mean, n = whole.mean(axis=0), len(whole)
    own = np.isfinite(matrix).sum(axis=0)
    relative = whole - whole.mean(axis=1, keepdims=True)  # what all share of a prompt ranks nobody
    off = (resamples.means(relative) - relative.mean(axis=0)) * np.sqrt(n / max(n - 1, 1)) * (n / own)
    kept = _kept(matrix, mean)
    middle = mean.mean()
    return np.asarray(middle + kept * (mean - middle) + np.sqrt(kept) * off)


def _kept(matrix: Floats, means: Floats) -> float:
    """The share of the spread between columns that is no error, 0 to 1.

    The factor (k - 1) / (k + 1) stands between the unbiased (k - 3) / (k - 1) of Morris 1983, which does nothing
    for two or three columns, and the moments' 1; of the three it gave the best calibrated P(best).
    """
    count = matrix.shape[1]
    if count < 2:
        return 1.0
    matrix = matrix[np.isfinite(matrix).any(axis=1)]
    here = np.isfinite(matrix)
    # What all columns share of a prompt cancels between them: the error is what is left of each.
    centred = np.where(here, matrix - np.nanmean(matrix, axis=1, keepdims=True, where=here), np.nan)
    left = student.columns_of(centred)
    error = float(np.nanmean(np.where(left.n > 1, left.error, np.nan) ** 2)) * count / (count - 1)
    between = float(np.var(means, ddof=1))
    return max(0.0, 1 - (count - 1) / (count + 1) * error / between) if between > 0 else 0.0


def _reason(
    tests: comparisons.Paired, p_adjusted: Floats, rivals: list[int], alpha: float, labels: list[str]
) -> str | None:
    if not rivals:
        return "there is nothing to compare it with"
    if any(not np.isfinite(tests.p[place]) for place in rivals):
        return "a comparison needs two prompts that both configurations have"
    close = [place for place in rivals if p_adjusted[place] > alpha]
    if not close and any(tests.moments.mean[place] <= 0 for place in rivals):
        return "a configuration is better than the leader over the prompts that both have"
    if close:
        nearest = min(close, key=lambda place: -p_adjusted[place])
        count = "one configuration is" if len(close) == 1 else f"{len(close)} configurations are"
        return f"{count} not distinguishable from the leader, {labels[nearest]} least"
    return None


def _none(reason: str, alpha: float) -> Best:
    return Best(
        winner=None,
        leader=None,
        candidates=(),
        prompts=0,
        alpha=alpha,
        p_adjusted=None,
        test=TEST,
        verdict=NO_WINNER,
        reason=reason,
    )
