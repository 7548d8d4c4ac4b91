"""A single experiment's answers, generated in the background of one gateway: cell by cell, as a sweep's are.

What was answered is stored several times a second together with how far the experiment is, so that a gateway that
dies loses moments, and the next request to generate asks only for what is missing. Every cell goes through `Chats`:
the limits, queues and fallbacks of its asker hold.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cluster.errors import HeliostatError, Unavailable, UnsupportedParameter
from cluster.settings.tree import Settings
from cluster.stores.lab_experiments import COMPLETED, FAILED, LabExperiment, LabExperiments
from cluster.stores.lab_responses import LabResponses
from cluster.types import ChatCall, ModelCard, Priority
from deployments.gateway.chats import Chats
from deployments.gateway.lab.combinations import spec_of
from deployments.gateway.principal import Principal
from pipelines.sweeps.cell import CellRunner
from pipelines.sweeps.plan import Cell, Plan
from pipelines.sweeps.tally import parameters_of
from pipelines.sweeps.width import Width

logger = logging.getLogger(__name__)

SMALL = 32  # cells that somebody waits for; more are told of by their progress alone
FLUSH_S = 0.2  # between two times that answers are stored; progress is with its reader within a second
BEAT_S = 5.0  # of no answer: a sign of life
AWAY_S = 20.0  # for which the database may be away: before others take its gateway for gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One generation. cells: those without a good answer. done: how many have one."""

    experiment: LabExperiment
    model: str
    card: ModelCard
    cells: Sequence[Cell]
    done: int
    principal: Principal

    @property
    def total(self) -> int:
        """All cells of the model."""
        return len(self.cells) + self.done


@dataclass(slots=True, kw_only=True)
class _Count:
    completed: int
    failed: int = 0
    current: Mapping[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


class Generations:
    """What one gateway generates."""

    def __init__(
        self, settings: Settings, chats: Chats, experiments: LabExperiments, responses: LabResponses
    ) -> None:
        self._settings = settings.sweeps
        self._chats = chats
        self._experiments = experiments
        self._responses = responses
        self.running: set[asyncio.Task[None]] = set()

    async def wanted(self, experiment: LabExperiment, model: str, principal: Principal) -> Wanted:
        """What is to be asked. Raises ModelNotFound, UnsupportedParameter."""
        card = await self._chats.card(model, principal)
        honoured = card.capabilities.parameters
        spec = spec_of(asdict(experiment), model, seeds="seed" in honoured)
        for name in spec.parameters.axes:
            if name not in honoured:
                raise UnsupportedParameter(f"{model} does not honour {name}", param="model")
        plan = Plan(spec=spec, revisions={model: card.revision})
        stored = await asyncio.to_thread(self._responses.cells, experiment.id)
        cells = await asyncio.to_thread(lambda: [cell for cell in plan.cells() if not stored.get(cell.id)])
        return Wanted(
            experiment=experiment,
            model=model,
            card=card,
            cells=cells,
            done=plan.total - len(cells),
            principal=principal,
        )

    async def begin(self, wanted: Wanted) -> asyncio.Task[None]:
        """Start it; the task ends with it, and never fails.

        Raises Conflict while the experiment runs, and where it ran or was changed since `wanted` looked at it.
        """
        session, experiment = uuid.uuid4().hex, wanted.experiment
        await asyncio.to_thread(
            lambda: self._experiments.claim(
                experiment.id,
                session=session,
                model=wanted.model,
                total=wanted.total,
                done=wanted.done,
                number=experiment.number,
            )
        )
        task = asyncio.create_task(self._run(wanted, session))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    async def close(self) -> None:
        """End all that runs; each can go on later."""
        running = list(self.running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, wanted: Wanted, session: str) -> None:
        count = _Count(completed=wanted.done)
        status, message = FAILED, "the gateway was stopped; generate again to go on"
        try:
            if not await self._generate(wanted, session, count):
                return  # it was cancelled, or is another gateway's
            if count.failed == len(wanted.cells):
                message = f"all {count.failed} cells failed; their answers say why"
            else:
                status, message = COMPLETED, ""
        except HeliostatError as error:
            message = error.line()
        except Exception as error:  # nobody waits for this task: what went wrong is told where they look
            logger.exception("an experiment failed")
            message = f"{type(error).__name__}: the gateway's log says more"
        finally:
            ended = asyncio.to_thread(self._finish, wanted.experiment.id, session, status, message or None)
            await asyncio.shield(asyncio.ensure_future(ended))

    def _finish(self, identity: int, session: str, status: str, message: str | None) -> None:
        try:
            self._experiments.finish(identity, session, status=status, error_message=message)
        except Unavailable as error:  # it beats no more: whoever looks finds it failed, and goes on with it
            logger.warning("the end of the experiment %d could not be noted: %s", identity, error.message)

    async def _generate(self, wanted: Wanted, session: str, count: _Count) -> bool:
        """Ask for all cells; False where it is not this session's any more."""
        settings = self._settings
        runner = CellRunner(
            lambda _, call: self._ask(call, wanted),
            {wanted.model: Width(settings.in_flight)},
            cards={wanted.model: wanted.card},
            retries=settings.retries,
            timeout_s=settings.cell_timeout_s,
        )
        cells = iter(wanted.cells)
        lanes = [asyncio.create_task(_lane(cells, runner, count)) for _ in range(settings.in_flight)]
        try:
            return await self._store(wanted.experiment.id, session, count, lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _store(
        self, identity: int, session: str, count: _Count, lanes: Sequence["asyncio.Task[None]"]
    ) -> bool:
        silent = 0.0
        pending: set[asyncio.Task[None]] = set(lanes)
        while pending or count.rows:
            pending = await _some(pending)
            rows, count.rows = count.rows, []
            if not rows:
                silent += FLUSH_S
                if silent < BEAT_S:
                    continue
            try:
                kept = await asyncio.to_thread(self._noted, identity, session, rows, replace(count, rows=[]))
            except Unavailable:  # the database is back in a moment: what was answered is not lost to that
                count.rows = rows + count.rows
                silent += FLUSH_S
                if silent > AWAY_S:
                    raise
                continue
            silent = 0.0
            if not kept:
                return False
        return True

    def _noted(self, identity: int, session: str, rows: Sequence[dict[str, Any]], count: _Count) -> bool:
        if not rows:
            return self._experiments.beat(identity, session)
        completed, failed, current = count.completed, count.failed, dict(count.current)
        return self._responses.add(identity, session, rows, completed=completed, failed=failed, current=current)

    async def _ask(self, call: ChatCall, wanted: Wanted) -> AsyncIterator[bytes]:
        small = len(wanted.cells) <= SMALL  # somebody waits for these
        chat = await self._chats.check(
            call.body,
            request_id=call.request_id,
            principal=wanted.principal,
            priority=Priority.INTERACTIVE if small else Priority.BACKGROUND,
        )
        async with aclosing(self._chats.events(chat)) as events:  # type: ignore[type-var]  # a generator
            async for item in events:
                yield item


async def _some(pending: set["asyncio.Task[None]"]) -> set["asyncio.Task[None]"]:
    """The lanes that are left after a while. Raises what one raised."""
    if not pending:
        await asyncio.sleep(FLUSH_S)
        return pending
    ended, left = await asyncio.wait(pending, timeout=FLUSH_S)
    for lane in ended:
        lane.result()
    return left


async def _lane(cells: Iterator[Cell], runner: CellRunner, count: _Count) -> None:
    for cell in cells:  # one iterator for all lanes: each cell is taken once
        row = await runner.run(cell)
        count.completed += 1
        count.failed += row.get("error_code") is not None
        count.current = parameters_of({**dict.fromkeys(("temperature", "top_p", "max_tokens")), **row})
        count.rows.append(row)
