from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipelines.training import served_report
from pipelines.training.card import BEGIN, END
from pipelines.training.served import Measured, Speed
from pipelines.training.tasks import (
    Evaluation,
    Example,
    Miss,
    Score,
    Task,
    asked,
    draw,
    evaluate,
    exactly,
    picture_of,
    said,
)


def number(rng: Random) -> Example:
    wanted = str(rng.randint(0, 10**9))
    return Example(messages=(asked(f"Repeat: {wanted}"),), expected=wanted)


REPEAT = Task(name="repeat", draw=number, right=exactly, target=0.5)


def parrot(examples: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": example.question.removeprefix("Repeat: ")} for example in examples]


def test_the_right_are_counted_and_some_of_the_wrong_are_shown() -> None:
    good = evaluate([REPEAT], parrot, each=7)
    assert good.scores == (Score(task="repeat", right=7, asked=7, target=0.5),)
    bad = evaluate([REPEAT], lambda examples: [{"role": "assistant", "content": "no"}] * len(examples), each=7)
    assert (bad.scores[0].right, len(bad.misses), bad.misses[0].got) == (0, 3, "no")
    assert (good.scores[0].reached, bad.scores[0].reached) == (True, False)


def test_a_tasks_questions_are_the_same_for_everybody_and_wherever_it_stands() -> None:
    other = Task(name="other", draw=number, right=exactly)
    assert draw(REPEAT, 5) == draw(REPEAT, 9)[:5]
    assert draw(REPEAT, 5) != draw(other, 5)
    assert draw(REPEAT, 5, seed=1) != draw(REPEAT, 5)


def test_a_request_is_greedy_and_offers_tools_only_where_there_are_any() -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    body = Example(messages=(asked("hi"),), expected="", max_tokens=7).request("m")
    assert body == {"model": "m", "messages": [asked("hi")], "temperature": 0, "max_tokens": 7}
    assert Example(messages=(asked("hi"),), expected="", tools=(tool,)).request("m")["tools"] == [tool]


def test_a_picture_comes_back_as_it_was_asked_with() -> None:
    example = Example(messages=(asked("What colour?", b"png bytes"),), expected="Red.")
    assert (example.question, picture_of(example)) == ("What colour?", b"png bytes")
    assert picture_of(Example(messages=(asked("hi"),), expected="")) is None


def test_a_tool_call_is_no_text_and_is_shown_as_a_call() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    reply = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert said(reply) == ' → look({"at": "sky"})'
    assert not exactly(Example(messages=(asked("hi"),), expected=""), reply)


@pytest.mark.parametrize(
    ("right", "low", "high"), [(0, 0.0, 0.037), (50, 0.404, 0.596), (85, 0.767, 0.907), (100, 0.963, 1.0)]
)
def test_the_interval_is_wilsons(right: int, low: float, high: float) -> None:
    assert Score(task="x", right=right, asked=100).interval == pytest.approx((low, high), abs=5e-4)


def measured(**changes: Any) -> Measured:
    speed = {"pictures": False, "requests": 40, "first_p50_ms": 31.2, "first_p95_ms": 70.0, "tokens": 256}
    evaluation = Evaluation(
        scores=(Score(task="colour", right=98, asked=100, target=0.97), Score(task="free", right=3, asked=9)),
        misses=(Miss(task="colour", question="?", wanted="Red.", got="Blue."),),
    )
    return Measured(
        model="spark",
        revision="abc",
        evaluation=evaluation,
        speed=Speed(tokens_per_s=200.0, **{**speed, **changes}),
    )


def test_a_missed_figure_is_a_missed_target() -> None:
    assert measured().reached
    assert not measured(first_p50_ms=51.0).reached


def test_the_cards_table_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(f"# Spark\n\n{BEGIN}\nold\n{END}\n\n## More\n")
    served_report.write_card_table(card, measured())
    once = card.read_text()
    assert "| colour | 98 / 100 | 93.0% to 99.4% | ≥ 97% |" in once
    assert "old" not in once
    assert once.startswith("# Spark\n\n")
    assert once.endswith("\n\n## More\n")
    served_report.write_card_table(card, measured())
    assert card.read_text() == once
    card.write_text("# no place")
    with pytest.raises(ValueError, match="no place"):
        served_report.write_card_table(card, measured())


def test_json_holds_what_a_reader_would_compute() -> None:
    (one,) = served_report.as_json([measured()])
    assert one["scores"][0]["interval"] == pytest.approx((0.930, 0.994), abs=1e-3)
    assert (one["reached"], one["speed"]["tokens_per_s"], one["misses"][0]["got"]) == (True, 200.0, "Blue.")
