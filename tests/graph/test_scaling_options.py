"""What Serve is told of a model's replicas: how many, how they are updated, and who chooses between them."""

from typing import Any

import pytest
from fastapi import FastAPI
from ray.serve import Application

from cluster.config import resolve
from cluster.settings.models import ReplicaSettings
from deployments.app import build, loadable
from deployments.fleet.scaling import autoscaling
from tests.graph.graphs import app_of, client_of
from tests.unit.fleet.scaling_context import context


def test_serve_gets_the_delays_the_bounds_and_a_policy_that_it_can_unpack() -> None:
    replicas = ReplicaSettings.model_validate(
        {"min": 0, "max": 3, "up_delay_s": 2, "down_delay_s": 5, "scale_on": {"queued": 8}, "target_ongoing": 4}
    )
    made = autoscaling(replicas)
    assert (made.min_replicas, made.max_replicas, made.upscale_delay_s) == (0, 3, 2)
    assert (made.downscale_delay_s, made.downscale_to_zero_delay_s) == (5, 5)
    assert made.metrics_interval_s < made.look_back_period_s
    policy = made.policy.get_policy()(**made.policy.policy_kwargs)
    assert policy(context(total_num_requests=8.0))[0] == 2.0
    assert made.policy.policy_kwargs == {"ongoing": 4.0, "queued": 8}


def test_where_nothing_is_said_serve_looks_often_enough_for_the_delay() -> None:
    made = autoscaling(ReplicaSettings(min=1, max=2))
    assert (made.metrics_interval_s, made.look_back_period_s, made.upscale_delay_s) == (5, 10, 10)


def deployed(model: dict[str, Any], *, alone: bool = False) -> Any:
    """The deployment of a model, as Serve gets it."""
    settings = resolve({"models": [{"id": "m", "engine": {"kind": "scripted"}, **model}]}, {})
    application: Application = (
        loadable(settings.models[0], settings) if alone else build(settings)._bound_deployment.init_args[1]["m"]
    )
    return application._bound_deployment._deployment_config


def router_of(config: Any) -> str:
    return str(config.request_router_config.request_router_class).replace(":", ".").rsplit(".", 1)[-1]


def test_a_model_is_updated_without_a_gap_and_ends_what_it_has_begun() -> None:
    config = deployed({"replicas": {"drain_s": 7}})
    assert (config.num_replicas, config.max_surge_percent, config.graceful_shutdown_timeout_s) == (1, 100, 7)
    assert config.autoscaling_config is None


def test_a_gpu_is_never_asked_to_hold_two_replicas() -> None:
    assert deployed({"replicas": {"gpus": 1}}).max_surge_percent == 0


def test_the_routing_decides_who_chooses_the_replica() -> None:
    assert router_of(deployed({})) == "CountingRouter"
    assert router_of(deployed({"replicas": {"max": 2, "routing": "session"}})) == "AffineRouter"
    assert router_of(deployed({"load": "on_demand"}, alone=True)) == "PowerOfTwoChoicesRequestRouter"


def test_the_policy_is_of_this_house() -> None:
    config = deployed({"replicas": {"min": 0, "max": 2}}).autoscaling_config
    assert config.policy.policy_function == "deployments.fleet.autoscaling:Policy"


@pytest.fixture(scope="module")
def hinted(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    models = [
        {"id": routing, "engine": {"kind": "scripted"}, "replicas": {"max": 2, "min": 0, "routing": routing}}
        for routing in ("session", "prefix")
    ]
    args = {
        "home": str(tmp_path_factory.mktemp("home")),
        "models": models,
        "stores": {"vectors": {"kind": "memory"}},
    }
    return app_of(resolve(args, {}), "hinted")


async def test_hints_cross_the_handles_and_change_nothing_in_the_answer(hinted: FastAPI) -> None:
    async with client_of(hinted) as client:
        for model in ("session", "prefix"):
            for more in ({}, {"stream": True}, {"user": "ada"}):
                body = {"model": model, "messages": [{"role": "user", "content": "one two"}], **more}
                answer = await client.post("/v1/chat/completions", json=body, headers={"x-session-id": "s"})
                assert answer.status_code == 200, answer.text
                assert "one" in answer.text
        assert (await client.get("/health")).json()["status"] == "healthy"


def test_a_burst_that_the_gateway_lets_through_is_not_refused_at_serve() -> None:
    # 256 clients at once were let through to 512 free places, and Serve refused the last one.
    config = deployed({"replicas": {"max_ongoing": 512, "max_queued": 256}})
    assert config.max_queued_requests == 256 + 512
    assert deployed({"replicas": {"max_queued": -1}}).max_queued_requests == -1
