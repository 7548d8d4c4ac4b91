"""Providers that are configured once, and `auto`, as settings."""

from typing import Any

import pytest

from cluster.config import resolve
from cluster.errors import SettingsError
from cluster.settings.tree import Settings

PLACE = {"kind": "openai", "base_url": "http://x/v1"}


def with_(*providers: dict[str, Any], **more: Any) -> Settings:
    models = [{"id": "echo", "engine": {"kind": "scripted"}}]
    return resolve({"models": models, "providers": list(providers), **more}, {})


def test_a_provider_is_an_engine_without_a_model() -> None:
    settings = with_(
        {"id": "far", **PLACE, "api_key_env": "K", "extra_parameters": ["top_k"]}, {"id": "box", "kind": "ollama"}
    )
    far, box = settings.providers
    assert far.engine("m").model_dump() == {
        **far.model_dump(include=set(far.engine("m").model_dump())),
        "model": "m",
        "images": None,
        "dimensions": None,
    }
    assert (box.engine("llama").kind, box.engine("llama").model) == ("ollama", "llama")
    assert resolve(settings.model_dump(mode="json"), {}) == settings


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        ([{"id": "far", **PLACE, "modls": []}], "unknown key"),
        ([{"id": "far", **PLACE, "modls": []}], "known keys: api_key_env"),
        ([{"id": "a/b", **PLACE}], "providers.0.id"),
        ([{"id": "local", **PLACE}], "that is this cluster itself"),
        ([{"id": "far", **PLACE}, {"id": "far", **PLACE}], "'far' is given twice"),
        ([{"id": "far", "kind": "vllm"}], "providers.0"),
        ([{"id": "far", **PLACE, "models": []}], "providers.0.models"),
        ([{"id": "far", **PLACE, "generation": {"top_k": 3}}], "generation.top_k is not honoured"),
        ([{"id": "far", **PLACE, "generation": {"temperature": 3}}], "generation.temperature"),
        (
            [{"id": "far", **PLACE, "generation": {"top_p": 0.5}, "unsupported_parameters": ["top_p"]}],
            "generation.top_p is not honoured",
        ),
    ],
)
def test_what_is_wrong_is_named(providers: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        with_(*providers)
    assert said in caught.value.line()


def test_a_model_may_not_look_like_one_of_a_provider() -> None:
    models = [{"id": "far/echo", "engine": {"kind": "scripted"}}]
    with pytest.raises(SettingsError, match="looks like one of the provider 'far'"):
        resolve({"models": models, "providers": [{"id": "far", **PLACE}]}, {})


def test_auto_picks_from_names_that_there_may_be() -> None:
    strict = {"fleet": {"on_demand": False}}
    good = {"routing": {"auto": {"models": ["far/any", "echo"]}}}
    assert with_({"id": "far", **PLACE}, **good, **strict).routing.auto.models == ("far/any", "echo")
    for names, said in ((["ecko"], "'ecko'"), (["echo", "echo"], "twice"), (["auto"], "itself")):
        with pytest.raises(SettingsError, match=said):
            with_(**strict, routing={"auto": {"models": names}})
    assert with_(routing={"auto": {"models": ["on-disk"]}}).routing.auto.models == ("on-disk",)
