"""vLLM's `structured_outputs` and `chat_template_kwargs`, checked before they get there."""

import time
from typing import Any

import pytest

from cluster.engines.schema_limits import MAX_CHOICES, MAX_PATTERN, check_outputs
from cluster.engines.source import project_root
from cluster.engines.template_options import check_options, template_options
from cluster.errors import BadRequest, UnsupportedParameter


@pytest.mark.parametrize(
    "given",
    [
        None,
        {"choice": ["red", "blue"]},
        {"regex": r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "json": None},
        {"regex": r"\p{L}{1,40}(\.[a-z]{2,63}){1,10}"},
        {"json": {"type": "integer"}},
        {"json": '{"type": "integer"}'},
        {"json_object": True},
    ],
)
def test_what_can_be_held_passes(given: Any) -> None:
    check_outputs(given)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("yes", "structured_outputs"),
        ({}, "structured_outputs"),
        ({"choice": ["a"], "regex": "a"}, "structured_outputs"),
        ({"choice": []}, "structured_outputs.choice"),
        ({"choice": "a"}, "structured_outputs.choice"),
        ({"choice": ["a", 1]}, "structured_outputs.choice"),
        ({"choice": ["a", ""]}, "structured_outputs.choice"),
        ({"choice": ["a"] * (MAX_CHOICES + 1)}, "structured_outputs.choice"),
        ({"regex": 3}, "structured_outputs.regex"),
        ({"regex": "a" * (MAX_PATTERN + 1)}, "structured_outputs.regex"),
        ({"regex": "(((a{1,100}){1,100}){1,100})"}, "structured_outputs.regex"),
        ({"regex": r"(\w{1,500}\p{L}{1,500}){1,500}"}, "structured_outputs.regex"),
        ({"regex": "a{20000,}"}, "structured_outputs.regex"),
        ({"json": "{"}, "structured_outputs.json"),
        ({"json": "[" * 100_000}, "structured_outputs.json"),
        ({"json": {"items": {"pattern": "a" * 600}}}, "structured_outputs.json"),
        ({"json_object": False}, "structured_outputs.json_object"),
    ],
)
def test_what_is_too_much_is_refused_by_name(given: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_outputs(given)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["grammar", "structural_tag", "whitespace_pattern", "_backend", "x" * 1000])
def test_kinds_without_limits_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check_outputs({name: "start: start start"})
    assert str(caught.value.param).startswith(f"structured_outputs.{name}"[:80])


def test_only_one_says_what_the_answer_is_like() -> None:
    with pytest.raises(BadRequest, match="without response_format"):
        check_outputs({"choice": ["a"]}, {"type": "json_object"})


@pytest.mark.parametrize("pattern", ["(" * 512, "[" * 512, "\\" * 511, "{1,9}" * 100, "a{1,2}" * 85, "\\p{" * 170])
def test_an_odd_pattern_is_read_in_no_time(pattern: str) -> None:
    began = time.thread_time()
    check_outputs({"regex": pattern})
    assert time.thread_time() - began < 2


def test_a_template_is_told_only_what_it_reads() -> None:
    options = template_options(
        "{% generation %}{{ bos_token }}{% if enable_thinking %}{% endif %}{% endgeneration %}"
    )
    assert options == {"enable_thinking"}
    check_options({"enable_thinking": False}, options)
    check_options(None, frozenset())
    for wrong in ("tokenize", "bos_token", "messages", "chat_template"):
        with pytest.raises(UnsupportedParameter) as caught:
            check_options({wrong: 1}, options)
        assert caught.value.param == f"chat_template_kwargs.{wrong}"


@pytest.mark.parametrize("template", [None, "{% broken", {}, {"default": "{{ messages }}"}, 3])
def test_a_template_that_reads_nothing_is_told_nothing(template: object) -> None:
    assert template_options(template) == frozenset()


def test_the_built_in_model_s_template_has_no_options_that_matter() -> None:
    template = (project_root() / "models/spark-chat/chat_template.jinja").read_text()
    assert not template_options(template) & {"bos_token", "messages", "tools", "add_generation_prompt"}
