"""What statistics and exports are about: the rows of one experiment, of one batch, or of all recent ones."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from cluster.errors import DamagedRun
from cluster.stores.experiments import RUNNING, Experiment, Experiments, StoredRun
from cluster.stores.lab_experiments import AnsweredExperiment, LabExperiment, LabExperiments
from cluster.stores.lab_responses import LabResponses, table_of
from cluster.stores.run_cells import RunCells, state_of
from cluster.stores.run_light import LightParts, light_of, together
from cluster.stores.run_pairs import RunPairs
from cluster.stores.run_parts import settled
from cluster.stores.runs import Run
from deployments.gateway.lab.batch_desk import Desk as Batches
from deployments.gateway.lab.batch_desk import seen_by
from deployments.gateway.lab.coverage import Coverage, Left
from deployments.gateway.lab.experiment_desk import ExperimentDesk
from deployments.gateway.lab.kept import Kept
from deployments.gateway.lab.scores import Scoring
from deployments.gateway.lab.threads import Turns
from deployments.gateway.principal import Principal

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.analysis.frame import Frame
    from pipelines.analysis.preferences import Preferences
    from pipelines.analysis.report.results import Results

Result = TypeVar("Result")
Kind = Literal["single", "batch"]

MOST_ROWS = 300_000  # of several runs together; about as many kilobytes while they are read
MOST_PARTS = 1000  # experiments of each kind that are looked at
KEPT_FRAMES = 4  # some tens of megabytes each, of 100,000 rows
KEPT_FIGURES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One experiment. state: another one where its rows are others. load: its rows. light: those without texts.

    count: its rows, or a few less while it grows. began_at: its last start. verdicts: on pairs of its answers, a
    table for each judge.
    """

    kind: Kind
    id: int
    name: str
    state: str
    growing: bool
    count: int
    began_at: datetime
    load: Callable[[], "pa.Table"]
    light: Callable[[], "pa.Table"]
    verdicts: Callable[[], "Sequence[pa.Table]"] = tuple

    @property
    def key(self) -> str:
        """Its own among all."""
        return f"{self.kind}{self.id}"

    def left(self, error: DamagedRun | None = None) -> Left:
        """The same, as it is named where it is left out."""
        return Left(kind=self.kind, id=self.id, name=self.name, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows, and what they are of."""

    rows: "pa.Table"
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Framed:
    """A frame, and what it is of. state: of its rows. preferences: of each judge that compared pairs of answers."""

    frame: "Frame"
    coverage: Coverage
    state: str
    preferences: "Sequence[Preferences]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Rows of one part or of several. since: the cells that began earlier are left out.

    all: the parts are whatever is there, so that one that is damaged, or is too much, may be missing; otherwise
    each was asked for by its id. older: how many more there are that nobody looked at.
    """

    parts: tuple[Part, ...]
    since: datetime | None = None
    all: bool = False
    older: int = 0

    @property
    def key(self) -> str:
        """What it is. The same parts may be all there is, or have been asked for: then none may be left out."""
        since = f" {self.since:%Y-%m-%dT%H}" if self.since else ""
        return ("all " if self.all else "") + " ".join(part.key for part in self.parts) + since

    @property
    def state(self) -> str:
        """Another one where rows of it are others."""
        states = " ".join([*(part.state for part in self.parts), str(self.older)])
        return blake2b(states.encode(), digest_size=12).hexdigest()

    @property
    def growing(self) -> bool:
        """Whether more rows are to come."""
        return any(part.growing for part in self.parts)

    def of_days(self, days: int | None) -> "Material":
        """The same, of the last days alone where there is a number."""
        return self if days is None else replace(self, since=_since(days))

    def read(self, *, light: bool = False) -> Read:
        """All rows, or the newest parts' of all that is there. Raises DamagedRun of a part that was asked for.

        light: as statistics read them, without texts (`cluster.stores.run_light`).
        """
        from cluster.stores.runs import schema

        tables: list[pa.Table] = []
        left: list[Left] = []
        rows = 0
        for place, part in enumerate(self.parts):
            if self.all and tables and rows + part.count > MOST_ROWS:
                left += [one.left() for one in self.parts[place:]]
                break
            try:
                tables.append(self._of(part.light() if light else part.load()))
            except DamagedRun as error:
                if not self.all:
                    raise
                left.append(part.left(error))
                continue
            rows += tables[-1].num_rows
        if not tables and not light:
            tables = [schema().empty_table()]
        read = len(self.parts) - len(left)
        return Read(
            rows=together(tables),
            coverage=Coverage(experiments=read, rows=rows, left=tuple(left), older=self.older),
        )

    def verdicts(self) -> "Sequence[pa.Table]":
        """What judges said of pairs of its answers; of one experiment as a whole alone. Raises DamagedRun."""
        return () if self.all or self.since is not None or len(self.parts) != 1 else self.parts[0].verdicts()

    def _of(self, table: "pa.Table") -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.since is not None and table.num_rows:
            table = table.filter(pc.greater_equal(table.column("started"), pa.scalar(self.since)))
        return table


class Materials:
    """Finds rows for those who may see them, and keeps what was computed of them."""

    def __init__(
        self,
        home: Path,
        batches: Batches,
        experiments: ExperimentDesk,
        stores: "Stores",
        scoring: Scoring,
    ) -> None:
        self._home = home
        self._batches = batches
        self._experiments = experiments
        self._stores = stores
        self._scoring = scoring
        self._frames = Kept(KEPT_FRAMES)
        self._figures = Kept(KEPT_FIGURES)
        self._tables = Kept(KEPT_FRAMES)
        self._turns = Turns()
        self._figured: OrderedDict[int, tuple[str, pa.Table]] = OrderedDict()  # single experiments' rows, scored
        self._lock = threading.Lock()
        self.light = LightParts()

    async def batch(self, experiment_id: int, principal: Principal) -> tuple[Experiment, Material]:
        """A batch's rows. Raises ExperimentNotFound."""
        found = await self._batches.find(experiment_id, principal)
        return found, Material(parts=(await asyncio.to_thread(self._of_batch, StoredRun.of(found)),))

    async def experiment(self, experiment_id: int, principal: Principal) -> tuple[LabExperiment, Material]:
        """A single experiment's rows. Raises ExperimentNotFound."""
        found = await self._experiments.find(experiment_id, principal)
        state = await asyncio.to_thread(self._stores.responses.state, found.id)
        return found, Material(parts=(self._of_experiment(AnsweredExperiment.of(found), state),))

    async def recent(self, principal: Principal, *, days: int, kind: Kind | None = None) -> Material:
        """The rows of the last days, today among them, that somebody sees."""
        since = _since(days)
        return await asyncio.to_thread(self._recent, seen_by(principal), since, kind)

    async def frame(self, material: Material) -> Framed:
        """Its frame, from memory where nothing has changed. Raises DamagedRun."""
        self._scoring.listen()
        make = partial(self._turns.take, partial(_frame, material))
        return await self._frames.get(material.key, material.state, make, growing=material.growing)

    async def figure(self, material: Material, name: str, work: Callable[[Framed], Result]) -> Result:
        """What is computed of its frame, from memory where nothing has changed. name: what, with its settings.

        Raises DamagedRun, and what `work` raises.
        """

        async def make() -> Result:
            framed = await self.frame(material)
            return await self._turns.take(lambda: work(framed))

        return await self._figures.get((material.key, name), material.state, make, growing=material.growing)

    async def rows(self, material: Material) -> "pa.Table":
        """All its rows, with all columns. A batch's are not kept: they may be gigabytes."""
        self._scoring.listen()
        make = partial(self._turns.take, lambda: material.read().rows)
        if any(part.kind == "batch" for part in material.parts):
            return await make()
        return await self._tables.get((material.key, "rows"), material.state, make)

    async def results(self, material: Material, name: str, spec: Mapping[str, Any] | None) -> "Results":
        """What its report shows."""
        self._scoring.listen()
        make = partial(self._turns.take, partial(_results, material, name, spec))
        return await self._tables.get((material.key, "results", name), material.state, make)

    def run(self, found: Experiment) -> Run:
        """The folder of a batch's rows."""
        return Run(self._home, found.run_id)

    def _of_batch(self, found: StoredRun) -> Part:
        run = Run(self._home, found.run_id)
        pairs = RunPairs(run)
        return Part(
            kind="batch",
            id=found.id,
            name=found.name,
            state=state_of([*run.files(), *pairs.files()]),
            growing=found.status == RUNNING,
            count=found.completed_combinations,
            began_at=found.began_at,
            load=run.table,
            light=lambda: settled(lambda: RunCells.of(run.files(), self.light)).light,
            verdicts=lambda: tuple(pairs.judges()),
        )

    def _of_experiment(self, found: AnsweredExperiment, stored: tuple[int, int]) -> Part:
        """stored: how many answers there are, and the newest one's id."""
        responses, scoring = self._stores.responses, self._scoring
        count, newest = stored
        state = f"{count} {newest} {scoring.state}"

        return Part(
            kind="single",
            id=found.id,
            name=found.name,
            state=state,
            growing=found.status == RUNNING,
            count=count,
            began_at=found.began_at,
            load=lambda: scoring.scored(table_of(responses.of(found.id))).rows,
            light=lambda: self._scored(found.id, state),
        )

    def _scored(self, experiment_id: int, state: str) -> "pa.Table":
        """The figures of a single experiment's rows without their texts: to score them is what takes the time."""
        with self._lock:
            known = self._figured.get(experiment_id)
            if known is not None and known[0] == state:
                self._figured.move_to_end(experiment_id)
                return known[1]
        rows = self._scoring.scored(table_of(self._stores.responses.of(experiment_id))).rows
        rows = light_of(rows)
        with self._lock:
            self._figured[experiment_id] = (state, rows)
            while len(self._figured) > KEPT_FIGURES:
                self._figured.popitem(last=False)
        return rows

    def _recent(self, owner: str | None, since: datetime, kind: Kind | None) -> Material:
        parts: list[Part] = []
        older = 0
        if kind != "single":
            total, runs = self._stores.batches.recent(owner=owner, since=since, limit=MOST_PARTS)
            older += total - len(runs)
            # Two batches of the same cells share their rows.
            own = {found.run_id: found for found in reversed(runs)}
            parts += [self._of_batch(found) for found in own.values()]
        if kind != "batch":
            total, answered = self._stores.experiments.answered(owner=owner, since=since, limit=MOST_PARTS)
            older += total - len(answered)
            states = self._stores.responses.states([found.id for found in answered])
            parts += [self._of_experiment(found, states[found.id]) for found in answered]
        parts.sort(key=lambda part: (part.began_at, part.id), reverse=True)
        return Material(parts=tuple(parts), since=since, all=True, older=older)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores of one database."""

    batches: Experiments
    experiments: LabExperiments
    responses: LabResponses


def _frame(material: Material) -> Framed:
    from pipelines.analysis.frame import frame_of
    from pipelines.analysis.preferences import preferences

    read = material.read(light=True)
    judged = [preferences(one) for one in material.verdicts()]
    return Framed(frame=frame_of(read.rows), coverage=read.coverage, state=material.state, preferences=judged)


def _results(material: Material, name: str, spec: Mapping[str, Any] | None) -> "Results":
    from pipelines.analysis.report.results import results_of

    rows = material.read(light=True).rows
    return results_of(rows, name=name, spec=spec, verdicts=material.verdicts())


def _since(days: int) -> datetime:
    first = datetime.now(UTC) - timedelta(days=days - 1)
    return first.replace(hour=0, minute=0, second=0, microsecond=0)
