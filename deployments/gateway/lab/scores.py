"""Scores of single experiments' answers: those of a sweep's rows, all answers of an experiment together.

The served embedder is asked where there is one, behind all who want embeddings for themselves; while it is away
the scores that need it are absent, and say so. Blocking: rows are scored in a thread.
"""

import asyncio
import logging
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from cluster.errors import HeliostatError
from cluster.types import EmbeddingCall, Priority
from deployments.clients import Embedder
from deployments.gateway.limits import usage
from deployments.gateway.limits.gate import Gate
from deployments.gateway.principal import LOCAL

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

AGAIN_S = 30.0  # after which an embedder that was away is asked again for scores that are in memory
EMBEDDED = 500  # answers of one experiment; on a CPU the sentences of more keep an embedder busy for minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows with their scores. whole: nothing is missing because the embedder was away."""

    rows: "pa.Table"
    whole: bool


class Scoring:
    """Scores rows. embedder: None where none is served."""

    def __init__(self, embedder: Embedder | None, gate: Gate) -> None:
        self._embedder = embedder
        self._gate = gate.of_batches()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outages = 0
        self._away = False

    @property
    def state(self) -> str:
        """Changes with the basis, and when it is worth to score again what the embedder was missing for."""
        window = int(time.monotonic() // AGAIN_S) if self._away else ""
        return f"{self.basis}.{self._outages}.{window}"

    @property
    def basis(self) -> str:
        """Changes with what scores are computed by."""
        from pipelines.sweeps.scoring.scorers import VERSIONS

        said = f"{sorted(VERSIONS.items())} {self._embedder is not None}"
        return blake2b(said.encode(), digest_size=4).hexdigest()

    def listen(self) -> None:
        """Called on the event loop, which the embedder is asked on, before rows are scored in threads."""
        self._loop = asyncio.get_running_loop()

    def scored(self, rows: "pa.Table") -> Scored:
        """The rows with their scores."""
        from pipelines.sweeps.scoring.rows import score_rows
        from pipelines.sweeps.scoring.scorers import Scorers

        if not rows.num_rows:
            return Scored(rows=rows, whole=True)
        if self._embedder is not None and self._loop is not None and rows.num_rows <= EMBEDDED:
            try:
                made = Scored(rows=score_rows(rows, Scorers(embed=self._embed)), whole=True)
            except (HeliostatError, TimeoutError, CancelledError) as error:
                logger.warning("the embedder does not answer, no coherence: %s", type(error).__name__)
                self._outages += not self._away
                self._away = True
                return Scored(rows=score_rows(rows, Scorers()), whole=False)
            self._away = False
            return made
        return Scored(rows=score_rows(rows, Scorers()), whole=True)

    def _embed(self, texts: list[str]) -> "NDArray[np.float32]":
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._asked(texts), self._loop).result()

    async def _asked(self, texts: list[str]) -> "NDArray[np.float32]":
        assert self._embedder is not None
        card = await self._embedder.card()
        call = EmbeddingCall(inputs=tuple(texts), request_id="lab-scores")
        estimate = usage.of_inputs(call.inputs)
        async with self._gate.admit(LOCAL, card.id, priority=Priority.BACKGROUND, estimate=estimate):
            return (await self._embedder.embed(call)).vectors
