"""How two things go together within a prompt: Spearman's rho (1904) by prompt, averaged over prompts.

Pooled over prompts, a correlation is mostly that some prompts are long and hard; and it counts repeats as samples.
Here each prompt gives one rho over its configurations (means over repeats), and prompts are the sample: the
interval is of their mean rho (`limits`), and p asks whether their rhos scatter around 0: the paired permutation
test's sign flips under 15 prompts, t from there. What rho says holds for the configurations that were run.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipelines.analysis import comparisons, corrections
from pipelines.analysis.figures import known
from pipelines.analysis.frame import Codes, Floats, Frame, numeric
from pipelines.analysis.limits import limits_of
from pipelines.analysis.ranks import midranks

LEAST = 3  # configurations of a prompt: two points always correlate by 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """x and y: a parameter or a metric. rho: mean over prompts, with its 95 % interval.

    prompts: n, those in which both vary. test: p's. p_adjusted: among those asked for together. strength: a word
    for |rho| (Cohen 1988: 0.1 weak, 0.3 moderate, 0.5 strong). reason: why there is no rho, or no p.
    """

    x: str
    y: str
    prompts: int
    rho: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    test: str
    significant: bool
    strength: str | None
    reason: str | None


def within_prompts(frame: Frame, x: str, y: str) -> Correlation:
    """The correlation of two metrics, or of a numeric parameter and a metric. Raises BadRequest for others."""
    return correlations(frame, [x], [y])[0]


def correlations(frame: Frame, xs: Iterable[str], ys: Iterable[str], *, alpha: float = 0.05) -> list[Correlation]:
    """Every x with every y, corrected together. Raises BadRequest for a name that is no parameter and no metric."""
    pairs = [(x, y) for x in xs for y in ys if x != y]
    if not pairs:
        return []
    rhos = np.stack([_rho(frame, x, y) for x, y in pairs], axis=1)
    tests = comparisons.paired(rhos)
    p_adjusted = corrections.adjusted(tests.p, corrections.chosen("auto", len(pairs)))
    limits = limits_of(rhos, moments=tests.moments, bounds=(-1.0, 1.0))
    return [
        Correlation(
            x=x,
            y=y,
            prompts=int(tests.moments.n[place]),
            rho=known(tests.moments.mean[place]),
            low=known(limits.low[place]),
            high=known(limits.high[place]),
            p=known(tests.p[place]),
            p_adjusted=known(p_adjusted[place]),
            test=f"{tests.test[place]} of the prompts' Spearman rhos",
            significant=bool(p_adjusted[place] <= alpha),
            strength=_strength(tests.moments.mean[place]),
            reason=_reason(int(tests.moments.n[place])),
        )
        for place, (x, y) in enumerate(pairs)
    ]


def _reason(prompts: int) -> str | None:
    if not prompts:
        return f"no prompt has {LEAST} configurations in which both vary"
    return "an interval and a p need two prompts or more" if prompts == 1 else None


def _strength(rho: float) -> str | None:
    if not np.isfinite(rho):
        return None
    return next(
        (word for bound, word in ((0.5, "strong"), (0.3, "moderate"), (0.1, "weak")) if abs(rho) >= bound), "none"
    )


def _values(frame: Frame, name: str) -> Floats:
    """By prompt and configuration. A metric goes before a parameter of the same name."""
    if name in frame.columns or not any(name in each.settings for each in frame.configurations):
        return frame.blocks(name).mean
    settings = [configuration.settings.get(name) for configuration in frame.configurations]
    levels = [float(value) if numeric(value) else np.nan for value in settings]  # type: ignore[arg-type]
    return np.broadcast_to(np.array(levels), (len(frame.prompts), len(levels)))


def _rho(frame: Frame, x: str, y: str) -> Floats:
    """By prompt. Where neither has gaps, ranks are taken once for all pairs that a name is in."""
    first, second = _values(frame, x), _values(frame, y)
    if np.isfinite(first).all() and np.isfinite(second).all():
        one, other = (_ranked(frame, name, values) for name, values in ((x, first), (y, second)))
        return _product(one, other, np.full(len(first), first.shape[1]))
    return rhos_of(first, second)


def _ranked(frame: Frame, name: str, values: Floats) -> Floats:
    return frame.once(("ranks", name), lambda: _centred(values))


def rhos_of(x: Floats, y: Floats) -> Floats:
    """Spearman's rho of each row; NaN where fewer than three points are there, or one side does not vary."""
    both = np.isfinite(x) & np.isfinite(y)
    return _product(_centred(np.where(both, x, np.nan)), _centred(np.where(both, y, np.nan)), both.sum(axis=1))


def _centred(values: Floats) -> Floats:
    """Ranks within rows less their mean, a column a row; 0 for NaN."""
    return np.asarray(np.nan_to_num(midranks(values.T) - (np.isfinite(values).sum(axis=1) + 1) / 2))


def _product(first: Floats, second: Floats, n: Codes) -> Floats:
    size = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    rho = np.full(len(n), np.nan)
    np.divide((first * second).sum(axis=0), size, out=rho, where=(size > 0) & (n >= LEAST))
    return rho
