"""A sweep that grew takes over what stored runs have of it: a cell is the same in any run that asks it.

Only answers that would be given again: of the same engine and version, with the same rule about seeds, and not from
passages, which may have changed since. Errors are never taken over.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import HeliostatError
from cluster.stores.run_snapshot import Snapshot
from cluster.stores.runs import Run, runs
from cluster.types import ModelCard
from pipelines.sweeps.plan import Cell, Plan

LOOKED_AT = 50  # stored runs, the newest first
SCORED = ("completeness", "completeness_metric", "features", "scores", "score_versions")
"""What depends on the other rows of a prompt, or on the spec's scorers: made again."""


def take_over(
    plan: Plan,
    run: Run,
    session: str,
    *,
    home: Path,
    cards: Mapping[str, ModelCard],
    versions: Mapping[str, str],
) -> list[Path]:
    """Write the rows that other runs have of a plan's cells; the parts that were written."""
    if plan.spec.retrieval is not None:
        return []
    missing: dict[str, Cell] = {}
    written = []
    for found in _related(plan, run, home):
        if not missing:
            missing = {cell.id: cell for cell in plan.cells()}
        try:
            for batch in Snapshot.take(found).batches():
                rows = [_taken(row, missing, cards, versions) for row in batch.to_pylist()]
                good = [row for row in rows if row is not None]
                if good:
                    written.append(run.write(good, session=session, block=0))
                    for row in good:
                        del missing[row["cell_id"]]
        except (HeliostatError, OSError, ValueError):
            continue  # a run that cannot be read, or went meanwhile, has nothing to give
        if not missing:
            break
    return written


def _related(plan: Plan, run: Run, home: Path) -> Iterator[Run]:
    """Stored runs that may have some of the cells."""
    for found in runs(home)[:LOOKED_AT]:
        try:
            manifest, asked = found.manifest(), json.loads(found.spec())
        except HeliostatError:  # a damaged run has nothing to give
            continue
        if manifest.owner != plan.owner:  # what somebody else was answered is theirs
            continue
        if found.id == run.id or manifest.run_id != found.id or not set(manifest.models) & set(plan.spec.models):
            continue
        try:
            texts, seeds = {prompt["text"] for prompt in asked["prompts"]}, asked["seeds"]
        except (KeyError, TypeError):  # JSON, and no spec
            continue
        if seeds == plan.spec.seeds and any(prompt.text in texts for prompt in plan.spec.prompts):
            yield found


def _taken(
    row: dict[str, Any],
    missing: Mapping[str, Cell],
    cards: Mapping[str, ModelCard],
    versions: Mapping[str, str],
) -> dict[str, Any] | None:
    """A row as this run's, or None for one that is not wanted."""
    cell = missing.get(row["cell_id"])
    if cell is None or row["error_code"] is not None:
        return None
    if row["engine"] != cards[cell.model].engine or row["engine_version"] != versions.get(cell.model):
        return None
    own = {"run_id": cell.run_id, "ordinal": cell.ordinal, "prompt_id": cell.prompt_id}
    known = {"config_id": cell.config_id, "greedy": cell.greedy}
    return {**row, **own, **known, **dict.fromkeys(SCORED)}
