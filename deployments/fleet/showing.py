"""A slot as `ps` shows it."""

import time

from cluster.settings.models import ModelSettings
from cluster.types import LoadedModel, ModelState
from deployments.fleet.loading import Done, Load
from deployments.fleet.slots import Slot


def shown(
    slot: Slot, model: ModelSettings, *, load: Load | None, done: Done | None, device: str, now: float
) -> LoadedModel:
    """load: that it is on its way with. done: that it is there by. now: on the slots' clock."""
    offset = time.time() - now
    ready = done is not None and slot.state is ModelState.READY
    took_s = now - load.began if load is not None else done.took_s if done is not None else 0.0
    return LoadedModel(
        id=slot.name,
        state=slot.state,
        engine=model.engine.kind,
        device=device,
        replicas=model.replicas.max,
        memory_gib=slot.memory_gib,
        in_use=slot.in_use,
        waiting=len(load.waiting) if load is not None else 0,
        pinned=slot.pinned,
        fixed=slot.fixed,
        used_at=slot.used_at + offset,
        until=None if slot.until is None else slot.until + offset,
        load_s=took_s,
        loaded_at=done.at if ready and done is not None else None,
        detail=load.detail if load is not None else "",
    )
