"""A run seen from outside: how far it is, how fast, and what is best so far, by its folder alone.

Whoever drives it and wherever, the rows that it has stored tell all of this; nothing is asked of a cluster.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cluster.stores.run_state import RUNNING
from cluster.stores.runs import Run
from pipelines.sweeps.tally import PREVIEWED

if TYPE_CHECKING:
    import pyarrow as pa

PACE_S = 60.0  # what "now" means of a speed
LOOK_S = 1.0  # between two looks
SHARE = 4.0  # a look takes a fifth of the time at most: of a large run the looks are rarer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One model's cells. total: None where the models have different numbers of them.

    cells_per_minute: of the last minute of this session, None until one has ended in it. remaining_s: at that pace.
    """

    model: str
    total: int | None
    done: int
    failed: int
    cells_per_minute: float | None
    remaining_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The configuration with the best mean so far. low, high: 95 % interval over prompts, None under two.

    p_best: the probability that it is best, None under two prompts. shown: whether the paired tests tell it from
    all others; reason says why not. In a running sweep that may change with every cell.
    """

    config_id: str
    label: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    p_best: float | None
    prompts: int
    shown: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A run at one moment. done: cells with a row, failed ones included. errors: failed cells by code.

    best: None before any score, and in a running sweep of very many configurations. ended: nothing more will come.
    """

    id: str
    name: str
    status: str
    reason: str | None
    total: int
    done: int
    failed: int
    cells_per_minute: float | None
    remaining_s: float | None
    models: tuple[ModelView, ...]
    errors: Mapping[str, int]
    best: Leader | None
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was read of the rows. ended: when each cell ended, Unix seconds, NaN where its row does not say."""

    files: tuple[Path, ...]
    models: NDArray[np.str_]
    failed: NDArray[np.bool_]
    ended: NDArray[np.float64]
    errors: Mapping[str, int]
    best: Leader | None


class Lookout:
    """Looks at one run again and again; rows are read where there are new ones."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: _Seen | None = None

    def look(self, now: float) -> View:
        """The run at this moment, in Unix seconds. Raises ExperimentNotFound, and ClusterError for damaged rows."""
        run = self._run
        # Asked in this order: what a driver stores before it lets go is seen by the look that calls it ended.
        held, standing, manifest = run.running, run.standing(), run.manifest()
        ended = not held
        seen = self._read(whole=ended)
        since = max(run.begun or now, now - PACE_S)
        models = self._models(seen, list(manifest.models), manifest.total, since=since, now=now)
        pace = _pace(seen.ended, since, now)
        left = [one.remaining_s for one in models]
        known = [one for one in left if one is not None]
        if len(known) < len(left) or not known:  # lanes end one by one; without their shares, all at one pace
            known = [60 * (manifest.total - len(seen.models)) / pace] if pace else []
        return View(
            id=run.id,
            name=manifest.name,
            status=RUNNING if held else standing.status,  # a driver that begins has not noted it yet
            reason=None if held else standing.reason,
            total=manifest.total,
            done=len(seen.models),
            failed=int(seen.failed.sum()),
            cells_per_minute=None if ended else pace,
            remaining_s=max(known) if known and not ended else None,
            models=models,
            errors=seen.errors,
            best=seen.best,
            ended=ended,
        )

    def _models(
        self, seen: _Seen, names: list[str], total: int, *, since: float, now: float
    ) -> tuple[ModelView, ...]:
        share = total // len(names) if names and total % len(names) == 0 else None  # a plan is models × the rest
        found = []
        for name in names:
            here = seen.models == name
            done, pace = int(here.sum()), _pace(seen.ended[here], since, now)
            left = None if share is None else share - done
            remaining = 0.0 if left == 0 else 60 * left / pace if left is not None and pace else None
            found.append(
                ModelView(
                    model=name,
                    total=share,
                    done=done,
                    failed=int(seen.failed[here].sum()),
                    cells_per_minute=pace,
                    remaining_s=remaining,
                )
            )
        return tuple(found)

    def _read(self, *, whole: bool) -> _Seen:
        """The rows; as they were read last, where no part has come or gone."""
        files = tuple(self._run.files())
        if self._seen is None or self._seen.files != files:
            from pipelines.analysis.frame import COLUMNS

            self._seen = _seen(self._run.table(COLUMNS), files, whole=whole)
        return self._seen


def follow(
    run: Run, *, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
) -> Iterator[View]:
    """Look at a run until it has ended; the last view says how. Raises as `Lookout.look`."""
    lookout = Lookout(run)
    while True:
        begun = time.perf_counter()
        view = lookout.look(clock())
        took = time.perf_counter() - begun
        yield view
        if view.ended:
            return
        sleep(max(LOOK_S, SHARE * took))


def leader_of(rows: "pa.Table", *, whole: bool = True) -> Leader | None:
    """The best configuration of rows (columns: frame.COLUMNS); None without scores. whole: also of very many."""
    from pipelines.analysis.best import best
    from pipelines.analysis.frame import frame_of
    from pipelines.analysis.intervals import configurations
    from pipelines.analysis.report.results import PREFERRED

    frame = frame_of(rows)
    metric = next((name for name in (*PREFERRED, *frame.metrics) if name in frame.metrics), None)
    if metric is None or (len(frame.configurations) > PREVIEWED and not whole):
        return None
    found = best(frame, metric)
    figure = next((one for one in configurations(frame, metric) if one.config_id == found.leader), None)
    if figure is None:
        return None
    return Leader(
        config_id=figure.config_id,
        label=figure.label,
        metric=metric,
        mean=figure.mean,
        low=figure.low,
        high=figure.high,
        p_best=next(one.p_best for one in found.candidates if one.config_id == figure.config_id),
        prompts=figure.prompts,
        shown=found.winner is not None,
        reason=found.reason,
    )


def _seen(rows: "pa.Table", files: tuple[Path, ...], *, whole: bool) -> _Seen:
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = rows.column("error_code")
    started = rows.column("started").cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    took = np.nan_to_num(rows.column("latency_ms").to_numpy().astype(np.float64))  # an error's row has none
    seconds = np.where(np.isnat(started), np.nan, started.astype(np.int64) / 1e6) + took / 1000
    counted = Counter(str(code) for code in codes.drop_null().to_pylist())
    return _Seen(
        files=files,
        models=np.array(rows.column("model").to_pylist(), np.str_),
        failed=pc.is_valid(codes).to_numpy(),
        ended=seconds,
        errors=dict(counted.most_common()),
        best=leader_of(rows, whole=whole),
    )


def _pace(ended: NDArray[np.float64], since: float, now: float) -> float | None:
    """Cells a minute that ended since then; None for none."""
    count = int(np.count_nonzero(ended > since))
    return 60 * count / (now - since) if count and now > since else None
