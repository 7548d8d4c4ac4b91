"""Schemathesis over our own OpenAPI: whatever it makes up, no 5xx and nothing that the schema does not say."""

from itertools import islice

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ELSEWHERE = {"/api/pull", "/api/delete"}  # they ask the Hub, and remove from this machine's disk
EXAMPLES = 10  # of each operation and mode: some thousand requests in all
SHARES = 3  # of the operations, so that the cores share them


# Its own pytest plugin does not know pytest 9.2's functions, so that the operations are walked here.
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_server_or_its_promise(graph_app: FastAPI, mode: GenerationMode, share: int) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", graph_app)
    broken = []
    for found in islice(schema.get_all_operations(), share, None, SHARES):
        operation = found.ok()
        if operation.path in ELSEWHERE:
            continue
        strategy = operation.as_strategy(generation_mode=mode)

        @given(case=strategy)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def ask(case) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            ask()
        except Unsatisfiable:  # this operation takes nothing that could be wrong
            continue
        except Exception as error:  # noqa: BLE001 - of any kind: all operations are asked, then all failures told
            told = " | ".join(map(str, getattr(error, "exceptions", ())))
            broken.append(f"{operation.method.upper()} {operation.path}: {error} {told}"[:1500])
    assert not broken, "\n\n".join(broken)
