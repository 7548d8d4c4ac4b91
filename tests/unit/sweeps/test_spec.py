import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadRequest
from pipelines.sweeps.spec import SweepSpec, load_spec, read_spec

SPEC: dict[str, Any] = {"name": "a", "models": ["m"], "prompts": ["one", {"id": "x", "text": "two", "system": "s"}]}
BATCH: dict[str, Any] = {
    "name": "Temperature Analysis Batch",
    "description": "Testing temperature variations",
    "prompt": "Write a creative story about...",
    "model": "gpt-4",
    "parameter_ranges": {
        "temperature": {"min": 0.1, "max": 1.0, "step": 0.1},
        "top_p": {"min": 0.8, "max": 1.0, "step": 0.05},
        "max_tokens": [150, 300, 500],
    },
    "response_count": 3,
}


def test_the_shape_of_the_experiments_api_is_the_same_sweep() -> None:
    spec = read_spec(BATCH)
    assert (spec.models, spec.prompts[0].text, spec.repeats) == (("gpt-4",), BATCH["prompt"], 3)
    assert {name: axis.count for name, axis in spec.parameters.axes.items()} == {
        "temperature": 10,
        "top_p": 5,
        "max_tokens": 3,
    }


def test_a_spec_survives_being_stored() -> None:
    for spec in (read_spec(SPEC), read_spec(BATCH)):
        assert read_spec(json.loads(spec.canonical())) == spec


def test_prompts_without_an_id_get_one() -> None:
    assert [prompt.id for prompt in read_spec(SPEC).named_prompts] == ["p1", "x"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"models": "m"}, "models"),
        ({"models": [3]}, "models[0]"),
        ({"repeats": "2"}, "repeats"),
        ({"repeats": -1}, "repeats"),
        ({"nope": 1}, "nope"),
        ({"prompts": [{"txt": "a"}]}, "prompts[0].txt"),
        ({"prompts": [""]}, "prompts[0].text"),
        ({"parameters": {"temperature": "hot"}}, "parameters.temperature"),
        ({"parameters": {"temprature": 1}}, "parameters.temprature"),
        ({"parameters": {"max_tokens": [1.5]}}, "parameters.max_tokens"),
        ({"parameters": {"max_tokens": -1}}, "parameters.max_tokens"),
        ({"parameters": 3}, "parameters"),
        ({"seeds": "yes"}, "seeds"),
        ({"prompt": "a"}, "models"),  # the two shapes don't mix
    ],
)
def test_an_error_names_its_key(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_spec({**SPEC, **change})
    assert caught.value.param == param
    assert param in caught.value.message


def test_an_error_in_the_api_shape_names_the_key_that_was_sent() -> None:
    with pytest.raises(BadRequest) as caught:
        read_spec({**BATCH, "parameter_ranges": {"top_p": 0}})
    assert caught.value.param == "parameter_ranges.top_p"


def test_a_prompt_given_twice_is_refused() -> None:
    with pytest.raises(BadRequest, match="given twice"):
        read_spec({**SPEC, "prompts": ["a", {"id": "b", "text": "a"}]})


def test_a_file_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    for text in ("name: [", "- a", "name: a\nmodels: [m]\nprompts: [p]\nx: 1\n"):
        file.write_text(text)
        with pytest.raises(BadRequest, match=r"s\.yaml"):
            load_spec(file)
    with pytest.raises(BadRequest, match="no such file"):
        load_spec(tmp_path / "missing.yaml")


def test_prompts_come_from_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('"one"\n\n{"text": "two", "id": "t"}\n')
    (tmp_path / "p.txt").write_text("one\ntwo\n")
    for name in ("p.jsonl", "p.txt"):
        file = tmp_path / "s.yaml"
        file.write_text(f"name: a\nmodels: [m]\nprompts: {{file: {name}}}\n")
        assert [prompt.text for prompt in load_spec(file).prompts] == ["one", "two"]


def test_a_file_of_prompts_is_never_read_for_a_request() -> None:
    with pytest.raises(BadRequest) as caught:
        read_spec({**SPEC, "prompts": {"file": "/etc/passwd"}})
    assert caught.value.param == "prompts"


def test_the_specs_that_we_ship_are_specs() -> None:
    shipped = sorted((Path(__file__).parents[3] / "configs" / "sweeps").glob("*.yaml"))
    assert shipped
    assert all(isinstance(load_spec(file), SweepSpec) for file in shipped)


@pytest.mark.parametrize("number", ["1e400", "-1e999"])
def test_a_number_that_is_infinite_is_refused_wherever_it_stands(tmp_path: Path, number: str) -> None:
    """Inside of an object it was stored, and no answer that showed the spec could be sent any more."""
    depths, stops = f'{{"depth": [1, {{"x": {number}}}]}}', f'[{{"exclude": {{"stop": [[{number}]]}}}}]'
    for param, said in (
        ("parameters.chat_template_kwargs.depth[1].x", f'"parameters": {{"chat_template_kwargs": {depths}}}'),
        ("constraints[0].exclude.stop[0][0]", f'"parameters": {{"stop": "a"}}, "constraints": {stops}'),
    ):
        file = tmp_path / "s.json"
        file.write_text(f'{{"name": "a", "models": ["m"], "prompts": ["p"], {said}}}')
        with pytest.raises(BadRequest) as caught:
            load_spec(file)
        assert caught.value.param == param


@pytest.mark.parametrize("value", ["!!binary aGVsbG8=", "!!set {a, b}"])
def test_what_yaml_has_and_json_has_not_is_no_text(tmp_path: Path, value: str) -> None:
    """A prompt of bytes went out as `b'hello'`."""
    file = tmp_path / "s.yaml"
    file.write_text(f"name: a\nmodels: [m]\nprompts:\n  - {value}\n")
    with pytest.raises(BadRequest, match="YAML's type"):
        load_spec(file)


@pytest.mark.parametrize("name", ['"a\\0b.jsonl"', '"\\ud800.txt"'])
def test_a_file_that_no_disk_can_name_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"name: a\nmodels: [m]\nprompts: {{file: {name}}}\n")
    with pytest.raises(BadRequest):
        load_spec(file)
