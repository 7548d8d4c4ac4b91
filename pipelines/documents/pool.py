"""Who runs the stages: threads here with the served embedder for a little, Ray Data's actors for much."""

import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

from cluster.errors import Unavailable
from pipelines.documents.embedders import Embedder
from pipelines.documents.owner import Vectors
from pipelines.documents.served import Connect
from pipelines.documents.stages import Embed, Place, Stage

THREADS = 2  # one waits for the embedder while the other reads or stores
MAX_BLOCKS = 1000  # a block a piece of work gives the finest progress; beyond this its bookkeeping shows


class Pool(Protocol):
    """Whatever runs a stage over pieces of work."""

    def run(self, stage: type[Stage], work: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The stage's answers as they are done, in no order. Raises Unavailable."""
        ...


class NearPool:
    """Runs stages in this process's threads: nothing has to start. As much work is in memory as is being done."""

    def __init__(self, place: Place, vectors: Vectors, embedder: Embedder) -> None:
        self._place = place
        self._vectors = vectors
        self._embedder = embedder

    def run(self, stage: type[Stage], work: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """See Pool."""
        worker = stage(self._place, self._vectors, self._embedder)
        running: set[Future[dict[str, Any]]] = set()
        with ThreadPoolExecutor(THREADS, thread_name_prefix="ingest") as threads:
            for each in work:
                running.add(threads.submit(worker.one, each))
                if len(running) > THREADS:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)


class ActorPool:
    """Runs stages in Ray Data's actors. Each stage is a single operator, so no two wait on each other for a CPU."""

    def __init__(self, place: Place, connect: Connect) -> None:
        self._place = place
        self._connect = connect

    def run(self, stage: type[Stage], work: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """See Pool. Raises Unavailable where no actor would fit."""
        rows = [{"work": json.dumps(each)} for each in work]
        if not rows:
            return
        self._connect()
        import ray

        from pipelines.driver import quiet_data

        quiet_data()
        documents = self._place.settings.documents
        gpus = self._gpus() if stage is Embed else 0.0
        done = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS)).map_batches(
            stage,
            fn_constructor_args=(self._place,),
            compute=ray.data.ActorPoolStrategy(size=min(self._workers(), len(rows))),
            num_cpus=documents.worker_cpus,
            num_gpus=gpus,
            batch_size=1,  # a piece of work is a batch in itself
        )
        for row in done.iter_rows():
            yield json.loads(row["done"])

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
