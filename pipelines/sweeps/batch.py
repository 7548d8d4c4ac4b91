"""A batch experiment of the API, run as a Ray job: the same driver, its progress in the SQL database.

The database says what the API shows; the rows are in the run's folder as for any sweep.
"""

import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from cluster.errors import DatabaseAway, HeliostatError
from cluster.settings.tree import Settings
from cluster.stores.database import open_database
from cluster.stores.experiments import CANCELLED, COMPLETED, FAILED, Experiment, Experiments, Standing
from pipelines.driver import become_driver
from pipelines.sweeps.display import ProgressDisplay
from pipelines.sweeps.run import Outcome, Target, run_sweep
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.tally import Progress

NOTE_S = 0.15  # between two writes of the progress: less than between two looks, so that each is told
ERROR_LENGTH = 2000


class Bookkeeper:
    """Writes a sweep's progress to its experiment, a few times a second at most."""

    def __init__(self, experiments: Experiments, experiment: Experiment) -> None:
        self._experiments = experiments
        self._experiment = experiment
        self._noted = -NOTE_S

    def note(self, progress: Progress) -> None:
        """Called with every look at the sweep."""
        now = time.monotonic()
        if now - self._noted < NOTE_S and progress.done < progress.total:
            return
        self._noted = now
        standing = Standing(
            completed=progress.done,
            failed=progress.failed,
            cells_per_minute=progress.cells_per_minute,
            current_parameters=progress.current,
            summary=progress.preview,
            estimated_completion=progress.finish_at(datetime.now(UTC)),
        )
        # A database that is busy now is asked again in a second; no sweep ends for that.
        with suppress(DatabaseAway):
            self._experiments.advance(self._experiment.id, self._experiment.submission_id, standing)

    def finish(self, status: str, message: str | None = None) -> None:
        """Called once, at the end."""
        message = message[:ERROR_LENGTH] if message else None
        self._experiments.finish(
            self._experiment.id, self._experiment.submission_id, status=status, error_message=message
        )


def run_batch(experiment_id: int, settings: Settings, target: Target) -> Outcome:
    """Run a claimed experiment. Raises as `run_sweep` does, after noting the failure."""
    experiments = Experiments(open_database(settings.database_url))
    experiment = experiments.get(experiment_id)
    books = Bookkeeper(experiments, experiment)
    try:
        become_driver(target.home)
        with ProgressDisplay() as display:  # into the job's log

            def watch(progress: Progress) -> None:
                books.note(progress)
                display.show(progress)

            own = replace(target, owner=experiment.owner)
            outcome = run_sweep(read_spec(json.loads(experiment.spec)), own, watch, say=display.say)
    except HeliostatError as error:
        books.finish(FAILED, error.line())
        raise
    except (KeyboardInterrupt, SystemExit):
        books.finish(FAILED, "its job was stopped; start it again to go on")
        raise
    except BaseException as error:
        books.finish(FAILED, f"{type(error).__name__}: {error}")
        raise
    if outcome.ended is not None:
        reason = f": {outcome.ended.reason}" if outcome.ended.reason else ""
        books.finish(CANCELLED, f"{outcome.ended.status}{reason}; start it again to go on")
    elif outcome.failed == outcome.total:
        books.finish(FAILED, f"all {outcome.total} cells failed; `sweep show {outcome.run.id}` has the rows")
    else:
        books.finish(COMPLETED)
    return outcome
