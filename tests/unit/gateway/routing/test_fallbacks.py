"""Which models may answer for which, as the settings say it."""

from typing import Any

import pytest

from cluster.config import resolve
from cluster.errors import (
    BadRequest,
    CircuitOpen,
    ContextTooLong,
    EngineDead,
    EngineFailure,
    HeliostatError,
    InvalidApiKey,
    Overloaded,
    SettingsError,
    UnsupportedParameter,
)
from cluster.settings.tree import Settings
from deployments.gateway.routing.fallbacks import Fallbacks, Scope, scope_of


def settings_of(**fallbacks: Any) -> Settings:
    models: list[dict[str, Any]] = [
        {"id": name, "engine": {"kind": "scripted"}, "fallbacks": listed} for name, listed in fallbacks.items()
    ]
    models.append({"id": "hash", "engine": {"kind": "hash"}})
    return resolve({"models": models, "hub": {"max_cached_models": 9}}, {})


def order(scope: Scope = Scope.GENERAL, **fallbacks: Any) -> tuple[str, ...]:
    return Fallbacks(settings_of(**fallbacks).chat_models).of("a", scope)


def test_a_bare_list_is_for_every_failure_but_a_full_context() -> None:
    assert order(a=["b"], b=[]) == ("b",)
    assert order(Scope.UNAVAILABLE, a=["b"], b=[]) == ("b",)
    assert order(Scope.CONTEXT_WINDOW, a=["b"], b=[]) == ()


def test_each_scope_has_its_own_list() -> None:
    listed = {"general": ["b"], "context_window": ["c"], "unavailable": ["c", "b"]}
    both = {"a": listed, "b": [], "c": []}
    assert order(Scope.GENERAL, **both) == ("b",)
    assert order(Scope.CONTEXT_WINDOW, **both) == ("c",)
    assert order(Scope.UNAVAILABLE, **both) == ("c", "b")


def test_a_fallbacks_own_fallbacks_come_after_all_of_the_models() -> None:
    assert order(a=["b", "c"], b=["d"], c=[], d=[]) == ("b", "c", "d")


def test_models_that_name_each_other_are_asked_once() -> None:
    assert order(a=["b"], b=["a"]) == ("b",)
    assert order(a=["b"], b=["c"], c=["a", "b"]) == ("b", "c")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (["a"], "names the model itself"),
        (["nobody"], "'nobody', which is not one of the models"),
        (["hash"], "only chat models"),
        (["b", "b"], "names a model twice"),
        ({"general": ["b"], "sometimes": []}, "sometimes"),
    ],
)
def test_a_fallback_that_cannot_be_one_fails_at_load(listed: Any, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_of(a=listed, b=[])
    assert said in raised.value.line()


def test_an_embedder_has_no_fallbacks() -> None:
    models = [
        {"id": "a", "engine": {"kind": "scripted"}},
        {"id": "hash", "engine": {"kind": "hash"}, "fallbacks": ["a"]},
    ]
    with pytest.raises(SettingsError, match="only chat models"):
        resolve({"models": models}, {})


@pytest.mark.parametrize(
    ("error", "scope"),
    [
        (ContextTooLong("long"), Scope.CONTEXT_WINDOW),
        (EngineFailure("broke"), Scope.GENERAL),
        (EngineDead("dead"), Scope.UNAVAILABLE),
        (CircuitOpen("open"), Scope.UNAVAILABLE),
        (Overloaded("full"), Scope.UNAVAILABLE),
        (BadRequest("wrong"), None),
        (UnsupportedParameter("no"), None),
        (InvalidApiKey("who"), None),
    ],
)
def test_only_what_another_model_may_do_better_has_a_scope(error: HeliostatError, scope: Scope | None) -> None:
    assert scope_of(error) is scope


def test_only_who_is_named_for_it_answers_while_a_model_loads() -> None:
    assert order(Scope.LOADING, a=["b"], b=[]) == ()
    assert order(Scope.LOADING, a={"general": ["c"], "loading": ["b"]}, b={"loading": ["c"]}, c=[]) == ("b", "c")
