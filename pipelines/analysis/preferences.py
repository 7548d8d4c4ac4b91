"""Who wins before a judge, prompt by prompt: from stored verdicts on pairs of answers to win rates and a test.

A prompt's figure is the mean over the verdicts on its pairs: 1 for a win, a half for a tie, 0 for a loss; a winner
that changed with the order of the answers is a tie. A win rate is the mean over prompts, as they are independent.
Under no preference a prompt's figure is as likely on the other side of a half, so the paired tests of `comparisons`
apply to the figure less a half. All pairs of one judge are one family.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis import student
from pipelines.analysis.comparisons import family
from pipelines.analysis.figures import known

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

EVEN = 0.5
ADDED = (0.0, 0.0, 1.0, 1.0)
"""Prompts that an interval adds (Agresti and Coull 1998): unanimous ones have no spread, and are not certain."""

UNREAD = "no verdict could be read"
ONE_PROMPT = "one prompt: a win rate without an interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """`first` against `second`. prompts: n. verdicts: that could be read, one a pair of answers and judge's repeat.

    wins, losses, ties: of `first`, in verdicts. swayed: of the ties, those whose winner changed with the order.
    broken: verdicts that could not be read. win_rate: 0 to 100 with its 95 % interval over prompts, 50 is even.
    p: two-sided; p_adjusted: among all pairs of the judge. reason: why something is None.
    """

    first: str
    second: str
    prompts: int
    verdicts: int
    wins: int
    losses: int
    ties: int
    swayed: int
    broken: int
    win_rate: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    test: str
    significant: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One configuration against all others that it was judged against; win_rate with its 95 % interval."""

    config_id: str
    prompts: int
    opponents: int
    win_rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What one judge says. judge, revision, prompt_hash, repeats, version, criteria: who judged, told what.

    pairs: every two configurations that were judged. standings: the highest win rate first. swayed: share of all
    verdicts, 0 to 1, whose winner changed with the order; broken: that could not be read. family: pairs tested.
    """

    judge: str
    revision: str | None
    prompt_hash: str
    repeats: int
    version: str
    criteria: Mapping[str, str]
    pairs: tuple[Preference, ...]
    standings: tuple[Standing, ...]
    swayed: float | None
    broken: float | None
    correction: str
    family: int
    findings: int
    alpha: float


def preferences(verdicts: "pa.Table", *, alpha: float = 0.05) -> Preferences:
    """The win rates of one judge's verdicts (columns: `cluster.stores.run_pairs.schema`), at least one row."""
    rows = verdicts.to_pylist()
    about = rows[0]
    prompts = {one: place for place, one in enumerate(dict.fromkeys(row["prompt_hash"] for row in rows))}
    places = {
        one: place for place, one in enumerate(dict.fromkeys((r["first_config"], r["second_config"]) for r in rows))
    }
    points, counts = np.zeros((2, len(prompts), len(places)))
    said = np.zeros((5, len(places)), np.int64)
    for row in rows:
        at = prompts[row["prompt_hash"]], places[row["first_config"], row["second_config"]]
        wins, losses, ties = row["first_wins"], row["second_wins"], row["ties"]
        points[at] += wins + EVEN * ties
        counts[at] += wins + losses + ties
        said[:, at[1]] += (wins, losses, ties, row["swayed"], row["broken"])
    rates = np.full(points.shape, np.nan)
    np.divide(points, counts, out=rates, where=counts > 0)
    corrected = family(rates - EVEN)
    tests, adjusted = corrected.tests, corrected.p_adjusted
    read, broken = int(counts.sum()), int(said[4].sum())
    return Preferences(
        judge=about["judge"],
        revision=about["judge_revision"],
        prompt_hash=about["judge_prompt_hash"],
        repeats=about["judge_repeats"],
        version=about["version"],
        criteria=json.loads(about["criteria"]),
        pairs=tuple(
            _preference(
                pair, rates[:, at], said[:, at], float(tests.p[at]), float(adjusted[at]), str(tests.test[at]), alpha
            )
            for pair, at in places.items()
        ),
        standings=_standings(list(places), rates),
        swayed=int(said[3].sum()) / read if read else None,
        broken=broken / (read + broken) if read + broken else None,
        correction=corrected.correction,
        family=int(np.isfinite(tests.p).sum()),
        findings=int((adjusted <= alpha).sum()),
        alpha=alpha,
    )


def limits(rates: Floats) -> tuple[float | None, float | None, float | None]:
    """The mean of prompts' win rates (0 to 1, NaN left out), and its 95 % interval; None under two prompts.

    Student's t over the prompts with ADDED among them, held within 0 and 1.
    """
    here = rates[np.isfinite(rates)]
    if not len(here):
        return None, None, None
    mean = float(here.mean())
    if len(here) < 2:
        return mean, None, None
    moments = student.columns_of(np.concatenate([here, ADDED])[:, None])
    middle, half = float(moments.mean[0]), float(student.half_width(moments)[0])
    return mean, min(mean, max(0.0, middle - half)), max(mean, min(1.0, middle + half))


def _preference(
    pair: tuple[str, str],
    rates: Floats,
    said: NDArray[np.int64],
    p: float,
    adjusted: float,
    test: str,
    alpha: float,
) -> Preference:
    mean, low, high = limits(rates)
    wins, losses, ties, swayed, broken = (int(count) for count in said)
    n = int(np.isfinite(rates).sum())
    return Preference(
        first=pair[0],
        second=pair[1],
        prompts=n,
        verdicts=wins + losses + ties,
        wins=wins,
        losses=losses,
        ties=ties,
        swayed=swayed,
        broken=broken,
        win_rate=_hundred(mean),
        low=_hundred(low),
        high=_hundred(high),
        p=known(p),
        p_adjusted=known(adjusted),
        test=test,
        significant=bool(adjusted <= alpha),
        reason=UNREAD if n == 0 else ONE_PROMPT if n == 1 else None,
    )


def _standings(pairs: Sequence[tuple[str, str]], rates: Floats) -> tuple[Standing, ...]:
    """Of a configuration each prompt's mean over its opponents, then over prompts."""
    found = []
    for one in dict.fromkeys(config for pair in pairs for config in pair):
        columns: list[Any] = [rates[:, at] for at, (first, _) in enumerate(pairs) if first == one]
        columns += [1 - rates[:, at] for at, (_, second) in enumerate(pairs) if second == one]
        against = np.stack(columns, axis=1)
        counts = np.isfinite(against).sum(axis=1)
        each = np.full(len(against), np.nan)
        np.divide(np.nan_to_num(against).sum(axis=1), counts, out=each, where=counts > 0)
        mean, low, high = limits(each)
        found.append(
            Standing(
                config_id=one,
                prompts=int((counts > 0).sum()),
                opponents=int(np.isfinite(against).any(axis=0).sum()),
                win_rate=_hundred(mean),
                low=_hundred(low),
                high=_hundred(high),
            )
        )
    return tuple(sorted(found, key=lambda one: -(one.win_rate if one.win_rate is not None else -1.0)))


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share
