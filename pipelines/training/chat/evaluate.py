"""Measure a model on held-out data: other seeds, and names that training never draws."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from pipelines.training.chat.about import ABOUT, about
from pipelines.training.chat.grounded import Shape, ground
from pipelines.training.chat.instructions import CATEGORIES, add, echo, enumerate_items, json_object, one_word
from pipelines.training.prompts import ABSTENTION, Dialogue, Message

_SEED = 70_001  # of the held-out data; training seeds are small
LONGEST_ANSWER = 96  # tokens that a reply may take; a list, an object or a sentence ends far earlier

Answer = Callable[[Sequence[Sequence[Message]]], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One row of the measured table: how its questions are drawn and judged."""

    name: str
    draw: Callable[[Random], Dialogue]
    right: Callable[[Dialogue, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How many of a task's questions were answered right."""

    task: str
    right: int
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A wrong answer, for whoever reads along."""

    task: str
    question: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The table, and the first wrong answers of each task."""

    scores: tuple[Score, ...]
    misses: tuple[Miss, ...]


def evaluate(answer: Answer, *, each: int = 100) -> Evaluation:
    """Ask `each` questions of every task; `answer` maps conversations to greedy replies."""
    scores: list[Score] = []
    misses: list[Miss] = []
    for number, task in enumerate(TASKS):
        rng = Random(_SEED + number)  # noqa: S311  # data, not secrets
        dialogues = [task.draw(rng) for _ in range(each)]
        replies = answer([dialogue.messages[:-1] for dialogue in dialogues])
        wrong = [
            Miss(task=task.name, question=dialogue.messages[-2].content, wanted=dialogue.answer, got=reply)
            for dialogue, reply in zip(dialogues, replies, strict=True)
            if not task.right(dialogue, reply)
        ]
        scores.append(Score(task=task.name, right=each - len(wrong), asked=each))
        misses += wrong[:3]
    return Evaluation(scores=tuple(scores), misses=tuple(misses))


def same(dialogue: Dialogue, reply: str) -> bool:
    """Judge that the reply is the wanted one, character for character."""
    return reply == dialogue.answer


def known_answer(dialogue: Dialogue, reply: str) -> bool:
    """Judge that the reply is one of the answers to the question's topic."""
    question = dialogue.messages[-2].content
    return any(question in questions and reply in answers for questions, answers in ABOUT)


def object_with_keys(dialogue: Dialogue, reply: str) -> bool:
    """Judge that the reply is a JSON object with exactly the wanted keys."""
    try:
        parsed = json.loads(reply)
    except json.JSONDecodeError:
        return False
    return isinstance(parsed, dict) and [*parsed] == [*json.loads(dialogue.answer)]


def list_of_as_many(dialogue: Dialogue, reply: str) -> bool:
    """Judge that the reply has as many different numbered items as wanted, all of the category."""
    lines = reply.split("\n")
    items = [line.partition(". ")[2].lower() for line in lines]
    wanted = [line.partition(". ")[2].lower() for line in dialogue.answer.split("\n")]
    category = next(words for words in _lowered() if wanted[0] in words and wanted[1] in words)
    numbered = all(line.startswith(f"{number}. ") for number, line in enumerate(lines, start=1))
    return numbered and len(items) == len(wanted) == len(set(items)) and set(items) <= category


def single_word_of_category(dialogue: Dialogue, reply: str) -> bool:
    """Judge that the reply is one word of the category asked for."""
    word = reply.rstrip(".").lower()
    return any(f" {name} " in f" {_plain(dialogue)} " and word in words for name, words in _named())


def grounded(shape: Shape) -> Callable[[Random], Dialogue]:
    """Return a drawing of single held-out questions of a shape."""
    return lambda rng: ground(rng, shape, "eval")


def _plain(dialogue: Dialogue) -> str:
    return dialogue.messages[-2].content.replace(".", " ").lower()


def _named() -> list[tuple[str, set[str]]]:
    return [(name, {word.lower() for word in words}) for name, words in CATEGORIES.items()]


def _lowered() -> list[set[str]]:
    return [words for _, words in _named()]


def _shape(facts: int, passages: int, *, abstain: float = 0.0, markdown: bool = False) -> Shape:
    return Shape(facts=facts, passages=passages, follow_ups=0, abstain=abstain, markdown=markdown)


TASKS = (
    Task(name="grounded answer, 1 fact", draw=grounded(_shape(1, 1)), right=same),
    Task(name="grounded answer, 3 facts", draw=grounded(_shape(3, 3)), right=same),
    Task(name="grounded answer, 5 facts", draw=grounded(_shape(5, 5)), right=same),
    Task(name="grounded answer, 10 facts, Markdown", draw=grounded(_shape(10, 5, markdown=True)), right=same),
    Task(name=f'abstention ("{ABSTENTION}"), 3 facts', draw=grounded(_shape(3, 3, abstain=1.0)), right=same),
    Task(name="repeating up to 8 words", draw=lambda rng: echo(rng, "eval", 8), right=same),
    Task(
        name="JSON object with exactly the keys asked for",
        draw=lambda rng: json_object(rng, "eval"),
        right=object_with_keys,
    ),
    Task(name="list of as many items as asked for", draw=enumerate_items, right=list_of_as_many),
    Task(name="one word of the category asked for", draw=one_word, right=single_word_of_category),
    Task(
        name="about Heliostat and itself, unseen wording",
        draw=lambda rng: about(rng, held_out=True),
        right=known_answer,
    ),
    Task(name="sum below twenty (all sums are in the training data)", draw=add, right=same),
)
