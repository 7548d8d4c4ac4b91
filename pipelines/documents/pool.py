"""Rows through a stage in a Ray Data actor pool that fits what the cluster has free."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from cluster.errors import Unavailable
from pipelines.documents.stages import Embed, Place, ReadAndCut

MAX_BLOCKS = 1000  # a block a row gives the finest progress; beyond this its bookkeeping shows


class ActorPool:
    """Runs stages for one place. Each is a single operator, so no two wait on each other for a CPU."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def run(self, stage: type[ReadAndCut | Embed], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The stage's rows as they are done, in no order. Raises Unavailable where no actor would fit."""
        import ray

        documents = self._place.settings.documents
        gpus = self._gpus() if stage is Embed else 0.0
        done = ray.data.from_items(list(rows), override_num_blocks=min(len(rows), MAX_BLOCKS)).map_batches(
            stage,
            fn_constructor_args=(self._place,),
            compute=ray.data.ActorPoolStrategy(size=min(self._workers(), len(rows))),
            num_cpus=documents.worker_cpus,
            num_gpus=gpus,
            batch_size=1,  # a row is a file, or a slice of chunks that is a batch in itself
        )
        yield from done.iter_rows()

    def _workers(self) -> int:
        """As many as asked for and as fit: a pool larger than the free CPUs would wait for ever."""
        documents = self._place.settings.documents
        free = _free("CPU")
        fitting = math.floor(free / documents.worker_cpus + 1e-6)
        if fitting < 1:
            raise Unavailable(
                f"An embedding worker reserves {documents.worker_cpus:g} CPUs, but {free:g} are free",
                hint="lower documents.worker_cpus, or the cpus of models and gateway",
            )
        return min(documents.workers, fitting)

    def _gpus(self) -> float:
        """GPUs of an embedding worker: the embedder's share where one is free, else it computes on the CPU."""
        settings = self._place.settings
        wanted = settings.gpus_of(settings.embedding_models[0])
        return wanted if _free("GPU") >= wanted else 0.0


def _free(resource: str) -> float:
    import ray

    return float(ray.available_resources().get(resource, 0.0))  # type: ignore[no-untyped-call]
