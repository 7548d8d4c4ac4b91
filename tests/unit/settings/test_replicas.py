"""What may be said of a model's replicas, and what is taken where nothing is said."""

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.config import resolve
from cluster.settings.models import ModelSettings, ReplicaSettings

VLLM = {"kind": "vllm", "source": "m"}


def model(*, engine: dict[str, Any] = VLLM, load: str = "start", **replicas: Any) -> ModelSettings:
    return ModelSettings.model_validate({"id": "m", "engine": engine, "load": load, "replicas": replicas})


@pytest.mark.parametrize(
    ("replicas", "says"),
    [
        ({"min": 2, "max": 1}, "min (2) is above max (1)"),
        ({"scale_on": {"queued": 8}}, "scale_on needs min below max"),
        ({"min": 0, "scale_on": {}}, "scale_on needs ttft_p95_ms, queued or both"),
        ({"min": 0, "scale_on": {"ttft_p95_ms": 0}}, "greater than 0"),
        ({"min": 0, "scale_on": {"cpu": 80}}, "Extra inputs"),
        ({"routing": "random"}, "'queue', 'session' or 'prefix'"),
        ({"up_delay_s": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(replicas: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        ReplicaSettings.model_validate(replicas)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("made", "routing"),
    [
        (model(), "queue"),
        (model(max=2), "prefix"),
        (model(min=0, max=1), "queue"),
        (model(max=2, routing="queue"), "queue"),
        (model(routing="session"), "session"),
        (model(max=2, load="on_demand"), "queue"),
        (model(max=2, engine={"kind": "scripted"}), "queue"),
    ],
)
def test_prompts_go_where_they_are_known_when_there_are_several_replicas_that_know_any(
    made: ModelSettings, routing: str
) -> None:
    assert made.routing == routing


def test_a_model_that_comes_and_goes_is_routed_by_serve_alone() -> None:
    with pytest.raises(ValidationError, match=r"replicas\.routing: session needs load: start"):
        model(max=2, routing="session", load="on_demand")


@pytest.mark.parametrize("replicas", [{"routing": "prefix"}, {"min": 0, "scale_on": {"queued": 1}}])
def test_an_embedding_model_has_neither_first_tokens_nor_sessions(replicas: dict[str, Any]) -> None:
    models = [
        {"id": "chat", "engine": {"kind": "scripted"}},
        {"id": "vectors", "engine": {"kind": "sentence"}, "replicas": replicas},
    ]
    with pytest.raises(Exception, match=r"are of chat models, not of 'vectors'"):
        resolve({"models": models}, {})
