"""What `sweep_statistics.py` counts: false positives, coverage, wrong winners, each in many worlds."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sweep_worlds import BOUNDED, GAPS, MISSING, NORMAL, ORDINAL, SKEWED, UNEQUAL, WORLDS, World, table

from pipelines.analysis import comparisons, corrections, f_test, student
from pipelines.analysis.best import Best, best_of
from pipelines.analysis.contrasts import design_of
from pipelines.analysis.correlation import rhos_of
from pipelines.analysis.effects import anova
from pipelines.analysis.frame import frame_of
from pipelines.analysis.friedman import friedman_of
from pipelines.analysis.kendall import slope_of
from pipelines.analysis.limits import limits_of
from pipelines.analysis.standardised import effects_of

Floats = NDArray[np.float64]
Random = np.random.Generator
PROMPTS = (5, 10, 20, 40)
Line = tuple[str, Callable[[Random, int, int], float]]
"""A name, and the share of datasets (the second number) of so many prompts (the third) in which it happened."""

ALPHA = 0.05


def false_positives() -> Iterator[Line]:
    """Tests where nothing differs."""
    for repeats in (1, 2, 5):
        yield f"two configurations, {repeats} repeats: normal", partial(_paired, NORMAL, repeats)
    for world in WORLDS[1:]:
        yield f"two configurations, 3 repeats: {world}", partial(_paired, world, 3)
    for world in (NORMAL, SKEWED, ORDINAL, UNEQUAL):
        yield f"Friedman, 5 configurations: {world}", partial(_friedman, world)
    for world in (NORMAL, SKEWED, BOUNDED, ORDINAL, UNEQUAL):
        yield f"analysis of variance, 4 levels of 4 x 3: {world}", partial(_effect, world, 0)
        yield f"  their interaction: {world}", partial(_effect, world, 2)
    yield "analysis of variance, 4 levels of 4 x 3: gaps", partial(_gaps, 0)
    yield "  their interaction: gaps", partial(_gaps, 1)
    for world in (NORMAL, BOUNDED, ORDINAL, GAPS):
        yield f"Spearman within prompts, 6 configurations: {world}", partial(_spearman, world)
    yield "trend, so many days", _trend


def families() -> Iterator[Line]:
    """Any false finding among many, where nothing differs; and winners that are none."""
    for count, world in (
        (3, NORMAL),
        (6, NORMAL),
        (6, SKEWED),
        (6, BOUNDED),
        (6, ORDINAL),
        (6, UNEQUAL),
        (6, GAPS),
    ):
        yield f"any pair of {count} configurations: {world}", partial(_any_pair, world, count)
    yield "any pair of 12 configurations (Benjamini-Hochberg): normal", partial(_any_pair, NORMAL, 12)
    for world in (NORMAL, BOUNDED, UNEQUAL):
        yield f"any of 3 effects of a 4 x 3 grid: {world}", partial(_any_effect, world)
    for count, world in ((2, NORMAL), (2, BOUNDED), (2, GAPS), (5, NORMAL), (12, UNEQUAL)):
        yield f"a winner among {count} equals: {world}", partial(_winner, world, np.zeros(count), ())
    tied = np.array([8.0, 8.0, 0, 0, 0, 0])
    for world in (NORMAL, SKEWED, UNEQUAL, GAPS):
        yield f"a winner of two equals, ahead of four: {world}", partial(_winner, world, tied, ())
    yield "a configuration said to fail more often than others, 4 of 10 %", _failing


def power() -> Iterator[Line]:
    """How often what is there is found."""
    yield "the winner, 6 points ahead of 1 equal", partial(_winner, NORMAL, np.array([6.0, 0]), (0,))
    yield "the winner, 6 points ahead of 5 equals", partial(_winner, NORMAL, np.array([6.0, 0, 0, 0, 0, 0]), (0,))


def coverage() -> Iterator[Line]:
    """How often 95 % intervals hold the truth."""
    for world in (NORMAL, SKEWED, BOUNDED, ORDINAL, UNEQUAL, GAPS):
        yield f"mean of a configuration: {world}", partial(_mean, world)
    yield "mean of nine full scores in ten, else 0", _all_or_nothing
    for world in (NORMAL, SKEWED, BOUNDED, ORDINAL, UNEQUAL, GAPS):
        yield f"difference of two configurations: {world}", partial(_difference, world)
    yield "standardised effect", _standardised
    for world in (NORMAL, ORDINAL):
        yield f"mean Spearman rho: {world}", partial(_rho, world)
    yield "partial eta squared, 4 levels", partial(_eta, 3)
    for name, true in (("5 equals", np.zeros(5)), ("4 equals behind", np.array([4.0, 0, 0, 0, 0]))):
        yield f"leader less its nearest rival: {name}", partial(_lead, np.asarray(true))
    yield "gain of the best of 4 equal levels", _gain
    yield "Sen's slope, so many days", _slope


def _paired(shape: str, repeats: int, random: Random, datasets: int, prompts: int) -> float:
    means = World(prompts=prompts, configurations=2, repeats=repeats, shape=shape).means(random, datasets)
    return _share(comparisons.paired((means[:, :, 0] - means[:, :, 1]).T).p)


def _friedman(shape: str, random: Random, datasets: int, prompts: int) -> float:
    means = World(prompts=prompts, configurations=5, repeats=3, shape=shape).means(random, datasets)
    return _share([friedman_of(each).p or 1.0 for each in means])


def _effect(shape: str, place: int, random: Random, datasets: int, prompts: int) -> float:
    return _share([f_test.tested(each[place], 1e-12).p for each in _scores(shape, random, datasets, prompts)])


def _any_effect(shape: str, random: Random, datasets: int, prompts: int) -> float:
    found = []
    for scores in _scores(shape, random, datasets, prompts):
        if f_test.flipped(prompts):
            found.append(f_test.together(scores).min())
        else:
            p = np.array([f_test.tested(each, 1e-12).p for each in scores])
            found.append(corrections.adjusted(p, corrections.HOLM).min())
    return _share(found)


def _scores(shape: str, random: Random, datasets: int, prompts: int) -> Iterator[list[f_test.Scores]]:
    """Of a grid of 4 x 3, in which prompts have a taste of their own in the levels of both factors."""
    design = design_of(frame_of(table(2, 1, 4, 3, 1)))
    assert design is not None
    for means in World(prompts=prompts, configurations=12, repeats=3, shape=shape).means(random, datasets):
        by_prompt = [means @ contrasts for contrasts in design.contrasts]
        yield [f_test.Scores(estimate=each.mean(axis=0), by_prompt=each) for each in by_prompt]


def _gaps(place: int, random: Random, datasets: int, prompts: int) -> float:
    frame = frame_of(table(prompts, 1, 4, 3, 2))
    blocks, found = frame.blocks("overall"), []
    wanted = (("temperature",), ("temperature", "top_p"))[place]
    for means in World(prompts=prompts, configurations=12, repeats=3, shape=GAPS).means(random, datasets):
        blocks.mean[:] = means
        frame.kept.pop(("anova", "overall", 0.05), None)
        found += [each.p for each in anova(frame, "overall").effects if each.factors == wanted]
    return _share(found)


def _spearman(shape: str, random: Random, datasets: int, prompts: int) -> float:
    return _share(comparisons.paired(_rhos(shape, np.zeros(6), random, datasets, prompts)).p)


def _rhos(shape: str, true: Floats, random: Random, datasets: int, prompts: int) -> Floats:
    means = World(prompts=prompts, configurations=6, repeats=3, shape=shape).means(random, datasets, true)
    flat = means.reshape(-1, 6)
    return rhos_of(np.tile(np.arange(6.0), (len(flat), 1)), flat).reshape(datasets, prompts).T


def _trend(random: Random, datasets: int, days: int) -> float:
    return _share([slope_of(np.arange(float(days)), random.standard_normal(days)).p for _ in range(datasets)])


def _any_pair(shape: str, count: int, random: Random, datasets: int, prompts: int) -> float:
    means = World(prompts=prompts, configurations=count, repeats=3, shape=shape).means(random, datasets)
    first, second = np.triu_indices(count, 1)
    return _share([np.nanmin(comparisons.family(each[:, first] - each[:, second]).p_adjusted) for each in means])


def _winner(shape: str, true: Floats, right: tuple[int, ...], random: Random, datasets: int, prompts: int) -> float:
    """A winner was named; one of `right`, where there are."""
    world = World(prompts=prompts, configurations=len(true), repeats=3, shape=shape)
    named = [_best(each).winner for each in world.means(random, datasets, true)]
    return float(np.mean([name is not None and (not right or int(name) in right) for name in named]))


def _failing(random: Random, datasets: int, prompts: int) -> float:
    lost = 100.0 * (random.random((datasets, prompts, 4, 3)) < MISSING).mean(axis=3)
    rest = (lost.sum(axis=2, keepdims=True) - lost) / 3
    found = []
    for each in lost - rest:
        worst = int(each.mean(axis=0).argmax())
        tests = comparisons.family(each)
        p = tests.p_adjusted if tests.tests.flipped else np.minimum(1, 4 * tests.tests.p)
        found.append(p[worst])
    return _share(found)


def _mean(shape: str, random: Random, datasets: int, prompts: int) -> float:
    world = World(prompts=prompts, configurations=2, repeats=3, shape=shape)
    bounds = (0.0, 100.0) if shape in (BOUNDED, ORDINAL) else None
    return _inside(world.means(random, datasets)[:, :, 1].T, _truth(world)[1], bounds)


def _truth(world: World, true: Floats | None = None) -> Floats:
    """The configurations' means: of very many prompts where bounds move them."""
    if world.shape not in (BOUNDED, ORDINAL):
        return np.zeros(world.configurations) if true is None else true
    many = World(prompts=200, configurations=world.configurations, repeats=world.repeats, shape=world.shape)
    return np.asarray(many.means(np.random.default_rng(99), 1000, true).mean(axis=(0, 1)))


def _all_or_nothing(random: Random, datasets: int, prompts: int) -> float:
    return _inside(100.0 * (random.random((prompts, datasets)) < 0.9), 90.0, (0.0, 100.0))


def _difference(shape: str, random: Random, datasets: int, prompts: int) -> float:
    true = np.array([3.0, 0.0])
    world = World(prompts=prompts, configurations=2, repeats=3, shape=shape)
    means, expected = world.means(random, datasets, true), _truth(world, true)
    moments = student.columns_of((means[:, :, 0] - means[:, :, 1]).T)
    return float((np.abs(moments.mean - (expected[0] - expected[1])) <= student.half_width(moments) + 1e-9).mean())


def _standardised(random: Random, datasets: int, prompts: int) -> float:
    found = effects_of(student.columns_of(0.5 + random.standard_normal((prompts, datasets))))
    unbiased = float(np.median(found.g / _d(found.g, prompts)))
    return float(((found.low <= 0.5 * unbiased) & (0.5 * unbiased <= found.high)).mean())


def _d(g: Floats, prompts: int) -> Floats:
    """What Hedges' g was before it was made unbiased: the interval is of the population's d times the same."""
    from scipy.special import gammaln

    half = (prompts - 1) / 2
    return np.asarray(g / np.exp(gammaln(half) - np.log(half) / 2 - gammaln(half - 0.5)))


def _rho(shape: str, random: Random, datasets: int, prompts: int) -> float:
    true = np.arange(6.0)
    expected = float(np.nanmean(_rhos(shape, true, np.random.default_rng(99), 1000, 100)))
    return _inside(_rhos(shape, true, random, datasets, prompts), expected, (-1.0, 1.0))


def _eta(freedom: int, random: Random, datasets: int, prompts: int) -> float:
    inside, shift = 0, 0.4 * np.ones(freedom)
    true = prompts * float((shift**2).sum())
    share = true / (true + freedom * prompts + 1)
    for each in shift + random.standard_normal((datasets, prompts, freedom)):
        scores = f_test.Scores(estimate=each.mean(axis=0), by_prompt=each)
        limits = f_test.limits(f_test.tested(scores, 0.0))
        inside += limits is not None and limits[0] <= share <= limits[1]
    return inside / datasets


def _lead(true: Floats, random: Random, datasets: int, prompts: int) -> float:
    inside = 0
    for each in World(prompts=prompts, configurations=len(true), repeats=3).means(random, datasets, true):
        told = _best(each)
        nearest = max(told.candidates, key=lambda one: one.p_adjusted if one.p_adjusted is not None else -1.0)
        apart = true[int(told.leader or 0)] - true[int(nearest.config_id)]
        inside += (nearest.low or 0.0) <= apart <= (nearest.high or 0.0)
    return inside / datasets


def _gain(random: Random, datasets: int, prompts: int) -> float:
    means = World(prompts=prompts, configurations=4, repeats=3).means(random, datasets)
    inside = 0
    for each in means:
        at = int(each.mean(axis=0).argmax())
        moments = student.columns_of((each[:, at] - np.delete(each, at, axis=1).mean(axis=1))[:, None])
        inside += bool(np.abs(moments.mean[0]) <= student.half_width(moments, 1 - ALPHA / 4)[0])
    return inside / datasets


def _slope(random: Random, datasets: int, days: int) -> float:
    x = np.arange(float(days))
    found = [slope_of(x, 0.3 * x + 2 * random.standard_normal(days)) for _ in range(datasets)]
    return float(np.mean([not one.low > 0.3 and not one.high < 0.3 for one in found]))


def _best(means: Floats) -> Best:
    names = [str(place) for place in range(means.shape[1])]
    return best_of(means, names, names, [{} for _ in names], drawn=False)


def _inside(values: Floats, truth: float, bounds: tuple[float, float] | None) -> float:
    found = limits_of(values, bounds=bounds)
    return float(((found.low <= truth + 1e-9) & (truth - 1e-9 <= found.high)).mean())


def _share(p: "Floats | list[float]") -> float:
    return float((np.asarray(p) <= ALPHA).mean())
