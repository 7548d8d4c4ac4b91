"""A batch's input: what is wrong with it is told by line, as OpenAI tells it."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types import BatchError

from pipelines.batches.check import TOLD, check_input
from pipelines.batches.line import Line, Rules, raw_lines, read_line
from tests.unit.batches.conftest import ENDPOINT, jsonl, line

RULES = Rules(endpoint=ENDPOINT, models={"m"}, max_lines=1000, max_line_bytes=2000)


def checked(folder: Path, content: bytes, rules: Rules = RULES) -> Any:
    file = folder / "in.jsonl"
    file.write_bytes(content)
    return check_input(file, rules)


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    found = checked(tmp_path, b"\xef\xbb\xbf" + jsonl(line(1), line(2)) + b"\n  \n" + jsonl(line(3)).rstrip())
    assert (found.lines, found.problems) == (3, ())


@pytest.mark.parametrize(
    ("bad", "code", "param"),
    [
        (b"{nope", "invalid_json_line", None),
        (b'{"custom_id": NaN}', "invalid_json_line", None),
        (b'"\\ud800"', "invalid_json_line", None),
        (b"[" * 5000, "line_too_long", None),
        (b"[" * 1500, "invalid_json_line", None),
        (b"\xff\xfe", "invalid_json_line", None),
        (b"[1]", "invalid_json_line", None),
        (line(1, extra=1), "unknown_parameter", "extra"),
        ({"custom_id": "x", "method": "POST", "url": ENDPOINT}, "missing_required_parameter", "body"),
        ({"method": "POST", "url": ENDPOINT, "body": {}}, "missing_required_parameter", "custom_id"),
        (line(1, custom_id=7), "invalid_custom_id", "custom_id"),
        (line(1, custom_id=""), "invalid_custom_id", "custom_id"),
        (line(1, method="GET"), "invalid_method", "method"),
        (line(1, url="/v1/embeddings"), "invalid_url", "url"),
        (line(1, body=[]), "invalid_body", "body"),
        (line(1, body={"messages": []}), "missing_required_parameter", "body.model"),
        (line(1, body={"model": "gpt-5"}), "model_not_found", "body.model"),
        (line(1, body={"model": ["m"]}), "model_not_found", "body.model"),
    ],
)
def test_a_bad_line_is_told_with_its_number(
    tmp_path: Path, bad: bytes | dict[str, Any], code: str, param: str | None
) -> None:
    raw = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    found = checked(tmp_path, jsonl(line(8)) + raw + b"\n" + jsonl(line(9)))
    assert [(problem.code, problem.line, problem.param) for problem in found.problems] == [(code, 2, param)]
    BatchError.model_validate(found.problems[0].told())


def test_a_custom_id_that_is_there_twice_names_both_lines(tmp_path: Path) -> None:
    found = checked(tmp_path, jsonl(line(1), line(2), line(1)))
    assert [(problem.code, problem.line) for problem in found.problems] == [("duplicate_custom_id", 3)]
    assert "line 1" in found.problems[0].message


@pytest.mark.parametrize("content", [b"", b"\n\n", b"   "])
def test_an_empty_file_is_a_problem_without_a_line(tmp_path: Path, content: bytes) -> None:
    found = checked(tmp_path, content)
    assert [(problem.code, problem.line) for problem in found.problems] == [("empty_file", None)]


def test_too_many_lines_are_a_problem_at_the_first_one_over(tmp_path: Path) -> None:
    rules = Rules(endpoint=ENDPOINT, models={"m"}, max_lines=2, max_line_bytes=2000)
    found = checked(tmp_path, jsonl(*(line(number) for number in range(5))), rules)
    assert [(problem.code, problem.line) for problem in found.problems] == [("too_many_requests", 3)]


def test_a_hundred_problems_are_told_at_most(tmp_path: Path) -> None:
    assert len(checked(tmp_path, b"x\n" * 300).problems) == TOLD


def test_a_line_that_is_too_long_is_never_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"a" * 100 + b"\n" + b"b" * 10 + b"\n" + b"c" * 100)
    assert list(raw_lines(file, 10)) == [(1, None), (2, b"b" * 10 + b"\n"), (3, None)]


def test_a_body_goes_on_as_it_is_written() -> None:
    body = {"model": "m", "seed": 2**60, "temperature": 0.1, "messages": ["ü😀\n"], "unknown": None}
    found = read_line(1, json.dumps(line(1, body=body)).encode(), RULES)
    assert isinstance(found, Line)
    assert json.loads(found.body) == body
