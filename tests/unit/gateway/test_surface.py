"""Routes as routers make them are served as they are, in tests from what FastAPI has read of them before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from deployments.gateway.surface import take


def counting(word: str, *, most: int = 9) -> APIRouter:
    routes = APIRouter(prefix="/count", tags=["Counts"])

    @routes.get("/{number}", summary="A number and the word")
    async def count(number: int, more: int = most) -> dict[str, str]:
        return {"said": f"{number} {more} {word}"}

    return routes


def served(*routers: APIRouter) -> TestClient:
    app = FastAPI()
    take(app, *routers)
    return TestClient(app)


def test_apps_of_the_same_router_answer_each_with_its_own() -> None:
    one, two, three = served(counting("a")), served(counting("b")), served(counting("c", most=5))
    answers = [client.get("/count/1").json()["said"] for client in (one, two, three, one)]
    assert answers == ["1 9 a", "1 9 b", "1 5 c", "1 9 a"]
    assert two.get("/count/x").status_code == 422
    described = [client.get("/openapi.json").json()["paths"]["/count/{number}"]["get"] for client in (one, two)]
    assert described[0] == described[1]
    assert described[0]["tags"] == ["Counts"]


def test_what_a_router_does_at_start_and_stop_is_done_of_nested_ones_too() -> None:
    said: list[str] = []

    def noting(name: str) -> APIRouter:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            said.append(f"{name} starts")
            yield
            said.append(f"{name} stops")

        return APIRouter(lifespan=lifespan)

    outer = noting("outer")
    take(outer, noting("inner"))
    with served(outer, noting("other")):
        assert sorted(said) == ["inner starts", "other starts", "outer starts"]
    assert sorted(said[3:]) == ["inner stops", "other stops", "outer stops"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_another_method_is_refused(method: str) -> None:
    assert served(counting("a")).request(method, "/count/1").status_code == 405
