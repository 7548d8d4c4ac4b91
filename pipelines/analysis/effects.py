"""Which parameters matter: an analysis of variance with prompts as blocks.

On a full grid without gaps the sums of squares are exact. Every effect is tested against its own interaction with
the prompts, the error term of a design with random blocks (Maxwell & Delaney 2004, ch. 11-12; R's
`Error(prompt/effect)`, statsmodels' AnovaRM), never against the repeats. `f_test` has the test; the plain p of
AnovaRM is beside it.

Where cells failed, the same test takes each prompt's influence on the least-squares estimate within prompts
(Liang & Zeger 1986's clusters; F is the same where nothing is missing). A mixed model with these error terms took
35 s for 1,800 means and did not converge; with a random intercept alone it has the wrong error term.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis import corrections
from pipelines.analysis.contrasts import Design, design_of
from pipelines.analysis.f_test import F_TEST, FLIPPED, Scores, Tested, flipped, limits, tested, together
from pipelines.analysis.figures import known
from pipelines.analysis.frame import Blocks, Floats, Frame

EXACT, WITHIN = "exact sums of squares", "least squares within prompts"
ROUNDING = 1e-20  # a sum of squares below this share of the values' own is rounding, not spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One factor, or two that interact. f on freedom and error_freedom; p: of the table's test, two-sided.

    p_adjusted: among all effects listed. p_plain: of the F test as it is in books, without epsilon. squares,
    error_squares: of single cells. eta_squared: share of all variation, prompts and repeats among it;
    partial_eta_squared: of what is left without the other effects, with its 95 % interval by the noncentral F
    (Steiger 2004); omega_squared: what eta_squared would be in
    the population (Olejnik & Algina 2003), not below 0. None where it does not exist: `reason` of the table.
    """

    factors: tuple[str, ...]
    freedom: int
    error_freedom: int
    squares: float
    error_squares: float
    f: float | None
    p: float
    p_adjusted: float | None
    p_plain: float | None
    epsilon: float | None
    eta_squared: float | None
    partial_eta_squared: float | None
    partial_low: float | None
    partial_high: float | None
    omega_squared: float | None
    significant: bool

    @property
    def name(self) -> str:
        """`temperature`, or `temperature × top_p`."""
        return " × ".join(self.factors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anova:
    """The table. method: how. prompts: n. effects: by eta_squared or F, the strongest first.

    prompt_squares, repeat_squares, total_squares: None where cells are missing. reason: why there are no effects,
    or why a part is None.
    """

    effects: tuple[Effect, ...]
    method: str | None
    test: str
    prompts: int
    correction: str
    prompt_squares: float | None
    repeat_squares: float | None
    total_squares: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What squares are shares of. repeats: that each mean is over. prompt_mean: the prompts' mean square."""

    repeats: float
    total: float
    prompt_mean: float


def anova(frame: Frame, metric: str, *, alpha: float = 0.05) -> Anova:
    """Main effects and two-way interactions; computed once a frame. Raises BadRequest for an unknown metric."""
    return frame.once(("anova", metric, alpha), lambda: _anova(frame, metric, alpha))


def _anova(frame: Frame, metric: str, alpha: float) -> Anova:
    blocks = frame.blocks(metric)
    usable = np.isfinite(blocks.mean).sum(axis=1) > 1
    design = design_of(frame) if len(frame.factors) else None
    if reason := _refused(frame, design, blocks, int(usable.sum())):
        return _none(reason, int(usable.sum()))
    assert design is not None
    if design.full and np.isfinite(blocks.mean).all():
        return _exact(design, blocks, alpha)
    return _within(design, blocks, usable, alpha)


def _refused(frame: Frame, design: Design | None, blocks: Blocks, prompts: int) -> str | None:
    if not frame.factors:
        return "no parameter takes several values"
    if design is None:
        return "some configurations lack a parameter that others have, so there is no grid"
    if not np.isfinite(blocks.mean).any():
        return "no cell has this metric"
    if prompts < 2:
        return "tests need two prompts with several configurations each: prompts are the blocks"
    return None


def _none(reason: str, prompts: int) -> Anova:
    return Anova(
        effects=(),
        method=None,
        test=F_TEST,
        prompts=prompts,
        correction=corrections.HOLM,
        prompt_squares=None,
        repeat_squares=None,
        total_squares=None,
        reason=reason,
    )


def _exact(design: Design, blocks: Blocks, alpha: float) -> Anova:
    # Unequal repeats: unweighted means, with the harmonic mean of the repeats (Searle 1971, §8.3).
    repeats = float(blocks.count.size / (1 / blocks.count).sum())
    mean = blocks.mean - blocks.mean.mean()
    per_prompt = mean.mean(axis=1)
    prompt_squares = repeats * mean.shape[1] * float((per_prompt**2).sum())
    repeat_squares = float(blocks.within.sum())
    total = repeats * float((mean**2).sum()) + repeat_squares
    tiny = ROUNDING * float((blocks.mean**2).sum())
    if total <= tiny * repeats:
        return _none("the metric is the same everywhere", len(mean))
    prompts = len(mean)
    scores = []
    for contrasts in design.contrasts:
        by_prompt = mean @ contrasts
        scores.append(Scores(estimate=by_prompt.mean(axis=0), by_prompt=by_prompt))
    shares = Shares(repeats=repeats, total=total, prompt_mean=prompt_squares / (prompts - 1))
    effects = _effects(design, scores, tiny, shares, alpha)
    return Anova(
        effects=effects,
        method=EXACT,
        test=FLIPPED if flipped(prompts) else F_TEST,
        prompts=prompts,
        correction=_correction(prompts, len(effects)),
        prompt_squares=prompt_squares,
        repeat_squares=repeat_squares,
        total_squares=total,
        reason=None,
    )


def _within(design: Design, blocks: Blocks, usable: NDArray[np.bool_], alpha: float) -> Anova:
    mean = blocks.mean[usable]
    here = np.isfinite(mean)
    size = here.sum(axis=1, keepdims=True)
    measured = np.where(here, mean, 0.0)
    values = np.where(here, mean - measured.sum(axis=1, keepdims=True) / size, 0.0)
    tiny = ROUNDING * float((measured**2).sum())
    if float((values**2).sum()) <= tiny:
        return _none("the metric is the same everywhere", len(mean))
    kept, part = _estimable(design, here)
    if not kept:
        return _none("the combinations that went well do not tell the parameters apart", len(mean))
    design = part
    contrasts = np.concatenate(design.contrasts, axis=1)
    # Each prompt's mean over its own cells comes off both sides, which absorbs the prompt. What is left of a prompt
    # sums to 0, so the contrasts' means need not come off twice: no array of cells by contrasts is made.
    inverse = np.linalg.inv(_gram(contrasts, here))
    estimate = inverse @ (values.sum(axis=0) @ contrasts)
    fit = contrasts @ estimate
    left = np.where(here, values - fit + (here @ fit)[:, None] / size, 0.0)
    influence = len(mean) * (left @ contrasts) @ inverse
    edges = np.cumsum([0, *(each.shape[1] for each in design.contrasts)])
    scores = [
        Scores(estimate=estimate[low:high], by_prompt=estimate[low:high] + influence[:, low:high])
        for low, high in pairwise(edges)
    ]
    effects = _effects(design, scores, tiny, None, alpha)
    return Anova(
        effects=effects,
        method=WITHIN,
        test=FLIPPED if flipped(len(mean)) else F_TEST,
        prompts=len(mean),
        correction=_correction(len(mean), len(effects)),
        prompt_squares=None,
        repeat_squares=None,
        total_squares=None,
        reason="cells are missing, so the variation cannot be split exactly; F and p stand",
    )


def _estimable(design: Design, here: NDArray[np.bool_]) -> tuple[bool, Design]:
    """The design, or its main effects, whichever the measured cells can tell apart; False for neither."""
    mains = [place for place, effect in enumerate(design.effects) if len(effect) == 1]
    for places in (range(len(design.effects)), mains):
        part = Design(
            factors=design.factors,
            effects=tuple(design.effects[place] for place in places),
            contrasts=tuple(design.contrasts[place] for place in places),
            full=design.full,
        )
        gram = _gram(np.concatenate(part.contrasts, axis=1), here)
        # Rank by the scaled eigenvalues: a column without any variation is 0 on the diagonal.
        if np.linalg.eigvalsh(gram)[0] > 1e-9 * np.trace(gram) / len(gram):
            return True, part
    return False, design


def _gram(contrasts: Floats, here: NDArray[np.bool_]) -> Floats:
    """The contrasts' products over all measured cells, each prompt's mean taken off."""
    sums = here.astype(np.float64) @ contrasts
    whole = (contrasts * here.sum(axis=0)[:, None]).T @ contrasts
    return np.asarray(whole - (sums / here.sum(axis=1, keepdims=True)).T @ sums)


def _correction(prompts: int, effects: int) -> str:
    return corrections.WESTFALL_YOUNG if flipped(prompts) else corrections.chosen("auto", effects)


def _effects(
    design: Design, scores: list[Scores], tiny: float, shares: Shares | None, alpha: float
) -> tuple[Effect, ...]:
    tests = [tested(each, tiny) for each in scores]
    p = np.array([test.p for test in tests])
    prompts = len(scores[0].by_prompt)
    if flipped(prompts):
        p_adjusted = np.maximum(p, together(scores, tiny))
    else:
        p_adjusted = corrections.adjusted(p, _correction(prompts, len(tests)))
    effects = []
    for factors, test, adjusted in zip(design.effects, tests, p_adjusted, strict=True):
        scale = 1.0 if shares is None else shares.repeats
        squares, error = scale * test.squares, scale * test.error_squares
        whole, shown = squares + error, limits(test)
        effects.append(
            Effect(
                factors=factors,
                freedom=test.freedom,
                error_freedom=test.error_freedom,
                squares=squares,
                error_squares=error,
                f=test.f,
                p=test.p,
                p_adjusted=known(adjusted),
                p_plain=test.p_plain,
                epsilon=test.epsilon,
                eta_squared=None if shares is None else squares / shares.total,
                partial_eta_squared=squares / whole if whole > 0 else None,
                partial_low=None if shown is None else shown[0],
                partial_high=None if shown is None else shown[1],
                omega_squared=None if shares is None else _omega(squares, error, test, shares),
                significant=bool(adjusted <= alpha),
            )
        )
    return tuple(sorted(effects, key=lambda effect: -effect.squares))


def _omega(squares: float, error: float, test: Tested, shares: Shares) -> float:
    beyond = squares - test.freedom * error / test.error_freedom
    return max(0.0, beyond / (shares.total + shares.prompt_mean))
