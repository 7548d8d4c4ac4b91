"""Whole runs in one process: the scripted engine answers, everything else is as it is on a cluster."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from cluster.engines.scripted import ScriptedEngine
from cluster.errors import HeliostatError
from cluster.settings.engines import ScriptedSettings
from cluster.settings.pipelines import SweepSettings
from cluster.stores.runs import LOCAL_OWNER, Run
from cluster.types import Capabilities, ChatCall, ModelCard, Task
from pipelines.sweeps.cell import Ask
from pipelines.sweeps.in_process import executing_here
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.session import Outcome, Session, Target
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.tally import Progress

PARAMETERS = frozenset({"temperature", "top_p", "max_tokens", "seed"})


def nothing(_: Progress) -> None:
    """Watches nothing."""


class House:
    """Runs sweeps in a home. script: of the engine. failures: asked before each cell for what it raises."""

    def __init__(
        self, home: Path, *, failures: Callable[[str], HeliostatError | None] = lambda _: None, **script: Any
    ) -> None:
        self.home = home
        self.asked: list[str] = []
        self._failures = failures
        self._script = script

    def plan(self, spec: dict[str, Any], owner: str = LOCAL_OWNER) -> Plan:
        """The plan as it runs."""
        read = read_spec(spec)
        return Plan(spec=read, revisions=dict.fromkeys(read.models, "r1"), owner=owner)

    def run(
        self,
        spec: dict[str, Any],
        watch: Callable[[Progress], None] = nothing,
        *,
        retry: bool = False,
        in_flight: int = 8,
        block_cells: int = 4,
        owner: str = LOCAL_OWNER,
    ) -> Outcome:
        """Drive a sweep to its end."""
        plan = self.plan(spec, owner)
        settings = SweepSettings(in_flight=in_flight, block_cells=block_cells, retries=0)
        target = Target(home=self.home, application="none", served=plan.spec.models, settings=settings)
        able = Capabilities(task=Task.CHAT, context_length=4096, parameters=PARAMETERS)
        cards = {
            model: ModelCard(id=model, engine="scripted", revision="r1", created=1, capabilities=able)
            for model in plan.spec.models
        }
        run = Run(self.home, plan.run_id)
        with run.held() as session:
            execute = executing_here(self._connect)
            return Session(plan, target, cards, run, session, execute).drive(watch, retry=retry)

    async def _connect(self) -> Ask:
        engine = ScriptedEngine(ScriptedSettings(**self._script), "m")
        await engine.start()

        async def ask(model: str, call: ChatCall) -> AsyncIterator[bytes]:
            self.asked.append(call.request_id)
            failure = self._failures(model)
            if failure is not None:
                raise failure
            async for event in engine.stream(call):
                yield event

        return ask
