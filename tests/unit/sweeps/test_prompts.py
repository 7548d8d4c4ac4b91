import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadRequest
from pipelines.sweeps.spec import SweepSpec, load_spec, read_spec
from tests.unit.sweeps.test_spec import SPEC

TEMPLATE = "Say {{ word }} in {{language}}."


def spec_of(folder: Path, prompts: Any) -> SweepSpec:
    file = folder / "s.json"
    file.write_text(json.dumps({"name": "a", "models": ["m"], "prompts": prompts}))
    return load_spec(file)


def test_a_template_is_filled_from_each_row_of_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(
        'key,word,language\nk1,"rain, snow",French\nk2,sun,German\n', encoding="utf-8-sig"
    )
    (tmp_path / "d.jsonl").write_text('{"word": "sun", "language": "German", "key": 7}\n\n')
    spec = spec_of(tmp_path, {"template": TEMPLATE, "dataset": "d.csv", "id": "key", "system": "In {{language}}!"})
    assert [(one.id, one.text, one.system) for one in spec.prompts] == [
        ("k1", "Say rain, snow in French.", "In French!"),
        ("k2", "Say sun in German.", "In German!"),
    ]
    spec = spec_of(tmp_path, {"template": TEMPLATE, "dataset": "d.jsonl", "id": "key"})
    assert [(one.id, one.text) for one in spec.prompts] == [("7", "Say sun in German.")]


def test_a_request_may_bring_its_dataset() -> None:
    rows = [{"word": "sun", "language": "German"}]
    spec = read_spec({**SPEC, "prompts": {"template": TEMPLATE, "dataset": rows}})
    assert spec.prompts[0].text == "Say sun in German."


def test_a_dataset_of_the_machine_is_never_read_for_a_request() -> None:
    with pytest.raises(BadRequest, match="list of objects"):
        read_spec({**SPEC, "prompts": {"template": TEMPLATE, "dataset": "/etc/passwd"}})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.csv", "word\nsun\n", r"d\.csv: line 2: no value for the variable 'language'"),
        ("d.csv", "word,language\nsun,German\nrain\n", r"d\.csv: line 3: no value for the variable 'language'"),
        ("d.jsonl", '{"word": "a", "language": "b"}\n{"word": "a"}\n', r"d\.jsonl: line 2: .*'language'"),
        ("d.jsonl", '{"word": "a", "language": null}\n', "line 1: no value"),
        ("d.jsonl", "[1]\n", "line 1: not an object"),
        ("d.jsonl", "{\n", "line 1 is not JSON"),
        ("d.csv", "word,language\nrain, snow,French\n", "line 2: more values than columns"),
        ("d.csv", "word,language,word\na,b,c\n", "two columns are named 'word'"),
        ("d.tsv", "word\tlanguage\na\tb\n", "a dataset is JSONL or CSV"),
    ],
)
def test_a_missing_variable_names_its_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadRequest, match=said) as caught:
        spec_of(tmp_path, {"template": TEMPLATE, "dataset": name})
    assert caught.value.param == "prompts.dataset"


def test_a_row_that_makes_an_empty_prompt_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("word\na\n \n")
    with pytest.raises(BadRequest, match="line 3: an empty prompt"):
        spec_of(tmp_path, {"template": "{{word}}", "dataset": "d.csv"})


def test_two_rows_that_make_one_prompt_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("word,other\na,1\na,2\n")
    with pytest.raises(BadRequest, match="given twice"):
        spec_of(tmp_path, {"template": "{{word}}", "dataset": "d.csv"})


@pytest.mark.parametrize(
    "prompts",
    [{"template": TEMPLATE}, {"dataset": []}, {"template": TEMPLATE, "dataset": [], "rows": 1}, {"fil": "a"}],
)
def test_what_is_neither_a_file_nor_a_template_with_a_dataset_is_refused(tmp_path: Path, prompts: Any) -> None:
    with pytest.raises(BadRequest, match="prompts"):
        spec_of(tmp_path, prompts)


def test_a_prompt_of_nothing_but_space_is_empty() -> None:
    with pytest.raises(BadRequest, match="an empty prompt"):
        read_spec({**SPEC, "prompts": [" \n"]})


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.txt", "one\ntwo\n"), ("p.jsonl", '"one"\n"two"\n'), ("p.md", "one\r\n\r\ntwo")],
)
def test_the_mark_that_editors_put_first_is_no_part_of_a_prompt(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert [one.text for one in spec_of(tmp_path, {"file": name}).prompts] == ["one", "two"]


def test_only_line_breaks_end_a_line(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("one\u2028still one\ntwo\x0cstill two\n")
    (tmp_path / "d.jsonl").write_text('{"word": "a\u2028b\u0085c"}\n', encoding="utf-8")
    assert len(spec_of(tmp_path, {"file": "p.txt"}).prompts) == 2
    spec = spec_of(tmp_path, {"template": "Say {{word}}", "dataset": "d.jsonl"})
    assert spec.prompts[0].text == "Say a\u2028b\u0085c"


def test_a_cell_of_a_csv_may_have_line_breaks_and_rows_may_end_in_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('word,,\n"a\nb",,\nc,,\n')
    spec = spec_of(tmp_path, {"template": "Say {{word}}", "dataset": "d.csv"})
    assert [one.text for one in spec.prompts] == ["Say a\nb", "Say c"]


@pytest.mark.parametrize("name", ["p.json", "p.CSV", "p.tsv"])
def test_a_table_is_no_list_of_prompts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text\none\n")
    with pytest.raises(BadRequest, match="JSONL, or text with a prompt a line"):
        spec_of(tmp_path, {"file": name})


def test_a_variable_may_be_any_columns_name() -> None:
    rows = [{"the word": "sun", "größe": 2, "1": "x"}]
    spec = read_spec({**SPEC, "prompts": {"template": "{{the word}} {{ größe }} {{1}}", "dataset": rows}})
    assert spec.prompts[0].text == "sun 2 x"


@pytest.mark.parametrize("template", ["{{ word | upper }}", "{{}}", "{{Word}}"])
def test_no_prompt_goes_out_with_its_variables_in_it(template: str) -> None:
    with pytest.raises(BadRequest, match="no value for the variable"):
        read_spec({**SPEC, "prompts": {"template": template, "dataset": [{"word": "sun"}]}})


def test_a_value_that_is_no_text_is_written_as_json() -> None:
    rows = [{"value": value} for value in (True, 0.5, ["a", {"b": "ü"}])]
    spec = read_spec({**SPEC, "prompts": {"template": "{{value}}", "dataset": rows}})
    assert [one.text for one in spec.prompts] == ["true", "0.5", '["a", {"b": "ü"}]']


def test_instructions_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadRequest, match="system is a text"):
        read_spec({**SPEC, "prompts": {"template": "{{a}}", "dataset": [{"a": "b"}], "system": 5}})


def test_a_dataset_holds_texts_as_long_as_documents(tmp_path: Path) -> None:
    """Python's CSV reader takes 131,072 characters, and called the file no CSV."""
    long = "word " * 40_000
    (tmp_path / "d.csv").write_text(f'word,language\n"{long}",French\n')
    spec = spec_of(tmp_path, {"template": TEMPLATE, "dataset": "d.csv"})
    assert spec.prompts[0].text == f"Say {long} in French."


def test_a_word_that_yaml_takes_for_a_truth_value_is_no_text(tmp_path: Path) -> None:
    """`language: no` asked for a translation into `false`."""
    dataset = "[{language: no, hard: yes}, {language: nb, hard: off}]"
    file = tmp_path / "s.yaml"
    file.write_text(f"name: a\nmodels: [m]\nprompts: {{template: 'Say {{{{language}}}}', dataset: {dataset}}}\n")
    with pytest.raises(BadRequest, match=r"dataset\[0\]: language is false") as caught:
        load_spec(file)
    assert 'language: "false"' in (caught.value.hint or "")
    file.write_text(file.read_text().replace("language: no", "language: 'no'"))
    spec = load_spec(file)  # what the template does not ask for may be anything
    assert spec.prompts[0].text == "Say no"
    rows = [{"language": True}]
    assert read_spec({**SPEC, "prompts": {"template": "{{language}}", "dataset": rows}}).prompts[0].text == "true"
