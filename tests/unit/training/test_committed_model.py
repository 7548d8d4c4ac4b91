"""The committed model is whole, small, and what its recipe says."""

import json
from pathlib import Path

import pytest

from pipelines.training.chat.evaluate import TASKS
from pipelines.training.prompts import CHAT_TEMPLATE, SPECIAL_TOKENS
from pipelines.training.recipe import RECIPES

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(params=RECIPES.values(), ids=lambda recipe: recipe.name)
def recipe(request):
    return request.param


def read(recipe, name: str):
    return json.loads((MODELS / recipe.name / name).read_text())


def test_it_takes_less_than_ten_megabytes(recipe) -> None:
    assert sum(path.stat().st_size for path in (MODELS / recipe.name).iterdir()) < 10_000_000


def test_its_configuration_is_the_recipes(recipe) -> None:
    ids = {name: number for number, name in enumerate(SPECIAL_TOKENS)}
    wanted = recipe.architecture.config(begin=ids["<|begin|>"], end=ids["<|end|>"], pad=ids["<|pad|>"])
    assert read(recipe, "config.json") == wanted


def test_its_template_and_special_tokens_are_the_trainings(recipe) -> None:
    added = [token["content"] for token in read(recipe, "tokenizer.json")["added_tokens"]]
    assert (MODELS / recipe.name / "chat_template.jinja").read_text() == CHAT_TEMPLATE
    assert tuple(added) == SPECIAL_TOKENS


def test_its_card_states_every_measured_task(recipe) -> None:
    card = (MODELS / recipe.name / "README.md").read_text()
    assert all(f"| {task.name} | " in card for task in TASKS)
