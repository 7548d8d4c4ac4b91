from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from cluster.errors import Conflict, ExperimentNotFound
from cluster.stores.database import now, open_database
from cluster.stores.experiments import CANCELLED, COMPLETED, FAILED, RUNNING, Experiment, Experiments, Standing

SPEC = '{"models": ["m"]}'


@pytest.fixture
def experiments(database: Engine) -> Experiments:
    return Experiments(database)


def make(experiments: Experiments, run_id: str = "r1") -> Experiment:
    return experiments.create(name="n", description="", spec=SPEC, run_id=run_id, total=10)


def standing(done: int) -> Standing:
    return Standing(
        completed=done,
        failed=1,
        cells_per_minute=30.0,
        current_parameters={"temperature": 0.7},
        summary={"best_quality_score": 87.5},
        estimated_completion=now(),
    )


def test_a_new_experiment_is_pending_and_can_be_read_again(experiments: Experiments) -> None:
    made = make(experiments)
    assert (made.status, made.progress, made.results_summary) == ("pending", 0, None)
    assert made.created_at.tzinfo is not None
    assert experiments.get(made.id) == made


def test_an_unknown_experiment_is_refused(experiments: Experiments) -> None:
    with pytest.raises(ExperimentNotFound):
        experiments.get(7)


def test_a_running_experiment_cannot_be_started_and_an_ended_one_can(experiments: Experiments) -> None:
    made = make(experiments)
    assert experiments.claim(made.id, "job-1").status == RUNNING
    with pytest.raises(Conflict):
        experiments.claim(made.id, "job-2")
    for status in (COMPLETED, FAILED, CANCELLED):
        assert experiments.finish(made.id, None, status=status, error_message="why")
        again = experiments.claim(made.id, "job-3")
        assert (again.error_message, again.completed_at) == (None, None)


def test_two_experiments_over_the_same_cells_run_one_at_a_time(experiments: Experiments) -> None:
    first, second = make(experiments), make(experiments)
    experiments.claim(first.id, "job-1")
    with pytest.raises(Conflict, match="same cells"):
        experiments.claim(second.id, "job-2")
    experiments.claim(make(experiments, "r2").id, "job-3")


def test_progress_is_the_drivers_to_note_while_it_runs(experiments: Experiments) -> None:
    made = make(experiments)
    assert not experiments.advance(made.id, "job-1", standing(5))
    experiments.claim(made.id, "job-1")
    assert experiments.advance(made.id, "job-1", standing(5))
    assert not experiments.advance(made.id, "job-0", standing(9))
    found = experiments.get(made.id)
    assert (found.completed_combinations, found.progress) == (5, 50)
    assert found.current_parameters == {"temperature": 0.7}
    experiments.finish(made.id, "job-1", status=CANCELLED)
    assert not experiments.finish(made.id, "job-1", status=COMPLETED)
    assert experiments.get(made.id).status == CANCELLED


def test_progress_is_a_hundred_only_when_every_cell_has_a_row(experiments: Experiments) -> None:
    made = experiments.create(name="n", description="", spec=SPEC, run_id="r", total=1000)
    experiments.claim(made.id, "j")
    experiments.advance(made.id, "j", standing(999))
    assert experiments.get(made.id).progress == 99


def test_a_running_experiment_is_not_forgotten(experiments: Experiments) -> None:
    made = make(experiments)
    experiments.claim(made.id, "j")
    assert not experiments.remove(made.id)
    experiments.finish(made.id, "j", status=CANCELLED)
    assert experiments.remove(made.id)
    assert make(experiments).id > made.id  # an id never comes back


def test_pages_come_newest_first(experiments: Experiments) -> None:
    ids = [make(experiments).id for _ in range(5)]
    total, page = experiments.page(limit=2, offset=1)
    assert (total, [entry.id for entry in page]) == (5, [ids[3], ids[2]])


def test_the_pace_is_that_of_the_same_models(experiments: Experiments) -> None:
    made = make(experiments)
    assert experiments.pace(["m"]) is None
    experiments.claim(made.id, "j")
    experiments.advance(made.id, "j", standing(5))
    assert experiments.pace(["m"]) == 30.0
    assert experiments.pace(["other"]) is None


@pytest.mark.parametrize("same", [True, False], ids=["one", "of the same cells"])
def test_of_many_starts_at_once_one_wins(shared_url: str, *, same: bool) -> None:
    engine = open_database(shared_url)
    experiments = Experiments(engine)
    made = [make(experiments).id for _ in range(1 if same else 16)]

    def start(number: int) -> bool:
        try:
            experiments.claim(made[number % len(made)], f"job-{number}")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(start, range(16))) == 1
    engine.dispose()


def test_many_may_create_and_fill_one_database_together(shared_url: str) -> None:
    def open_and_write(_: int) -> None:
        engine = open_database(shared_url)  # an engine, and so connections, of its own
        for _ in range(3):
            make(Experiments(engine))
        engine.dispose()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(open_and_write, range(6)))
    engine = open_database(shared_url)
    assert Experiments(engine).page(limit=1, offset=0)[0] == 18
    engine.dispose()
