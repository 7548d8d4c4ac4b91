"""What every statistic reads: the cells of a sweep that went well, as arrays.

The design is a randomized complete block: a block is a prompt, a treatment a configuration, a replicate a
repeat. Repeats of one prompt are no independent samples of anything but that prompt (Miller 2024,
arXiv 2411.00640), so nothing here tests rows: statistics start from `Frame.blocks`, the matrix of means over
repeats, one row a prompt, one column a configuration.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadRequest
from cluster.stores.run_light import SCORES
from pipelines.analysis.cells import cells_of
from pipelines.analysis.codes import codes_of, numbers, objects_of, texts
from pipelines.analysis.rounding import settled
from pipelines.analysis.treatments import Configuration as Configuration
from pipelines.analysis.treatments import config_id_of as config_id_of
from pipelines.analysis.treatments import configuration_codes, configurations_of, factors_of

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "run_id",
    "ordinal",
    "model",
    "prompt_id",
    "prompt_hash",
    "temperature",
    "top_p",
    "max_tokens",
    "parameters",
    "retrieval",
    "config_id",
    "repeat",
    "greedy",
    "started",
    "completion_tokens",
    "ttft_ms",
    "latency_ms",
    "cost",
    "scores",
    "completeness",
    "error_code",
)
"""The columns of a stored run that `frame_of` reads; those that a table lacks count as NULL."""

MEASURES = ("ttft_ms", "latency_ms", "completion_tokens", "cost")
"""The float columns of a frame that are no score."""

SCORE = (0.0, 100.0)  # the bounds of a score

LARGEST = 1e100  # of any figure; its square is a float still

T = TypeVar("T")
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """A metric by prompt (row) and configuration (column). mean: over repeats, NaN where no cell has the metric.

    count: the repeats in each mean. within: sum of squared deviations of the repeats from their mean.
    """

    mean: Floats
    count: Codes
    within: Floats


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: what was computed once is kept
class Frame:
    """The good cells of one table of rows, in its order.

    configurations, prompts, runs: what the codes in `configuration`, `prompt` and `run` point at; a
    configuration whose cells all failed is there, without cells. columns: MEASURES and every score by name,
    NaN where missing. metrics: the scores' names. factors: `model` and the parameters that take several values,
    in the plan's order. asked: rows by prompt and configuration, those that failed among them. started: UTC, NaT
    where unknown.
    """

    configurations: tuple[Configuration, ...]
    prompts: tuple[str, ...]
    runs: tuple[str, ...]
    factors: tuple[str, ...]
    metrics: tuple[str, ...]
    asked: Codes
    configuration: Codes
    prompt: Codes
    run: Codes
    repeat: Codes
    greedy: NDArray[np.bool_]
    started: NDArray[np.datetime64]
    columns: Mapping[str, Floats]
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.configuration)

    @cached_property
    def repeats(self) -> int:
        """The most cells that one prompt and configuration have."""
        return int(self.sizes.max(initial=0))

    @cached_property
    def sizes(self) -> Codes:
        """Good cells by prompt and configuration."""
        return np.bincount(self._place, minlength=self._shape[0] * self._shape[1]).reshape(self._shape)

    @cached_property
    def said(self) -> tuple[dict[str, str], ...]:
        """Each configuration's settings as JSON by name: levels are compared as they are written."""
        return tuple(
            {name: json.dumps(value, sort_keys=True) for name, value in configuration.settings.items()}
            for configuration in self.configurations
        )

    def values(self, metric: str) -> Floats:
        """One float column. Raises BadRequest where there is none of that name."""
        if metric not in self.columns:
            known = ", ".join((*self.metrics, *MEASURES))
            raise BadRequest(f"There is no metric {metric!r} here", hint=f"known: {known}", param="metric")
        return self.columns[metric]

    def bounds(self, metric: str) -> tuple[float, float] | None:
        """What a metric's values cannot leave: 0 and 100 of a score, none of what was measured.

        A custom score that is seen outside has none either. Raises BadRequest as `values`.
        """
        values = self.values(metric)
        if metric in MEASURES or not len(values):
            return None
        inside = np.nanmin(values, initial=0.0) >= SCORE[0] and np.nanmax(values, initial=0.0) <= SCORE[1]
        return SCORE if inside else None

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned for this key the first time: several figures rest on the same steps."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    def blocks(self, metric: str) -> Blocks:
        """The metric by prompt and configuration; computed once. Raises BadRequest as `values`."""
        return self.once(("blocks", metric), lambda: self._blocks(self.values(metric)))

    def upto(self, repeat: int) -> "Frame":
        """The same with the cells of the first repeats alone: configurations and prompts stay as they are."""
        chosen = self.repeat <= repeat
        columns = {name: values[chosen] for name, values in self.columns.items()}
        cells = ("configuration", "prompt", "run", "repeat", "greedy", "started")
        return replace(self, **{name: getattr(self, name)[chosen] for name in cells}, columns=columns, kept={})

    def levels(self, factor: str) -> list[Any]:
        """The values that a factor takes, in ascending order where they have one, else in the plan's order.

        Raises BadRequest for a setting that no configuration has.
        """
        found: dict[str, Any] = {}
        for said, configuration in zip(self.said, self.configurations, strict=True):
            if factor in said:
                found.setdefault(said[factor], configuration.settings[factor])
        if not found:
            raise BadRequest(
                f"No parameter {factor!r} was used here", hint=f"varied: {', '.join(self.factors)}", param="factor"
            )
        values = list(found.values())
        return sorted(values) if all(numeric(value) for value in values) else values

    def level_codes(self, factor: str) -> Codes:
        """For each configuration the place of its level in `levels(factor)`; -1 where it lacks the setting."""
        places = {json.dumps(level, sort_keys=True): place for place, level in enumerate(self.levels(factor))}
        return np.array([places[said[factor]] if factor in said else -1 for said in self.said], np.int64)

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.prompts), len(self.configurations)

    @cached_property
    def _place(self) -> Codes:
        return self.prompt * len(self.configurations) + self.configuration

    def _blocks(self, values: Floats) -> Blocks:
        prompts, configurations = self._shape
        here = np.isfinite(values)
        place, values = self._place[here], values[here]
        count = np.bincount(place, minlength=prompts * configurations)
        total = np.bincount(place, weights=values, minlength=prompts * configurations)
        mean = np.full(len(total), np.nan)
        np.divide(total, count, out=mean, where=count > 0)
        # The deviations are taken from the means that exist: a one-pass sum of squares would cancel.
        within = np.bincount(place, weights=(values - mean[place]) ** 2, minlength=prompts * configurations)
        shape = (prompts, configurations)
        return Blocks(
            mean=settled(mean).reshape(shape),
            count=count.reshape(shape),
            within=within.reshape(shape).astype(np.float64),
        )


def numeric(value: object) -> bool:
    """Whether a level is a number that can be ordered: a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def frame_of(rows: "pa.Table", *, greedy: bool = False) -> Frame:
    """The frame of stored rows (columns: COLUMNS), or of light ones (`cluster.stores.run_light`).

    greedy: also the anchors, which are no treatment otherwise.

    A block is the prompt: its id within one run; over several runs its text's hash, so that two runs of the
    same prompts pair up. Rows with an error_code are counted in their configuration and are no cells. A score
    that is no number, or not below 1e100, is missing. Neither the order of the rows nor a way through a CSV or a
    Parquet file changes a figure (`cells`).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = cells_of(rows, COLUMNS, greedy=greedy)  # never the texts
    size = rows.num_rows
    run, run_ids = codes_of(rows, ["run_id"])
    prompt, first_prompts = codes_of(rows, ["prompt_id", "prompt_hash"] if len(run_ids) < 2 else ["prompt_hash"])
    configuration, firsts = configuration_codes(rows)
    failed = pc.is_valid(rows.column("error_code")).to_numpy() if _has(rows, "error_code") else np.zeros(size, bool)
    cells = np.bincount(configuration, minlength=len(firsts))
    errors = np.bincount(configuration[failed], minlength=len(firsts))
    configurations = configurations_of(rows.take(firsts), cells, errors)
    good = ~failed
    columns = {name: _measurable(numbers(rows, name))[good] for name in MEASURES}
    scores = {name: values[good] for name, values in _scores(rows).items()}
    metrics = tuple(name for name, values in scores.items() if np.isfinite(values).any())
    started = np.full(size, np.datetime64("NaT"), "datetime64[us]")
    if _has(rows, "started"):
        started = rows.column("started").cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    return Frame(
        configurations=configurations,
        prompts=_prompt_labels(rows.take(first_prompts)),
        runs=tuple(texts(rows.take(run_ids), "run_id")),
        factors=factors_of(configurations),
        metrics=metrics,
        asked=np.bincount(prompt * len(firsts) + configuration, minlength=len(first_prompts) * len(firsts)).reshape(
            len(first_prompts), len(firsts)
        ),
        configuration=configuration[good],
        prompt=prompt[good],
        run=run[good],
        repeat=np.nan_to_num(numbers(rows, "repeat"), nan=1).astype(np.int64)[good],
        greedy=np.array([each.greedy for each in configurations], bool)[configuration[good]],
        started=started[good],
        columns=columns | {name: scores[name] for name in metrics},
    )


def _has(rows: "pa.Table", name: str) -> bool:
    return name in rows.column_names


def _prompt_labels(firsts: "pa.Table") -> tuple[str, ...]:
    """The prompts' ids; where two runs give one id to two texts, with the text's hash behind it."""
    ids, hashes = texts(firsts, "prompt_id"), texts(firsts, "prompt_hash")
    taken = {name for name, count in Counter(ids).items() if count > 1}
    return tuple(f"{name} ({hash_})" if name in taken else name for name, hash_ in zip(ids, hashes, strict=True))


def _scores(rows: "pa.Table") -> dict[str, Floats]:
    """The scores by name; `completeness` from the column of that name where older rows have no other."""
    read = [name for name in rows.column_names if name.startswith(SCORES)]  # of light rows
    found = {name.removeprefix(SCORES): numbers(rows, name) for name in read} or objects_of(rows, "scores")
    if _has(rows, "completeness"):
        column = numbers(rows, "completeness")
        stored = found.get("completeness", np.full(len(column), np.nan))
        found["completeness"] = np.where(np.isfinite(stored), stored, column)
    return {name: _measurable(values) for name, values in found.items()}


def _measurable(values: Floats) -> Floats:
    """What can be squared and summed: beyond that a figure is missing, below it is 0."""
    size = np.abs(values)
    return np.where(size < LARGEST, np.where(size < 1 / LARGEST, 0.0, values), np.nan)
