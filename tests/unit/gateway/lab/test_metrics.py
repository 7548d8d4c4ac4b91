from pathlib import Path
from typing import Any

import pytest

from cluster.errors import Unavailable
from cluster.stores.lab_metrics import LabMetrics
from cluster.types import EmbeddingCall, Embeddings
from deployments.gateway.lab import scores
from tests.unit.gateway.conftest import LocalEmbedder
from tests.unit.gateway.lab.house import House, opened

COLUMNS = {
    "id", "response_id", "coherence_score", "completeness_score", "readability_score", "creativity_score",
    "length_appropriateness_score", "specificity_score", "overall_score", "word_count", "sentence_count",
    "calculated_at", "confidence_score", "analysis_version",
}  # fmt: skip


async def test_an_answer_is_scored_and_what_is_not_known_has_a_reason(house: House) -> None:
    _, answers = await house.generated()
    found = (await house.client.get(f"/metrics/{answers[0]['id']}")).json()
    assert found.keys() >= COLUMNS
    assert (found["word_count"], found["sentence_count"]) == (3, 1)
    assert 0 <= found["overall_score"] <= 100
    assert (found["coherence_score"], found["reasons"]["coherence_score"]) == (None, "needs an embedding model")
    assert (found["confidence_score"], "interval" in found["confidence_reason"]) == (None, True)
    assert "completeness/" in found["analysis_version"]


async def test_scores_are_kept_until_there_are_other_answers(house: House) -> None:
    number, answers = await house.generated(response_count=1)
    path = f"/metrics/{answers[0]['id']}"
    first = (await house.client.get(path)).json()
    assert (await house.client.get(path)).json() == first
    await house.client.put(f"/experiments/{number}", json={"response_count": 2})
    await house.client.post("/responses/generate", json={"experiment_id": number, "model": "echo"})
    assert (await house.client.get(path)).json()["id"] > first["id"]


async def test_several_answers_are_scored_together(house: House) -> None:
    _, answers = await house.generated()
    ids = [answers[3]["id"], answers[0]["id"]]
    found = (await house.client.post("/metrics/batch", json={"response_ids": ids})).json()
    assert [one["response_id"] for one in found["metrics"]] == ids
    assert found["total"] == 2
    assert found["averages"]["overall_score"] == found["metrics"][0]["overall_score"]


async def test_answers_are_compared_and_no_significance_is_invented(house: House) -> None:
    _, answers = await house.generated()
    ids = [one["id"] for one in answers[:3]]
    found = (await house.client.post("/metrics/compare", json={"response_ids": ids})).json()
    assert {one["temperature"] for one in found["metrics"]} == {0.1}
    assert found["comparison"]["overall_score"]["range"] == 0
    assert found["comparison"]["coherence_score"] is None
    assert (found["significance"], "prompt" in found["significance_reason"]) == (None, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("batch", {"response_ids": []}, 400, "response_ids"),
        ("batch", {"response_ids": [1, 1]}, 400, None),
        ("batch", {"response_ids": ["1"]}, 400, "response_ids[0]"),
        ("batch", {"response_ids": [1, 999]}, 404, "response_ids[1]"),
        ("batch", {}, 400, "response_ids"),
        ("batch", {"response_ids": [1], "x": 1}, 400, "x"),
        ("compare", {"response_ids": [1]}, 400, "response_ids"),
    ],
)
async def test_a_wrong_request_is_refused(
    house: House, path: str, body: dict[str, Any], status: int, param: str | None
) -> None:
    await house.generated(response_count=1)
    response = await house.client.post(f"/metrics/{path}", json=body)
    assert (response.status_code, response.json()["error"].get("param")) == (status, param)


async def test_anothers_answers_have_no_scores(house: House) -> None:
    ann, bob = {"x-key": "ann"}, {"x-key": "bob"}
    number = await house.experiment()
    assert (await house.client.get("/metrics/1", headers=bob)).status_code == 404
    body = {"experiment_id": number, "model": "echo"}
    await house.client.post("/responses/generate", json=body)
    for who in (ann, bob):
        assert (await house.client.get("/metrics/1", headers=who)).status_code == 404
        asked = await house.client.post("/metrics/batch", json={"response_ids": [1]}, headers=who)
        assert asked.status_code == 404


async def test_a_failed_answer_has_no_scores(tmp_path: Path) -> None:
    house = await opened(tmp_path, {"fail_every": 1}, sweeps={"retries": 0})
    number = await house.experiment(response_count=1)
    answer = await house.client.post("/responses/generate", json={"experiment_id": number, "model": "echo"})
    response = await house.client.get(f"/metrics/{answer.json()['responses'][0]['id']}")
    assert (response.status_code, "no text" in response.json()["error"]["message"]) == (400, True)


async def test_scores_of_what_is_gone_are_not_stored(house: House) -> None:
    await house.generated(response_count=1)
    row = {"analysis_version": "v", "reasons": "{}", "basis": "b"}
    LabMetrics(house.database).put([{"response_id": 999, **row}])
    assert LabMetrics(house.database).of([999]) == {}


class Embedder(LocalEmbedder):
    """One that is away for a while."""

    away = True

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        if self.away:
            raise Unavailable("nobody is there")
        return await super().embed(call)


async def test_scores_that_the_embedder_was_missing_for_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One moment without an embedder had left its scores out for good."""
    embedder = Embedder()
    house = await opened(tmp_path, {"tokens": 12}, embedder=embedder)
    _, answers = await house.generated(prompt="One thing. Another thing. A third thing.", response_count=1)
    path = f"/metrics/{answers[0]['id']}"
    assert (await house.client.get(path)).json()["reasons"]["coherence_score"] == "needs an embedding model"
    embedder.away = False
    monkeypatch.setattr(scores, "AGAIN_S", 1e-6)
    found = (await house.client.get(path)).json()
    assert found["reasons"].get("coherence_score") != "needs an embedding model"
    kept = (await house.client.get(path)).json()
    assert (await house.client.get(path)).json()["id"] == kept["id"]


async def test_an_answer_that_is_deleted_while_it_is_scored_is_not_found(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, answers = await house.generated()
    monkeypatch.setattr(LabMetrics, "of", lambda *_: {})
    assert (await house.client.get(f"/metrics/{answers[0]['id']}")).status_code == 404
    body = {"response_ids": [one["id"] for one in answers[:2]]}
    found = await house.client.post("/metrics/batch", json=body)
    assert (found.status_code, found.json()["error"]["param"]) == (404, "response_ids[0]")
