"""Differences between configurations, or between a factor's levels, prompt by prompt.

One difference a prompt (means over repeats) is one independent sample: testing rows instead gave false positives
of 18 to 41 % where 5 % was asked. From 15 prompts on the paired t test (Student 1908), below the exact paired
permutation test, or Wilcoxon's where the pairs are too many for it. All pairs that were looked at are in the
correction. Up to 20 pairs under 15 prompts are corrected by Westfall and Young's step-down over the same sign
patterns: Holm multiplies a p that cannot be small (8 prompts: 0.008), and would find nothing among 7 pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadRequest
from pipelines.analysis import corrections, incomplete_blocks, signflips, student, wilcoxon
from pipelines.analysis.figures import known
from pipelines.analysis.frame import MEASURES, Codes, Floats, Frame
from pipelines.analysis.levels import marginal
from pipelines.analysis.standardised import effects_of

T_TEST, PERMUTATION, WILCOXON = (
    "paired t test",
    "exact paired permutation test",
    "exact Wilcoxon signed-rank test",
)
PATTERNS = 20_000_000  # sign patterns of all pairs together; more take longer than a page should
LISTED = 200  # pairs; of more, those with the leader are listed
TESTED = 100_000  # pairs; of more, only those with the leader are tested: memory and time grow with the pairs
VALUES = 1 << 22  # differences in memory at once, each a few times: 32 MB

ONE_PROMPT = "a comparison needs two prompts that both have"
NO_SPREAD = "the differences are all equal, so there is no standardised effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`first` minus `second`. prompts: n, those that have both. test: its name.

    difference: mean over prompts, in the metric's units, with its 95 % t interval (of this pair alone).
    p: two-sided; p_adjusted: among the family. effect: Hedges' g with its 95 % interval. reason: why something
    is None. first_settings, second_settings: what was compared.
    """

    first: str
    second: str
    first_settings: Mapping[str, Any]
    second_settings: Mapping[str, Any]
    prompts: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    test: str
    significant: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """pairs: those that are listed. family: pairs that were tested and corrected for. correction: its name;
    Bonferroni is for all pairs there are, where only those with the leader were tested.

    findings: significant pairs among all of the family. against: the one that all listed pairs have first, or
    None where every pair is listed. reason: why there are no pairs.
    """

    pairs: tuple[Comparison, ...]
    family: int
    correction: str
    alpha: float
    findings: int
    against: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The tests of columns of differences. test: which one was used for a column. here: rows that have any."""

    moments: student.Columns
    p: Floats
    test: NDArray[np.str_]
    here: NDArray[np.bool_]

    @property
    def flipped(self) -> bool:
        """Whether the sign patterns of all rows together can be gone through."""
        return 1 < self.here.sum() < signflips.EXACT_UNDER and WILCOXON not in self.test


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tests that were corrected together, and how."""

    tests: Paired
    p_adjusted: Floats
    correction: str


def paired(differences: Floats, exact: str | None = None) -> Paired:
    """Test each column (rows: prompts, NaN left out) against 0; p is NaN under two prompts.

    exact: the test of few prompts, where the columns are a part of those that are tested together.
    """
    moments = student.columns_of(differences)
    p = student.p_values(moments)
    few = (moments.n < signflips.EXACT_UNDER) & (moments.n > 1)
    exact = exact or _exact_test(moments.n)
    if few.any():
        p[few] = _exact(differences[:, few], exact)
    return Paired(
        moments=moments,
        p=p,
        test=np.where(moments.n < signflips.EXACT_UNDER, exact, T_TEST),
        here=np.asarray(np.isfinite(differences).any(axis=1)),
    )


def family(differences: Floats, correction: str = "auto") -> Family:
    """Test columns of differences, corrected together. Raises BadRequest for an unknown correction."""
    rule, tests = corrections.chosen(correction, differences.shape[1]), paired(differences)
    if correction == "auto" and rule == corrections.HOLM and tests.flipped:
        p_adjusted = np.maximum(tests.p, signflips.adjusted(differences[tests.here]))
        return Family(tests=tests, p_adjusted=p_adjusted, correction=corrections.WESTFALL_YOUNG)
    return Family(tests=tests, p_adjusted=corrections.adjusted(tests.p, rule), correction=rule)


def pairwise(
    frame: Frame,
    metric: str,
    *,
    baseline: str | None = None,
    by: str | None = None,
    correction: str = "auto",
    alpha: float = 0.05,
) -> Comparisons:
    """Every pair, or each against the baseline. by: compare a factor's levels, not configurations.

    baseline: a config_id, or the level of `by` as text. Of more than 200 pairs those with the leader (as `best`
    has it) are listed; the correction is over all, as the leader was chosen after looking. Raises BadRequest for an
    unknown metric, factor, baseline or correction.
    """
    names, settings, matrix = _treatments(frame, metric, by)
    count = len(names) * (len(names) - 1) // 2 if baseline is None else len(names) - 1
    leader = _leader(matrix, lower=metric in MEASURES) if baseline is None and count > LISTED else None
    alone = leader is not None and count > TESTED
    pairs = _pairs(names, names[leader] if leader is not None and alone else baseline)
    rule = corrections.chosen(correction, count)
    if not len(pairs):
        reason = f"there is one {by or 'configuration'} only" if len(names) == 1 else "nothing was measured"
        return Comparisons(
            pairs=(), family=0, correction=rule, alpha=alpha, findings=0, against=baseline, reason=reason
        )
    if leader is not None and alone:
        pairs = pairs[:, ::-1]
        found = _with_leader(matrix, leader, correction)
    else:
        found = _of_pairs(matrix, pairs, correction)
    tests, p_adjusted, rule = found.tests, found.p_adjusted, found.correction
    shown = np.arange(len(pairs)) if leader is None else np.flatnonzero((pairs == leader).any(axis=1))
    listed = _listed(tests, p_adjusted, shown, alpha)
    # A listed pair has what it is listed against first.
    turned = [leader is not None and pairs[place, 1] == leader for place in shown]
    return Comparisons(
        pairs=tuple(
            _comparison(figures, pairs[place][::-1] if turn else pairs[place], names, settings, turned=turn)
            for figures, place, turn in zip(listed, shown, turned, strict=True)
        ),
        family=int(np.isfinite(tests.p).sum()),
        correction=rule,
        alpha=alpha,
        findings=int((p_adjusted <= alpha).sum()),
        against=names[leader] if leader is not None else baseline,
        reason=None,
    )


def _exact_test(n: Codes) -> str:
    """The test of all columns with few prompts, of columns with so many."""
    few = (n < signflips.EXACT_UNDER) & (n > 1)
    return WILCOXON if (2.0 ** (n[few] - 1)).sum() > PATTERNS else PERMUTATION


def _of_pairs(matrix: Floats, pairs: Codes, correction: str) -> Family:
    """The pairs' tests, so many pairs at a time that memory is bounded."""
    step = max(1, VALUES // max(len(matrix), 1))
    if len(pairs) <= step:
        return family(matrix[:, pairs[:, 0]] - matrix[:, pairs[:, 1]], correction)
    rule = corrections.chosen(correction, len(pairs))
    here = np.isfinite(matrix).astype(np.float64)
    exact = _exact_test((here.T @ here)[pairs[:, 0], pairs[:, 1]].astype(np.int64))
    blocks = [pairs[start : start + step] for start in range(0, len(pairs), step)]
    parts = [paired(matrix[:, block[:, 0]] - matrix[:, block[:, 1]], exact) for block in blocks]
    tests = Paired(
        moments=student.Columns(
            n=np.concatenate([part.moments.n for part in parts]),
            mean=np.concatenate([part.moments.mean for part in parts]),
            sd=np.concatenate([part.moments.sd for part in parts]),
        ),
        p=np.concatenate([part.p for part in parts]),
        test=np.concatenate([part.test for part in parts]),
        here=np.asarray(np.logical_or.reduce([part.here for part in parts])),
    )
    return Family(tests=tests, p_adjusted=corrections.adjusted(tests.p, rule), correction=rule)


def _with_leader(matrix: Floats, leader: int, correction: str) -> Family:
    """Every other with the leader, corrected for all pairs there are, of which any could have been these."""
    if correction != "auto":
        raise BadRequest(
            f"So many configurations are compared with the leader alone, without {correction!r}",
            hint=f"the correction 'auto' serves more than {TESTED:,} pairs, or name a baseline",
            param="correction",
        )
    tests = paired(matrix[:, [leader]] - np.delete(matrix, leader, axis=1))
    count = matrix.shape[1] * (matrix.shape[1] - 1) // 2
    return Family(tests=tests, p_adjusted=np.minimum(1.0, tests.p * count), correction=corrections.BONFERRONI)


def _exact(differences: Floats, test: str) -> Floats:
    """Columns with the same prompts are tested together, so that missing ones make no pattern twice."""
    found = np.full(differences.shape[1], np.nan)
    p_values = wilcoxon.p_values if test == WILCOXON else signflips.p_values
    here = np.isfinite(differences)
    kinds, kind = np.unique(here, axis=1, return_inverse=True)
    for place in range(kinds.shape[1]):
        columns = np.flatnonzero(kind == place)
        found[columns] = p_values(differences[np.ix_(kinds[:, place], columns)])
    return found


def _treatments(
    frame: Frame, metric: str, by: str | None
) -> tuple[Sequence[str], Sequence[Mapping[str, Any]], Floats]:
    if by is None:
        matrix = frame.blocks(metric).mean
        ids = [configuration.id for configuration in frame.configurations]
        return ids, [configuration.settings for configuration in frame.configurations], matrix
    found = marginal(frame, metric, by)
    return [str(settings[by]) for settings in found.settings], found.settings, found.matrix


def _pairs(names: Sequence[str], baseline: str | None) -> Codes:
    if baseline is None:
        return np.stack(np.triu_indices(len(names), 1), axis=1)
    if baseline not in names:
        raise BadRequest(
            f"There is no {baseline!r} to compare with", hint=f"one of {', '.join(names[:10])}", param="baseline"
        )
    at = names.index(baseline)
    others = np.array([place for place in range(len(names)) if place != at], np.int64)
    return np.stack([others, np.full(len(others), at)], axis=1)


def _leader(matrix: Floats, *, lower: bool) -> int | None:
    means = incomplete_blocks.filled(-matrix if lower else matrix).mean(axis=0)
    return int(np.nanargmax(means)) if np.isfinite(means).any() else None


def _listed(tests: Paired, p_adjusted: Floats, shown: Codes, alpha: float) -> list[dict[str, Any]]:
    moments = student.Columns(n=tests.moments.n[shown], mean=tests.moments.mean[shown], sd=tests.moments.sd[shown])
    effects, half = effects_of(moments), student.half_width(moments)
    return [
        {
            "prompts": int(moments.n[row]),
            "difference": known(moments.mean[row]),
            "low": known(moments.mean[row] - half[row]),
            "high": known(moments.mean[row] + half[row]),
            "p": known(tests.p[place]),
            "p_adjusted": known(p_adjusted[place]),
            "effect": known(effects.g[row]),
            "effect_low": known(effects.low[row]),
            "effect_high": known(effects.high[row]),
            "test": str(tests.test[place]),
            "significant": bool(p_adjusted[place] <= alpha),
            "reason": ONE_PROMPT if moments.n[row] < 2 else NO_SPREAD if moments.sd[row] == 0 else None,
        }
        for row, place in enumerate(shown)
    ]


def _comparison(
    figures: dict[str, Any],
    pair: Codes,
    names: Sequence[str],
    settings: Sequence[Mapping[str, Any]],
    *,
    turned: bool,
) -> Comparison:
    if turned:
        for low, middle, high in (("low", "difference", "high"), ("effect_low", "effect", "effect_high")):
            old = {name: figures[name] for name in (low, middle, high)}
            figures[low], figures[middle], figures[high] = (
                None if old[name] is None else -old[name] for name in (high, middle, low)
            )
    first, second = pair
    return Comparison(
        first=names[first],
        second=names[second],
        first_settings=settings[first],
        second_settings=settings[second],
        **figures,
    )
