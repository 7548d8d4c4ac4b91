"""What is done with single experiments: stored, found, changed, deleted.

An experiment is its owner's, and admins'; for all others it does not exist.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from cluster.errors import BadRequest, Conflict
from cluster.stores.lab_experiments import CANCELLED, DRAFT, RUNNING, LabExperiment, LabExperiments, unknown
from cluster.stores.lab_filter import LabFilter
from cluster.stores.lab_responses import LabResponses
from deployments.gateway.lab import etags, experiment_shown
from deployments.gateway.lab.batch_desk import seen_by
from deployments.gateway.lab.combinations import combinations_of
from deployments.gateway.lab.paging import LARGEST_ID
from deployments.gateway.lab.wire import ExperimentRequest
from deployments.gateway.parsing import parsed
from deployments.gateway.principal import Principal
from deployments.gateway.progress import Standing

Result = TypeVar("Result")

OWN = (*experiment_shown.WRITTEN, "tags", "experiment_type")


class ExperimentDesk:
    """The experiments of one gateway. All calls of the database are made in a thread."""

    def __init__(self, experiments: LabExperiments, responses: LabResponses) -> None:
        self._experiments = experiments
        self._responses = responses

    async def create(self, wanted: ExperimentRequest, principal: Principal) -> LabExperiment:
        """Store a draft. Raises BadRequest, PlanTooLarge."""
        values = _checked(wanted)
        return await self._do(lambda known: known.create(values, owner=principal.owner))

    async def page(
        self, limit: int, offset: int, principal: Principal, wanted: LabFilter
    ) -> tuple[int, list[LabExperiment]]:
        """How many somebody sees, and some of them."""
        owner = seen_by(principal)
        total, found = await self._do(
            lambda known: known.page(limit=limit, offset=offset, owner=owner, wanted=wanted)
        )
        return total, list(found)

    async def find(self, experiment_id: int, principal: Principal) -> LabExperiment:
        """One as it stands; failed, where its gateway is gone. Raises ExperimentNotFound, for another's too."""
        if not 0 < experiment_id <= LARGEST_ID:
            raise unknown(experiment_id)
        owner = seen_by(principal)
        found = await self._do(lambda known: known.get(experiment_id, owner=owner))
        if found.status == RUNNING and await self._do(lambda known: known.fail_silent(experiment_id)):
            return await self._do(lambda known: known.get(experiment_id, owner=owner))
        return found

    async def standing(self, experiment_id: int, principal: Principal) -> Standing:
        """How far one is, for those who follow it. A draft may be generated yet: it is not over."""
        found = await self.find(experiment_id, principal)
        over = found.status not in (DRAFT, RUNNING)
        told = experiment_shown.standing(found)
        begun = found.status != DRAFT
        return Standing(number=found.number, status=found.status, over=over, begun=begun, told=told)

    async def change(
        self, before: LabExperiment, sent: Mapping[str, Any], principal: Principal, *, seen: bool
    ) -> LabExperiment:
        """Change what was sent; the rest stays. seen: only in that state.

        Raises BadRequest, PlanTooLarge, PreconditionFailed, and Conflict for one that runs, or for another prompt
        of one that has answers to this one.
        """
        own = _own(before, sent)
        current = {**{name: getattr(before, name) for name in experiment_shown.WRITTEN}, "tags": list(before.tags)}
        values = _checked(parsed(ExperimentRequest, {**current, **own}))
        changed = {name for name, value in values.items() if value != current[name]}
        if before.status == RUNNING and changed - {"tags", "favorited", "archived", "name", "description"}:
            raise Conflict(f"The experiment {before.id} is running", hint="its labels alone may change meanwhile")
        if "prompt" in changed and await self._answered(before.id):
            hint = "another prompt is another experiment"
            raise Conflict(f"The experiment {before.id} has answers to its prompt", hint=hint, param="prompt")
        number = before.number if seen else None
        if not await self._do(lambda known: known.change(before.id, values, number=number)):
            raise etags.changed() if seen else unknown(before.id)
        return await self.find(before.id, principal)

    async def delete(self, before: LabExperiment, *, seen: bool) -> dict[str, Any]:
        """Cancel a running one, forget any other with its answers.

        Raises PreconditionFailed, and ExperimentNotFound where somebody else was faster.
        """
        number = before.number if seen else None
        if before.status == RUNNING:
            await self._do(lambda known: known.finish(before.id, None, status=CANCELLED))
            return {"id": before.id, "status": CANCELLED, "deleted": False}
        if not await self._do(lambda known: known.remove(before.id, number=number)):
            await self._do(lambda known: known.get(before.id, owner=None))  # gone meanwhile: that is not found
            raise etags.changed() if seen else Conflict(f"The experiment {before.id} is running")
        return {"id": before.id, "status": before.status, "deleted": True}

    async def _answered(self, experiment_id: int) -> bool:
        count, _ = await asyncio.to_thread(self._responses.state, experiment_id)
        return count > 0

    async def _do(self, work: Callable[[LabExperiments], Result]) -> Result:
        return await asyncio.to_thread(work, self._experiments)


def shown(found: LabExperiment) -> dict[str, Any]:
    """An experiment as its routes answer it."""
    return experiment_shown.experiment(found, combinations=combinations_of(asdict(found)))


def _own(before: LabExperiment, sent: Mapping[str, Any]) -> dict[str, Any]:
    """What its owner may write of it; the rest must be as it is, so that what GET gave can be sent back."""
    is_now = shown(before)
    for name, value in sent.items():
        if name not in OWN and name in is_now and value != is_now[name]:
            raise BadRequest(f"{name} cannot be changed", hint="leave it out, or send it as it is", param=name)
    return {name: value for name, value in sent.items() if name in OWN or name not in is_now}


def _checked(wanted: ExperimentRequest) -> dict[str, Any]:
    values = wanted.model_dump(exclude={"experiment_type"})
    combinations_of(values)
    return values
