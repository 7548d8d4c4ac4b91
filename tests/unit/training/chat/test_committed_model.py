"""The committed model is whole, small, and what its recipe says."""

import json
from pathlib import Path

from pipelines.training.chat.evaluate import TASKS
from pipelines.training.chat.recipe import RECIPE
from pipelines.training.prompts import CHAT_TEMPLATE, SPECIAL_TOKENS, TOOL_CALL_END, TOOL_CALL_START

MODEL = Path(__file__).parents[4] / "models" / "spark-chat"


def read(name: str):
    return json.loads((MODEL / name).read_text())


def test_it_takes_less_than_sixteen_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 16_000_000


def test_its_configuration_is_the_recipes() -> None:
    ids = {name: number for number, name in enumerate(SPECIAL_TOKENS)}
    wanted = RECIPE.shape.config(begin=ids["<|begin|>"], end=ids["<|end|>"], pad=ids["<|pad|>"])
    assert read("config.json") == wanted


def test_its_template_and_added_tokens_are_the_trainings() -> None:
    added = {token["content"]: token["special"] for token in read("tokenizer.json")["added_tokens"]}
    assert (MODEL / "chat_template.jinja").read_text() == CHAT_TEMPLATE
    assert added == {**dict.fromkeys(SPECIAL_TOKENS, True), TOOL_CALL_START: False, TOOL_CALL_END: False}


def test_its_card_states_every_measured_task() -> None:
    card = (MODEL / "README.md").read_text()
    assert all(f"| {task.name} | " in card for task in TASKS)
