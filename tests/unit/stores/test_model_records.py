"""Records of models: what gateways add is there once, and adds up."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from cluster.stores.database import open_database
from cluster.stores.log_buckets import ERROR, bucket_of
from cluster.stores.model_records import DAY_S, Addition, LastLoad, ModelRecords, Sums, today

NOON = float(today() * DAY_S + DAY_S // 2)


def sums(*, answered: int = 0, failed: int = 0, took_s: float = 0.5, used_at: float = NOON) -> Sums:
    return Sums(
        requests=answered + failed,
        prompt_tokens=10 * answered,
        completion_tokens=3 * answered,
        response_s=took_s * answered,
        used_at=used_at,
        outcomes={name: count for name, count in (("answered", answered), ("failed", failed)) if count},
        errors={"engine_dead": failed} if failed else {},
        response={bucket_of(took_s): answered} if answered else {},
    )


def addition(found: Sums, *, writer: str = "one", number: int = 1, day: int | None = None) -> Addition:
    return Addition(writer=writer, number=number, sums={("echo", today() if day is None else day): found})


def test_what_several_gateways_add_adds_up(database: Engine) -> None:
    records = ModelRecords(database)
    records.add(addition(sums(answered=18, failed=1, took_s=0.1)))
    records.add(addition(sums(answered=2, took_s=4.0, used_at=NOON + 9), writer="two"))
    record = records.of()["echo"]
    assert (record.sums.requests, record.error_count, record.sums.errors) == (21, 1, {"engine_dead": 1})
    assert (record.sums.prompt_tokens, record.sums.completion_tokens) == (200, 60)
    assert record.mean_response_s == pytest.approx((18 * 0.1 + 2 * 4.0) / 20)
    assert record.p95_response_s == pytest.approx(4.0, rel=ERROR)
    assert record.last_used_at == datetime.fromtimestamp(NOON + 9, UTC)


def test_an_addition_whose_commit_was_not_heard_of_counts_once(database: Engine) -> None:
    records = ModelRecords(database)
    sent = addition(sums(answered=1))
    for again in (sent, sent, replace(sent, number=2), sent):
        records.add(again)
    assert records.of()["echo"].sums.requests == 2


def test_an_earlier_moment_does_not_replace_a_later_one(database: Engine) -> None:
    records = ModelRecords(database)
    records.add(addition(sums(answered=1, used_at=NOON + 60)))
    records.add(addition(sums(answered=1, used_at=NOON), writer="late"))
    assert records.of()["echo"].last_used_at == datetime.fromtimestamp(NOON + 60, UTC)


def test_days_are_counted_apart_and_old_ones_go(database: Engine) -> None:
    records = ModelRecords(database)
    records.add(addition(sums(answered=1), day=today() - 3))
    records.add(addition(sums(answered=1, failed=1), number=2))
    assert records.of(days=1)["echo"].sums.requests == 2
    assert records.of(days=4)["echo"].sums.requests == records.of()["echo"].sums.requests == 3
    records.prune(keep_days=3)
    assert records.of()["echo"].sums.requests == 2


def test_a_load_is_remembered_and_an_unknown_figure_forgets_nothing(database: Engine) -> None:
    records, moment = ModelRecords(database), datetime(2026, 5, 1, tzinfo=UTC)
    known = LastLoad(load_s=2.5, loaded_at=moment, memory_gib=0.5)
    for number, load in enumerate((known, LastLoad(memory_gib=0.75), LastLoad()), 1):
        records.add(Addition(writer="one", number=number, sums={}, loads={"echo": load}))
    assert records.of()["echo"].load == replace(known, memory_gib=0.75)


def test_only_the_models_that_are_asked_for_are_read(database: Engine) -> None:
    records = ModelRecords(database)
    records.add(addition(sums(answered=1)))
    assert records.of(["other"]) == {}
    assert set(records.of(["other", "echo"])) == {"echo"}


def test_a_model_that_nobody_timed_has_no_mean(database: Engine) -> None:
    records = ModelRecords(database)
    records.add(addition(sums(failed=2)))
    record = records.of()["echo"]
    assert (record.mean_response_s, record.p95_response_s, record.p95_first_token_s) == (None, None, None)


def test_gateways_that_add_at_once_lose_nothing(shared_url: str) -> None:
    def gateway(name: int) -> None:
        engine = open_database(shared_url)
        for number in range(1, 6):
            ModelRecords(engine).add(addition(sums(answered=1), writer=str(name), number=number))
        engine.dispose()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(gateway, range(4)))
    engine = open_database(shared_url)
    record = ModelRecords(engine).of()["echo"]
    assert (record.sums.requests, sum(record.sums.response.values())) == (20, 20)
    engine.dispose()
