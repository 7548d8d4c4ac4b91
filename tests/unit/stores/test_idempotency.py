from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from cluster.stores.database import now, open_database
from cluster.stores.idempotency import Claimed, IdempotentAnswers, Stored

SOON = timedelta(hours=1)


@pytest.fixture
def answers(database: Engine) -> IdempotentAnswers:
    return IdempotentAnswers(database)


def claimed(answers: IdempotentAnswers, fingerprint: str = "f", for_s: float = 30) -> str:
    got = answers.claim("id", fingerprint, for_s=for_s)
    assert isinstance(got, Claimed)
    return got.claim


def test_of_twins_one_claims(shared_url: str) -> None:
    engine = open_database(shared_url)
    answers = IdempotentAnswers(engine)
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda _: answers.claim("id", "f", for_s=30), range(8)))
    engine.dispose()
    assert sum(isinstance(one, Claimed) for one in got) == 1
    assert got.count(Stored(fingerprint="f")) == 7


def test_a_stored_answer_is_found(answers: IdempotentAnswers) -> None:
    claim = claimed(answers)
    assert answers.find("id") == Stored(fingerprint="f")
    assert answers.store("id", claim, status=201, headers='[["a", "b"]]', body=b"\x00x", until=now() + SOON)
    stored = Stored(fingerprint="f", status=201, headers='[["a", "b"]]', body=b"\x00x")
    assert answers.find("id") == answers.claim("id", "other", for_s=30) == stored


def test_a_claim_that_was_let_go_is_free(answers: IdempotentAnswers) -> None:
    answers.release("id", claimed(answers))
    assert answers.find("id") is None
    claimed(answers, "another body")


def test_a_claim_that_is_not_renewed_goes_to_the_next_one(answers: IdempotentAnswers) -> None:
    dead = claimed(answers, for_s=-1)
    heir = claimed(answers, "g")
    assert not answers.renew("id", dead, for_s=30)
    assert not answers.store("id", dead, status=200, headers="[]", body=b"", until=now() + SOON)
    answers.release("id", dead)
    assert answers.find("id") == Stored(fingerprint="g")
    assert answers.renew("id", heir, for_s=30)


def test_a_renewed_claim_lives_on(answers: IdempotentAnswers) -> None:
    claim = claimed(answers, for_s=-1)
    assert answers.renew("id", claim, for_s=30)
    assert isinstance(answers.claim("id", "f", for_s=30), Stored)


def test_an_old_answer_is_forgotten(answers: IdempotentAnswers) -> None:
    answers.store("id", claimed(answers), status=200, headers="[]", body=b"x", until=now() - SOON)
    assert answers.find("id") is None
    assert answers.purge() == 1
    assert answers.purge() == 0


def test_what_still_runs_or_is_kept_is_not_purged(answers: IdempotentAnswers) -> None:
    claimed(answers)
    assert answers.purge() == 0


def test_ids_keep_their_parts_apart() -> None:
    one = IdempotentAnswers.id_of(owner="a", key="bc", method="POST", path="/v1/files")
    assert one != IdempotentAnswers.id_of(owner="ab", key="c", method="POST", path="/v1/files")
    assert one == IdempotentAnswers.id_of(owner="a", key="bc", method="POST", path="/v1/files")
