"""Where the variation comes from: prompts, configurations, their interaction, repeats.

Components of a two-way random model, y = μ + prompt + configuration + interaction + repeat, by Henderson's Method 1
(1953; Searle, Casella & McCulloch 1992, §5.3): quadratic forms are set equal to their expectations. With equal
repeats it is the classical analysis of variance; unequal repeats and missing cells are allowed. A share says how
much a single cell differs for that reason; it tests nothing.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.analysis.frame import Blocks, Codes, Floats, Frame

ROUNDING = 1e-20  # a variance below this share of the squared values is rounding
NO_REPEATS = "with one repeat, the repeats' variation cannot be told from the interaction's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Variances, in the metric's squared units; a negative estimate is 0 (`clipped` names it). Shares sum to 1.

    Without repeats `interaction` holds both and `repeats` is None. n: prompts, configurations and cells.
    reason: why something is None.
    """

    prompts: float | None
    configurations: float | None
    interaction: float | None
    repeats: float | None
    prompts_share: float | None
    configurations_share: float | None
    interaction_share: float | None
    repeats_share: float | None
    clipped: tuple[str, ...]
    n_prompts: int
    n_configurations: int
    n_cells: int
    reason: str | None

    @property
    def difference_sd(self) -> float | None:
        """SD of a prompt's difference of two configurations with one repeat: what a comparison has to beat."""
        if self.interaction is None:
            return None
        return float(np.sqrt(2 * (self.interaction + (self.repeats or 0.0))))


NAMES = ("prompts", "configurations", "interaction", "repeats")


def split(frame: Frame, metric: str) -> Split:
    """The components. Raises BadRequest for an unknown metric."""
    return split_of(frame.blocks(metric))


def split_of(blocks: Blocks) -> Split:
    """The components of one matrix."""
    rows, columns = (blocks.count > 0).any(axis=1), (blocks.count > 0).any(axis=0)
    count = blocks.count[np.ix_(rows, columns)]
    mean = np.nan_to_num(blocks.mean[np.ix_(rows, columns)])
    repeated = bool((count > 1).any())
    if min(count.shape, default=0) < 2:
        reason = "it needs two prompts and two configurations or more"
        return _none(count, reason)
    centre = float((mean * count).sum() / count.sum())
    within = float(blocks.within.sum())
    squares, expected = _equations(np.where(count > 0, mean - centre, 0.0), count, within)
    names = NAMES if repeated else NAMES[:3]
    if not repeated:  # one value a cell: the fourth equation is 0 = 0, and the third component holds both
        squares, expected = squares[:3], expected[:3, [0, 1, 3]]
    if np.linalg.matrix_rank(expected) < len(names):
        return _none(count, "too many cells are missing to tell the sources apart")
    estimate = np.linalg.solve(expected, squares)
    size = float((count * (mean**2)).sum() + within) / int(count.sum())
    estimate[np.abs(estimate) < ROUNDING * size] = 0.0
    variances = dict(zip(names, np.maximum(estimate, 0.0).tolist(), strict=True))
    total = sum(variances.values())
    shares = {f"{name}_share": variances[name] / total if total and name in variances else None for name in NAMES}
    return Split(
        **{name: variances.get(name) for name in NAMES},
        **shares,
        clipped=tuple(name for name, value in zip(names, estimate, strict=True) if value < 0),
        n_prompts=count.shape[0],
        n_configurations=count.shape[1],
        n_cells=int(count.sum()),
        reason=(None if repeated else NO_REPEATS) if total else "the metric is the same everywhere",
    )


def _equations(mean: Floats, count: Codes, within: float) -> tuple[Floats, Floats]:
    """Sums of squares of prompts, configurations, interaction, repeats, and their expectations' coefficients."""
    n = count.sum()
    rows, columns = count.sum(axis=1), count.sum(axis=0)
    totals = count * mean
    form_all = totals.sum() ** 2 / n
    form_rows = (totals.sum(axis=1) ** 2 / rows).sum()
    form_columns = (totals.sum(axis=0) ** 2 / columns).sum()
    form_cells = (count * mean**2).sum()
    squares = np.array(
        [form_rows - form_all, form_columns - form_all, form_cells - form_rows - form_columns + form_all, within]
    )
    # Coefficients of σ² of (prompts, configurations, interaction, repeats) in the expectation of each form.
    by_row, by_column = (count**2 / rows[:, None]).sum(), (count**2 / columns).sum()
    filled = (count > 0).sum()
    of_all = np.array([(rows**2).sum() / n, (columns**2).sum() / n, (count**2).sum() / n, 1.0])
    of_rows = np.array([n, by_row, by_row, len(rows)], np.float64)
    of_columns = np.array([by_column, n, by_column, len(columns)], np.float64)
    of_cells = np.array([n, n, n, filled], np.float64)
    of_repeats = np.array([0.0, 0.0, 0.0, n - filled])
    expected = np.stack(
        [of_rows - of_all, of_columns - of_all, of_cells - of_rows - of_columns + of_all, of_repeats]
    )
    return squares, expected


def _none(count: Codes, reason: str) -> Split:
    return Split(
        **dict.fromkeys(NAMES),
        **{f"{name}_share": None for name in NAMES},
        clipped=(),
        n_prompts=count.shape[0],
        n_configurations=count.shape[1],
        n_cells=int(count.sum()),
        reason=reason,
    )
