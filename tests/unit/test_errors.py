"""The tree of errors: what clients of older APIs branch on, and what its docstring says of it."""

import pickle
import re

import pytest

from cluster import errors
from cluster.errors import (
    EngineFailure,
    GenerationTimeout,
    HeliostatError,
    LoadFailed,
    ModelNotFound,
    ModelTooLarge,
    ReplicaLost,
    SettingsError,
    legacy_of,
)
from deployments.gateway.errors import LEGACY, respond

HF_ERROR_CODES = {  # all of seed 004's, each with the error that a client meets first
    "HF_MODEL_NOT_FOUND": ModelNotFound,
    "HF_MODEL_LOAD_FAILED": LoadFailed,
    "HF_PIPELINE_ERROR": ReplicaLost,
    "HF_GENERATION_FAILED": EngineFailure,
    "HF_MEMORY_EXCEEDED": ModelTooLarge,
    "HF_TIMEOUT": GenerationTimeout,
    "HF_INVALID_CONFIG": SettingsError,
}
LINE = re.compile(r"^ {4}(?:│|├|└| |─)*(\w+) +([a-z_]+) *(\d{3}|\(exit \d\))?( +yes)?$", re.MULTILINE)


def kinds() -> list[type[HeliostatError]]:
    found = [HeliostatError]
    for kind in found:
        found += [one for one in kind.__subclasses__() if one.__module__.startswith(f"{errors.__name__}.")]
    return found


@pytest.mark.parametrize(("legacy", "kind"), HF_ERROR_CODES.items())
def test_each_code_of_older_clients_is_an_alias_of_a_stable_one(legacy: str, kind: type[HeliostatError]) -> None:
    assert legacy_of(kind.code) == kind.legacy == legacy


def test_there_is_no_alias_that_older_clients_do_not_know() -> None:
    assert {kind.legacy for kind in kinds()} == {None, *HF_ERROR_CODES}


def test_a_code_that_older_clients_knew_nothing_of_has_no_alias() -> None:
    assert legacy_of("empty_plan") is None
    assert legacy_of("no_such_code") is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/api/v1/models/x/load"])
def test_every_api_answers_with_the_alias_in_a_header(path: str) -> None:
    assert respond(ModelNotFound("no"), path).headers[LEGACY] == "HF_MODEL_NOT_FOUND"
    assert LEGACY not in respond(errors.PayloadTooLarge("much"), path).headers


def test_our_own_bodies_say_it_too_and_those_of_other_apis_keep_their_shape() -> None:
    assert b'"legacy_code": "HF_TIMEOUT"' in respond(GenerationTimeout("late"), "/api/v1/models").body
    assert b"legacy" not in respond(GenerationTimeout("late"), "/v1/chat/completions").body
    assert b"legacy" not in respond(errors.PayloadTooLarge("much"), "/api/v1/models").body


def test_the_tree_on_one_screen_is_the_tree() -> None:
    drawn = {name: (code, status, bool(again)) for name, code, status, again in LINE.findall(errors.__doc__ or "")}
    for kind in kinds()[1:]:
        code, status, again = drawn.pop(kind.__name__)
        assert code == kind.code
        if status.isdecimal():
            assert (int(status), again) == (kind.status, kind.retryable), kind
    assert not drawn


def test_every_error_of_every_subject_is_to_be_had_from_one_place() -> None:
    assert {kind.__name__: kind for kind in kinds()} == {
        name: getattr(errors, name) for name in errors.__all__ if name != "legacy_of"
    }


def test_every_error_crosses_processes_whole() -> None:
    for kind in kinds():
        sent = kind("what", hint="why", param="a.b", retry_after_s=2.5)
        came = pickle.loads(pickle.dumps(sent))
        assert type(came) is kind
        assert (came.message, came.hint, came.param, came.retry_after_s) == ("what", "why", "a.b", 2.5)
