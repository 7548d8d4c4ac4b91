"""Whether a sweep's statistics keep their word, by simulation, and how long they take on 100,000 rows.

    .venv/bin/python benchmarks/sweep_statistics.py [--datasets 3000] [--seed 1] [--only coverage]

Every figure is of runs whose truth is known (`sweep_worlds`): prompts that differ, in level and in spread;
configurations that differ from prompt to prompt (the interaction); repeats within each cell. It is the share of
runs in which a statistic was wrong, or its interval right (`sweep_tables`). Nothing is started.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sweep_tables import PROMPTS, coverage, false_positives, families, power
from sweep_worlds import World, table

from pipelines.analysis import comparisons, corrections, student
from pipelines.analysis.best import probabilities
from pipelines.analysis.breakdown import breakdown
from pipelines.analysis.contrasts import design_of
from pipelines.analysis.correlation import correlations
from pipelines.analysis.detectable import smallest_effect
from pipelines.analysis.effects import anova
from pipelines.analysis.frame import Frame, frame_of
from pipelines.analysis.insights import insights
from pipelines.analysis.intervals import configurations
from pipelines.analysis.levels import levels
from pipelines.analysis.optima import optima
from pipelines.analysis.pareto import front
from pipelines.analysis.variance import split

Floats = NDArray[np.float64]
TABLES = (
    ("False positives where nothing differs (asked: 5 %)", false_positives),
    ("Any false finding, any wrong winner (asked: at most 5 %)", families),
    ("Coverage of 95 % intervals", coverage),
    ("Power", power),
)
BINS = ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=3000, help="simulated runs a figure")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[lines.__name__ for _, lines in TABLES], help="one of the tables alone")
    chosen = parser.parse_args()
    warnings.simplefilter("error")
    random = np.random.default_rng(chosen.seed)
    error = 100 * (0.05 * 0.95 / chosen.datasets) ** 0.5
    print(f"{chosen.datasets} simulated runs a figure, seed {chosen.seed}; error of a 5 %: {error:.2f} points\n")
    tables(chosen.seed, chosen.datasets, chosen.only)
    if chosen.only:
        return
    usual_wrong_way(random, chosen.datasets)
    calibration(random, chosen.datasets)
    agreement()
    speed()


def tables(seed: int, datasets: int, only: str | None) -> None:
    """A table each, its columns by prompts. A line has its own random numbers, so that a table can be had alone."""
    for title, lines in TABLES:
        if only not in (None, lines.__name__):
            continue
        print(f"| {title} | {' | '.join(str(prompts) for prompts in PROMPTS)} |")
        print("|---|" + "---|" * len(PROMPTS))
        for name, share in lines():
            told = [100 * share(np.random.default_rng([seed, prompts]), datasets, prompts) for prompts in PROMPTS]
            print(f"| {name} | " + " | ".join(f"{each:.1f}" for each in told) + " |", flush=True)
        print()


def usual_wrong_way(random: np.random.Generator, datasets: int) -> None:
    """Rows as if each were a prompt of its own."""
    for prompts, repeats in ((10, 5), (10, 20), (40, 10)):
        rows = World(prompts=prompts, configurations=2, repeats=repeats).rows(random, datasets // 4)
        flat = (rows[:, :, 0] - rows[:, :, 1]).reshape(len(rows), -1).T
        wrong = float((student.p_values(student.columns_of(flat)) <= 0.05).mean())
        print(f"rows as if independent, {prompts} prompts x {repeats} repeats: {100 * wrong:.1f} % false positives")
    print()


def calibration(random: np.random.Generator, datasets: int) -> None:
    """Of the configurations with a P(best), how many are best."""
    print("P(best): said, and true (configurations in the bin)")
    worlds = ((10, 5, 2.0), (40, 2, 1.0), (40, 5, 1.0), (40, 20, 0.5), (40, 20, 2.0), (20, 50, 1.0))
    for prompts, count, spread in worlds:
        world = World(prompts=prompts, configurations=count, repeats=5)
        said, true = [], []
        for _ in range(max(datasets // 8, 50)):
            truth = spread * random.standard_normal(count)
            said.append(probabilities(world.means(random, 1, truth)[0]))
            true.append(truth == truth.max())
        print(f"  {prompts} prompts, {count} configurations whose means have SD {spread:g}")
        print("    " + "   ".join(_bin(np.concatenate(said), np.concatenate(true), *each) for each in BINS))
    print()


def agreement() -> None:
    """The largest difference from statsmodels, where the method is the same, of the figures' own size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what another package's import warns of
        import pandas
        from statsmodels.regression.mixed_linear_model import MixedLM
        from statsmodels.stats.anova import AnovaRM
        from statsmodels.stats.multitest import multipletests
        from statsmodels.stats.power import TTestPower
    print("Against statsmodels")
    frame = frame_of(table(8, 2, 3, 2, 3))
    means = frame.blocks("overall").mean
    cells = [
        {"y": means[prompt, place], "prompt": prompt, **each.settings}
        for prompt in range(8)
        for place, each in enumerate(frame.configurations)
    ]
    theirs = AnovaRM(pandas.DataFrame(cells), "y", "prompt", within=list(frame.factors)).fit().anova_table
    rows = [(effect, theirs.loc[":".join(effect.factors)]) for effect in anova(frame, "overall").effects]
    print(f"  AnovaRM, F: {max(abs((effect.f or 0) / row['F Value'] - 1) for effect, row in rows):.1e}")
    print(f"  AnovaRM, p: {max(abs((effect.p_plain or 0) / row['Pr > F'] - 1) for effect, row in rows):.1e}")
    p = np.random.default_rng(0).random(200) ** 3
    for ours, name in ((corrections.HOLM, "holm"), (corrections.BH, "fdr_bh")):
        off = np.abs(corrections.adjusted(p, ours) / multipletests(p, method=name)[1] - 1).max()
        print(f"  multipletests, {name}: {off:.1e}")
    shown = [(n, smallest_effect(n, 1.0).standardised or 0.0) for n in (15, 40, 200)]
    off = max(abs(TTestPower().power(effect, n, 0.05) / 0.8 - 1) for n, effect in shown)
    print(f"  TTestPower at our smallest effect: {off:.1e}")
    means[np.random.default_rng(1).random(means.shape) < 0.1] = np.nan
    frame.kept.pop(("anova", "overall", 0.05))
    prompt, place = np.nonzero(np.isfinite(means))
    design = design_of(frame)
    assert design is not None
    inputs = np.column_stack([np.ones(len(place)), *(each[place] for each in design.contrasts)])
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = MixedLM(means[prompt, place], inputs, groups=prompt).fit()
    taken, edge = time.perf_counter() - begun, 1
    for factors, contrasts in zip(design.effects, design.contrasts, strict=True):
        squares = 8 * float((fit.fe_params[edge : edge + contrasts.shape[1]] ** 2).sum())
        edge += contrasts.shape[1]
        ours = next(each.squares for each in anova(frame, "overall").effects if each.factors == factors)
        print(
            f"  MixedLM with 10 % of cells gone, squares of {' x '.join(factors)}: {squares:.2f}, ours {ours:.2f}"
        )
    print(f"  MixedLM took {taken:.2f} s for {len(place)} means\n")


def speed() -> None:
    """Processor time on 40 prompts x 250 configurations x 10 repeats, ten scores each; the best of five, warm."""
    rows = table()
    frame = frame_of(rows)
    taken = min(_timed(lambda: frame_of(rows))[1] for _ in range(3))
    print(f"100,000 rows of 10 scores (a frame is made once a run): frame_of {1000 * taken:.0f} ms")

    parts: dict[str, Callable[[Frame], object]] = {
        "breakdown of 10 scores": breakdown,
        "configurations (250 intervals)": lambda f: configurations(f, "overall"),
        "levels of 3 factors": lambda f: [levels(f, "overall", factor) for factor in f.factors],
        "pairwise (31,125 pairs, 249 listed)": lambda f: comparisons.pairwise(f, "overall"),
        "anova (6 effects)": lambda f: anova(f, "overall"),
        "correlations (2 factors x 10 scores)": lambda f: correlations(f, ["temperature", "top_p"], f.metrics),
        "split": lambda f: split(f, "overall"),
        "front (3 objectives, 300 draws)": lambda f: front(f, "overall"),
        "optima": lambda f: optima(f, "overall"),
        "insights": lambda f: insights(f, "overall"),
    }
    tries = []
    for _ in range(5):
        frame.kept.clear()  # then in this order on one frame, as a page asks: later parts use earlier ones' steps
        tries.append([_timed(partial(part, frame))[1] for part in parts.values()])
    for name, taken in zip(parts, np.min(tries, axis=0), strict=True):
        print(f"  {name:<45} {1000 * taken:6.0f} ms")
    print(f"  {'all together':<45} {1000 * min(sum(each) for each in tries):6.0f} ms")


def _bin(said: Floats, true: Floats, low: float, high: float) -> str:
    inside = (said >= low) & (said < high)
    if inside.sum() < 20:
        return f"- ({int(inside.sum())})"
    return f"{said[inside].mean():.2f} -> {true[inside].mean():.2f} ({int(inside.sum())})"


def _timed(work):  # type: ignore[no-untyped-def]
    """The result, and the seconds of the processor: other programs on the machine do not count."""
    begun = time.process_time()
    result = work()
    return result, time.process_time() - begun


if __name__ == "__main__":
    main()
