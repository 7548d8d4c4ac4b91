"""A block of a sweep's cells, from their ordinals to stored rows. Knows no Ray: who answers is given in.

It is handed ordinals, plans the cells itself, and writes their rows to the run's folder as they come, so that a
kill costs seconds. A block that is run again in the same session runs only what it has not stored.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.settings.pipelines import DocumentSettings
from cluster.stores.runs import LOCAL_OWNER, Run, ids_in
from cluster.types import ModelCard
from pipelines.sweeps.block_writer import BlockWriter
from pipelines.sweeps.cell import Ask, CellRunner
from pipelines.sweeps.cuts import Cut
from pipelines.sweeps.grounding import Grounding, Rank, Search
from pipelines.sweeps.lanes import Ending, run_cells
from pipelines.sweeps.plan import Cell, Plan
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.width import Width

# Until an answer is on disk. Its driver looks there, and whoever follows the sweep hears of it within a second.
STORED_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTask:
    """What a worker is told once. spec: canonical JSON. in_flight: cells of a model at once, of this worker;
    beside_people: while people use the model, None is as many.

    owner: whose run it is. versions: of the models' engines. documents, collections: how passages are searched
    for, where the spec asks for any, and the vector store's names of the collections that it names. recuts: of
    what cells with sizes of chunks search.
    """

    home: str
    run_id: str
    session: str
    spec: str
    application: str
    cards: Mapping[str, ModelCard]
    in_flight: int
    block_cells: int
    retries: int
    timeout_s: float
    beside_people: int | None = None
    owner: str = LOCAL_OWNER
    versions: Mapping[str, str] = field(default_factory=dict)
    documents: DocumentSettings | None = None
    embedder: str | None = None
    collections: Mapping[str, str] = field(default_factory=dict)
    recuts: Mapping[Cut, str] = field(default_factory=dict)


class BlockRunner:
    """Runs blocks of one session. ask: the models. search, rank: for a spec with settings of retrieval.

    Made inside the event loop that runs it.
    """

    def __init__(self, task: WorkerTask, ask: Ask, search: Search | None = None, rank: Rank | None = None) -> None:
        self._task = task
        self._run = Run(Path(task.home), task.run_id)
        revisions = {model: card.revision for model, card in task.cards.items()}
        self._plan = Plan(spec=read_spec(json.loads(task.spec)), revisions=revisions, owner=task.owner)
        self._ending = Ending(self._run.state)
        ground = None
        if task.documents is not None and search is not None:
            ground = Grounding(search, task.documents, task.collections, rank, task.recuts)
        self._runner = CellRunner(
            ask,
            {model: Width(task.in_flight, task.beside_people) for model in task.cards},
            cards=task.cards,
            retries=task.retries,
            timeout_s=task.timeout_s,
            ground=ground,
            versions=task.versions,
            prices=self._plan.spec.prices,
        )

    async def run(self, block: int, ordinals: list[int]) -> int:
        """Run what is missing of a block; returns how many cells ran. Raises Superseded, DiskFull."""
        task = self._task
        stored = ids_in(self._run.files_of(task.session, block))
        writer = BlockWriter(self._run, session=task.session, block=block, size=task.block_cells, flush_s=STORED_S)
        cells = {model: self._cells(model, ordinals, stored) for model in task.cards}
        return await run_cells(cells, self._runner, writer, self._ending, lanes=task.in_flight)

    def _cells(self, model: str, ordinals: list[int], stored: set[str]) -> Iterator[Cell]:
        """The cells of one model that have no row yet, made as they are asked for."""
        plan = self._plan
        mine = (plan.cell(ordinal) for ordinal in ordinals if plan.model_of(ordinal) == model)
        return (cell for cell in mine if cell.id not in stored)
