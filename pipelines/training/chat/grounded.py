"""Grounded questions: the answer stands in a passage and is copied, or isn't there."""

from dataclasses import dataclass
from random import Random

from pipelines.training.chat.facts import Fact, describe, draw_subject, state
from pipelines.training.chat.relations import RELATIONS, Relation
from pipelines.training.chat.vocabulary import Split, Vocabulary
from pipelines.training.prompts import ABSTENTION, Dialogue, grounded_message, turns

KIND = "grounded"
_ABSTAIN = 0.2  # a share of questions: enough to learn it, too few to make it the safe guess
_FOLLOW_UP = 0.6  # further questions on the same passages give more copying per token read
_HARD = 0.6  # a share of contexts whose facts share a subject or a relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How hard a grounded example is.

    `facts` counts the sentences of the context; `passages` is the most that they
    are spread over; `markdown` allows headings and list items.
    """

    facts: int
    passages: int
    markdown: bool = False
    follow_ups: int = 3
    abstain: float = _ABSTAIN


def ground(rng: Random, shape: Shape, split: Split = "train") -> Dialogue:
    """Draw passages and one question or more about them."""
    vocabulary = Vocabulary(rng=rng, split=split)
    facts = _facts(vocabulary, shape.facts)
    passages = _passages(rng, facts, shape)
    contents: list[str] = []
    asked = rng.sample(facts, len(facts))
    for index, fact in enumerate(asked[: 1 + shape.follow_ups]):
        if index and rng.random() > _FOLLOW_UP:
            break
        question, answer = fact.question, fact.answer
        if rng.random() < shape.abstain:
            question, answer = _unanswerable(vocabulary, facts, fact), ABSTENTION
        question = _roughen(rng, question)
        contents += [grounded_message(passages, question) if not index else f"Question: {question}", answer]
    return turns(KIND, *contents)


def _facts(vocabulary: Vocabulary, count: int) -> list[Fact]:
    rng = vocabulary.rng
    shared = rng.choice(RELATIONS) if rng.random() < _HARD else None
    facts: list[Fact] = []
    while len(facts) < count:
        draw = rng.random()
        if draw < 0.2:
            fact = describe(vocabulary)
        elif facts and draw < 0.45 and (unstated := _unstated(facts, facts[-1])):
            fact = state(vocabulary, rng.choice(unstated), facts[-1].subject)
        else:
            relation = shared if shared and draw < 0.75 else rng.choice(RELATIONS)
            fact = state(vocabulary, relation, draw_subject(vocabulary, relation.subject))
        if all(fact.question != other.question for other in facts):
            facts.append(fact)
    return facts


def _unstated(facts: list[Fact], fact: Fact) -> list[Relation]:
    """Return the relations not yet stated of this fact's subject; in long contexts none may be left."""
    if fact.relation is None:
        return []
    stated = {id(other.relation) for other in facts if other.subject == fact.subject}
    return [
        relation
        for relation in RELATIONS
        if relation.subject == fact.relation.subject and id(relation) not in stated
    ]


def _unanswerable(vocabulary: Vocabulary, facts: list[Fact], fact: Fact) -> str:
    """Ask for an unstated relation of a known subject, or a stated relation of an unknown one."""
    if fact.relation is None:
        return describe(vocabulary).question
    unstated = _unstated(facts, fact)
    if unstated and vocabulary.rng.random() < 0.5:
        return state(vocabulary, vocabulary.rng.choice(unstated), fact.subject).question
    return state(vocabulary, fact.relation, draw_subject(vocabulary, fact.relation.subject)).question


def _passages(rng: Random, facts: list[Fact], shape: Shape) -> list[str]:
    count = rng.randint(1, min(shape.passages, len(facts)))
    cuts = sorted(rng.sample(range(1, len(facts)), count - 1))
    groups = [facts[start:end] for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True)]
    return [_passage(rng, group, markdown=shape.markdown) for group in groups]


def _passage(rng: Random, facts: list[Fact], *, markdown: bool) -> str:
    sentences = [fact.sentence for fact in facts]
    if not markdown or rng.random() < 0.6:
        return " ".join(sentences)
    title = facts[0].subject
    heading = f"{'#' * rng.randint(1, 3)} {title[0].upper()}{title[1:]}\n"
    if rng.random() < 0.5:
        return heading + " ".join(sentences)
    return heading + "\n".join(f"- {sentence}" for sentence in sentences)


def _roughen(rng: Random, question: str) -> str:
    """Write a question as hurried people do, now and then."""
    draw = rng.random()
    if draw < 0.08:
        return question.rstrip("?.")
    if draw < 0.16:
        return question[0].lower() + question[1:]
    return question
