"""One driver's time with a run that it holds: what is missing is run, and how it ended is noted."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ClusterError, Conflict, DiskFull, HeliostatError
from cluster.settings.pipelines import DocumentSettings, SweepSettings
from cluster.stores.experiments import LOCAL_OWNER
from cluster.stores.run_state import COMPLETED, FAILED, RUNNING, STOPPED, State
from cluster.stores.runs import MANY, Manifest, Run, rows_of
from cluster.types import ModelCard
from pipelines.sweeps.block_runner import WorkerTask
from pipelines.sweeps.budget import SessionLimits
from pipelines.sweeps.cuts import cuts_of
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.preflight import collection_names, engine_versions
from pipelines.sweeps.recutting import Recuts, recut_collections
from pipelines.sweeps.rescore import Desk, finish, scorers_for
from pipelines.sweeps.reuse import take_over
from pipelines.sweeps.stopping import only, run_rounds
from pipelines.sweeps.tally import COLUMNS, Progress, Tally

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster.settings.tree import Settings
    from pipelines.sweeps.scoring.scorers import Scorers

Execute = Callable[[WorkerTask, Sequence[int], SweepSettings, Callable[[], None]], None]
"""Runs cells by their ordinals, and calls the last argument often and once at the end: `job.execute`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a sweep runs. home: the data folder. application: the Serve application that holds the models.

    documents, database_url, owner: whose collections a sweep with settings of retrieval may search. embedder: the
    id of the embedding model that helps to score and may rank, None where there is none. rerankers: cross-encoders.
    cluster: all settings, for a sweep that varies the sizes of chunks.
    """

    home: Path
    application: str
    served: Sequence[str]
    settings: SweepSettings
    documents: DocumentSettings = field(default_factory=DocumentSettings)
    database_url: str | None = None
    owner: str = LOCAL_OWNER
    embedder: str | None = None
    rerankers: Sequence[str] = ()
    cluster: "Settings | None" = None

    @property
    def rankers(self) -> list[str]:
        """The models that `retrieval.rerank` may name."""
        return [*self.rerankers, *([self.embedder] if self.embedder is not None else [])]

    @property
    def desk(self) -> Desk:
        """Who helps to score."""
        return Desk(application=self.application, embedder=self.embedder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a sweep ended with. ran: cells of this session. failed: cells whose row is an error.

    ended: why it ended before its last cell, None where it is whole. set_aside: damaged parts, by name. unscored:
    why the scores are missing, None where they are not. rescored: anew, as the spec scores otherwise than before.
    taken_over: cells that another run had. left_out: cells that its `stop_when` made needless.
    """

    run: Run
    total: int
    ran: int
    failed: int
    seconds: float
    last: Progress
    ended: State | None = None
    set_aside: Sequence[str] = ()
    unscored: str | None = None
    rescored: bool = False
    taken_over: int = 0
    left_out: int = 0


def pending(plan: Plan, stored: Mapping[str, bool], *, retry: bool) -> range | list[int]:
    """The ordinals of the cells to run. stored: ids of cells with a row, and whether each went well."""
    if not stored:
        return range(plan.total)
    states = [(cell.ordinal, stored.get(cell.id)) for cell in plan.cells()]
    if not retry and all(well is not None for _, well in states):
        return []
    return [ordinal for ordinal, well in states if not well]


def silent(_: str) -> None:
    """Says nothing."""


class Session:
    """One driver's time with a run that it holds. session: as `Run.held` gave it. execute: who runs the cells.

    say: told in a line what is done before the first cell.
    """

    def __init__(
        self,
        plan: Plan,
        target: Target,
        cards: Mapping[str, ModelCard],
        run: Run,
        session: str,
        execute: Execute,
        *,
        say: Callable[[str], None] = silent,
    ) -> None:
        self._plan = plan
        self._target = target
        self._cards = cards
        self._run = run
        self._session = session
        self._execute = execute
        self._say = say
        self._tally = Tally(plan.total)
        self._limits = SessionLimits(
            budget=plan.spec.budget,
            deadline=plan.spec.deadline,
            deadline_s=plan.spec.deadline_s,
            begun=datetime.now(UTC),
        )
        self._seen: set[Path] = set()
        self._gathered: set[Path] = set()

    def drive(self, watch: Callable[[Progress], None], *, retry: bool, extend: bool = True) -> Outcome:
        """Run what is missing, and note how it ended. Raises as `run_sweep` does.

        extend: a run that begins takes over what other runs have of its cells.
        """
        run, tally, begun = self._run, self._tally, time.monotonic()
        set_aside = run.set_aside()
        self._begin()
        run.state.clear(before=run.begun)
        run.state.note(RUNNING)
        try:
            taken = self._take_over() if extend and not run.files() else 0
            ordinals = pending(self._plan, run.stored(), retry=retry)
            tally.keep(self._kept(ordinals))
            left_out = self._run_cells(ordinals, watch) if ordinals else 0
            tally.total -= left_out
            watch(tally.progress(datetime.now(UTC)))
            finished = finish(run, self._session, self._plan.spec, self._scorers)
            ended = self._ended(finished.rows, left_out)
        except HeliostatError as error:
            with suppress(DiskFull):  # which is what is told already, or tells less
                run.state.note(FAILED, error.line())
            raise
        return Outcome(
            run=run,
            total=self._plan.total,
            ran=tally.ran,
            failed=tally.failed,
            seconds=time.monotonic() - begun,
            last=tally.progress(datetime.now(UTC)),
            ended=ended,
            set_aside=set_aside,
            unscored=finished.unscored,
            rescored=finished.rescored,
            taken_over=taken,
            left_out=left_out,
        )

    def _take_over(self) -> int:
        versions = engine_versions(self._cards)
        home = self._target.home
        taken = take_over(self._plan, self._run, self._session, home=home, cards=self._cards, versions=versions)
        self._seen.update(taken)  # they count as stored, and not as run
        return sum(map(rows_of, taken))

    def _run_cells(self, ordinals: Sequence[int], watch: Callable[[Progress], None]) -> int:
        """Run them; returns how many the spec's `stop_when` left out."""
        recuts = self._recut()
        if recuts is None:
            return 0
        task, settings = self._task(recuts), self._target.settings

        def look() -> None:
            self._look()
            self._mind_limits()
            watch(self._tally.progress(datetime.now(UTC)))

        self._mind_limits()  # a budget that is spent already has no cell run
        if self._plan.spec.stop_when is None:
            self._execute(task, ordinals, settings, look)
            return 0

        def one_round(due: Sequence[int]) -> bool:
            self._execute(task, due, settings, look)
            return self._run.state.asked() is None

        left_out = run_rounds(self._plan, ordinals, one_round, self._rows_up_to)
        there = set(self._run.table(["ordinal"]).column("ordinal").to_pylist())
        return sum(ordinal not in there for ordinal in left_out)

    def _rows_up_to(self, repeat: int) -> "pa.Table | None":
        """The stored rows of the first repeats, with scores where the spec's `stop_when` looks at one."""
        import pyarrow.compute as pc

        from pipelines.analysis.frame import COLUMNS as FIGURES
        from pipelines.analysis.frame import MEASURES
        from pipelines.sweeps.scoring.rows import score_rows

        rule = self._plan.spec.stop_when
        assert rule is not None
        measured = rule.metric in MEASURES
        rows = self._run.table(FIGURES if measured else None).filter(pc.field("repeat") <= repeat)
        try:
            return rows if measured else score_rows(rows, only(self._scorers(), rule.metric))
        except HeliostatError:  # as at the end of a session: scores that cannot be had cost no cell
            return None

    def _ended(self, stored: int, left_out: int) -> State | None:
        """Note the end. Raises ClusterError where cells are missing and nobody wished for that."""
        run, wish = self._run, self._run.state.asked()
        run.state.clear()
        if stored + left_out == self._plan.total:
            saved = f"stop_when saved {left_out} of {self._plan.total} cells" if left_out else None
            run.state.note(COMPLETED, saved)
            return None
        if wish is None:
            raise ClusterError(
                f"{stored} of {self._plan.total} cells have a row", hint="run the same sweep again: it continues"
            )
        run.state.note(wish.status, wish.reason)
        return wish

    def _mind_limits(self) -> None:
        tally = self._tally
        reason = self._limits.reason(datetime.now(UTC), tokens=tally.spent_tokens, cost=tally.cost)
        if reason is not None and self._run.state.asked() is None:
            self._run.state.ask(STOPPED, reason)

    def _begin(self) -> None:
        """Write the run's manifest, or hold the stored one against the models as they are now."""
        plan, run = self._plan, self._run
        models = {model: {"engine": card.engine, "revision": card.revision} for model, card in self._cards.items()}
        manifest = Manifest(
            run_id=plan.run_id,
            name=plan.spec.name,
            total=plan.total,
            models=models,
            created=time.time(),
            owner=plan.owner,
        )
        run.begin(plan.spec.canonical(), manifest)
        for model, before in run.manifest().models.items():
            if (was := before.get("revision")) != (now := models.get(model, {}).get("revision")):
                raise Conflict(
                    f"The sweep {run.id} was begun with revision {was} of {model}, which is {now} now",
                    hint="sweep run --fresh moves the stored run aside and begins again",
                )

    def _kept(self, ordinals: Sequence[int]) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        stored = self._run.table([*COLUMNS, "ordinal"])
        if not stored.num_rows:
            return stored
        return stored.filter(pc.invert(pc.is_in(stored.column("ordinal"), pa.array(ordinals, pa.int64()))))

    def _task(self, recuts: Recuts) -> WorkerTask:
        target, settings, spec = self._target, self._target.settings, self._plan.spec
        return WorkerTask(
            home=str(target.home),
            run_id=self._plan.run_id,
            session=self._session,
            spec=spec.canonical(),
            application=target.application,
            cards=self._cards,
            in_flight=max(1, settings.in_flight // settings.workers),
            beside_people=max(1, settings.width_beside_people // settings.workers),
            block_cells=settings.block_cells,
            retries=settings.retries,
            timeout_s=settings.cell_timeout_s,
            owner=self._plan.owner,
            versions=engine_versions(self._cards),
            documents=target.documents if spec.retrieval is not None else None,
            collections=self._collections(),
            recuts=recuts,
            embedder=target.embedder,
        )

    def _scorers(self) -> "Scorers":
        return scorers_for(self._plan.spec, self._target.desk)

    def _collections(self) -> dict[str, str]:
        target, spec = self._target, self._plan.spec
        if spec.retrieval is None or target.database_url is None:
            return {}
        from cluster.stores.collection_names import CollectionNames
        from cluster.stores.database import open_database

        names = CollectionNames(open_database(target.database_url))
        return collection_names(spec, names, owner=target.owner, default=target.documents.collection)

    def _recut(self) -> Recuts | None:
        """What cells search that ask for chunks of other sizes; None where somebody wished for an end before."""
        cuts, cluster = cuts_of(self._plan.spec.space), self._target.cluster
        if not cuts:
            return {}
        assert cluster is not None, "a sweep that varies the sizes of chunks has a cluster to cut on"

        def stopped() -> bool:
            self._mind_limits()
            return self._run.state.asked() is not None

        application = self._target.application
        return recut_collections(cuts, self._collections(), cluster, application, self._say, stopped)

    def _look(self) -> None:
        import pyarrow.parquet as pq

        for file in sorted(self._run.parts.glob(f"{self._session}-*.parquet")):
            if file not in self._seen:
                self._seen.add(file)
                self._tally.add(pq.read_table(file, columns=list(COLUMNS)))
        self._gather()

    def _gather(self) -> None:
        """Make one part of many small ones of a block, so that readers of a long run open few files.

        They are counted over all blocks: each of several workers' leaves some behind.
        """
        left = sorted(self._seen - self._gathered)
        if len(left) < 2 * MANY:
            return
        small: dict[int, list[Path]] = {}
        for file in left:
            small.setdefault(int(file.name.split("-")[1]), []).append(file)
        block, most = max(small.items(), key=lambda item: len(item[1]))
        files = most[:MANY]
        new = self._run.gather(files, session=self._session, block=block)
        self._seen = (self._seen - set(files)) | {new}
        self._gathered.add(new)
