"""Serve's configurations, made in many threads at once, as handles and deployments make them."""

from concurrent.futures import ThreadPoolExecutor

from ray.serve.config import RequestRouterConfig

from cluster import serve_pickling

ROUTER = "deployments.fleet.request_router.CountingRouter"


def test_threads_that_make_configurations_at_once_do_not_disturb_one_another() -> None:
    serve_pickling.take_turns()
    serve_pickling.take_turns()

    def made(_: int) -> bytes:
        return RequestRouterConfig(request_router_class=ROUTER)._serialized_request_router_cls

    with ThreadPoolExecutor(8) as threads:
        pickled = list(threads.map(made, range(400)))
    assert len(set(pickled)) == 1, "each by value"
