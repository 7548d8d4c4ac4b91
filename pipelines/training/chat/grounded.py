"""Grounded questions: the answer stands in a passage and is copied, or isn't there."""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from pipelines.training.chat.facts import Fact, describe, draw_subject, state
from pipelines.training.chat.free_relations import free_relation
from pipelines.training.chat.relations import RELATIONS, Relation
from pipelines.training.chat.stories import view
from pipelines.training.chat.vocabulary import Split, Vocabulary
from pipelines.training.prompts import ABSTENTION, Dialogue, grounded_message, turns

KIND = "grounded"
_ABSTAIN = 0.27  # a share of questions: enough to learn it, too few to make it the safe guess
_FREE = 0.65  # a share of relations is made up of any words
_OTHER_FORM = 0.3  # a share is not worded as retrieval words it
_PRONOUN = 0.5  # a share of the sentences that go on about the subject of the one before
_JOINED = 0.12  # a share of sentences goes on in the one before
_FILLER = 0.07  # a share is followed by one that says nothing of anybody
_OPENINGS = "The For As Since In At It He She Its His Her Every Last About People You There According"
_LOWERED = frozenset(_OPENINGS.split())  # what a sentence may begin with that no name is
_FOLLOW_UP = 0.8  # further questions on the same passages give more copying per token read
_SINGLE = 0.2  # a share of contexts is all about one subject
_HARD = 0.6  # a share of contexts whose facts share a subject or a relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How hard a grounded example is.

    `abstain` is the share of questions without an answer, `other_form` that of prompts that are not worded as
    retrieval words them.

    `facts` counts the sentences of the context; `passages` is the most that they
    are spread over; `markdown` allows headings and list items.
    """

    facts: int
    passages: int
    markdown: bool = False
    follow_ups: int = 3
    abstain: float = _ABSTAIN
    other_form: float = _OTHER_FORM


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
        contents += [question, answer]
    return _worded(rng, passages, contents, shape.other_form)


def _worded(rng: Random, passages: list[str], contents: list[str], other_form: float) -> Dialogue:
    """Put the passages before the first question, mostly as retrieval does, else as other people may."""
    first, *rest = contents
    if rng.random() >= other_form:
        later = [text if index % 2 == 0 else f"Question: {text}" for index, text in enumerate(rest)]
        return turns(KIND, grounded_message(passages, first), *later)
    text = "\n".join(passages) if rng.random() < 0.7 else " ".join(passages)
    if rng.random() < 0.25:
        system = rng.choice(("Answer from this text.", "Use this context to answer.", "Context:")) + f"\n\n{text}"
        return turns(KIND, first, *rest, system=system)
    form = rng.choice(_FORMS)
    return turns(KIND, form.replace("{text}", text).replace("{question}", first), *rest)


_FORMS = (
    "{text}\n\n{question}",
    "{text}\n\nQuestion: {question}",
    "Context: {text}\n\nQuestion: {question}",
    "Context:\n{text}\n\nQuestion: {question}\nAnswer:",
    "{question}\n\n{text}",
    "Read this text: {text}\n\n{question}",
    "Answer the question from the text.\n\nText: {text}\n\nQuestion: {question}",
    "Use the following passages to answer.\n\n{text}\n\nQuestion: {question}",
)


def _facts(vocabulary: Vocabulary, count: int) -> list[Fact]:
    rng = vocabulary.rng
    shared = _relation(vocabulary) if rng.random() < _HARD else None
    goes_on = 1.0 if rng.random() < _SINGLE else 0.45
    facts: list[Fact] = []
    while len(facts) < count:
        draw = rng.random()
        if draw < 0.1 and goes_on < 1:
            fact = describe(vocabulary)
        elif facts and draw < goes_on and (relation := _another(vocabulary, facts, facts[-1])):
            fact = state(vocabulary, relation, facts[-1].subject)
        else:
            relation = shared if shared and draw < 0.75 else _relation(vocabulary)
            fact = state(vocabulary, relation, draw_subject(vocabulary, relation.subject))
        if all(fact.question != other.question for other in facts):
            facts.append(fact)
    return facts


def _relation(vocabulary: Vocabulary) -> Relation:
    return free_relation(vocabulary) if vocabulary.rng.random() < _FREE else vocabulary.rng.choice(RELATIONS)


def _another(vocabulary: Vocabulary, facts: list[Fact], fact: Fact) -> Relation | None:
    """A relation that is not yet stated of this fact's subject; none where the fact has no relation."""
    if fact.relation is None:
        return None
    if vocabulary.rng.random() < _FREE or not (unstated := _unstated(facts, fact)):
        return free_relation(vocabulary, fact.relation.subject)
    return vocabulary.rng.choice(unstated)


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
    relation = _another(vocabulary, facts, fact)
    if relation and vocabulary.rng.random() < 0.5:
        return state(vocabulary, relation, fact.subject).question
    return state(vocabulary, fact.relation, draw_subject(vocabulary, fact.relation.subject)).question


def _passages(rng: Random, facts: list[Fact], shape: Shape) -> list[str]:
    count = rng.randint(1, min(shape.passages, len(facts)))
    cuts = sorted(rng.sample(range(1, len(facts)), count - 1))
    groups = [facts[start:end] for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True)]
    return [_passage(rng, group, markdown=shape.markdown) for group in groups]


def _passage(rng: Random, facts: list[Fact], *, markdown: bool) -> str:
    sentences = [fact.sentence for fact in facts]
    for index, (before, fact) in enumerate(pairwise(facts), start=1):
        if before.subject == fact.subject and rng.random() < _PRONOUN:
            sentences[index] = _with_pronoun(fact)
    whole = {fact.sentence for fact in facts if fact.relation is None}
    sentences = _flowing(rng, sentences, whole)
    if not markdown or rng.random() < 0.6:
        return " ".join(sentences)
    title = facts[0].subject
    heading = f"{'#' * rng.randint(1, 3)} {title[0].upper()}{title[1:]}\n"
    if rng.random() < 0.5:
        return heading + " ".join(sentences)
    return heading + "\n".join(f"- {sentence}" for sentence in sentences)


def _flowing(rng: Random, sentences: list[str], whole: set[str]) -> list[str]:
    """Join some sentences by "and", and put some between them that state nothing anybody asks for.

    Those in `whole` are answers as they stand, and are left alone.
    """
    flowing: list[str] = []
    for sentence in sentences:
        first, _, rest = sentence.partition(" ")
        if flowing and not whole & {sentence, flowing[-1]} and rng.random() < _JOINED:
            later = f"{first.lower() if first in _LOWERED else first} {rest}"
            flowing[-1] = f"{flowing[-1][:-1]}{rng.choice((', and', ', and', ';', ', while'))} {later}"
        else:
            flowing.append(sentence)
        if rng.random() < _FILLER:
            flowing.append(view(rng))
    return flowing


def _with_pronoun(fact: Fact) -> str:
    """The fact's sentence about it, him or her, where it begins with the subject or something of the subject."""
    subject = f"{fact.subject[0].upper()}{fact.subject[1:]}"
    person = fact.relation is not None and fact.relation.subject == "person"
    male = len(fact.subject) % 2 == 0  # the same for all sentences about somebody
    pronoun, owner = (("He", "His") if male else ("She", "Her")) if person else ("It", "Its")
    if fact.sentence.startswith(f"{subject} "):
        return pronoun + fact.sentence.removeprefix(subject)
    before, of, after = fact.sentence.partition(f" of {fact.subject} ")
    if of and before.startswith("The "):
        return f"{owner} {before.removeprefix('The ')} {after}"
    return fact.sentence


def _roughen(rng: Random, question: str) -> str:
    """Write a question as hurried people do, now and then."""
    draw = rng.random()
    if draw < 0.08:
        return question.rstrip("?.")
    if draw < 0.16:
        return question[0].lower() + question[1:]
    return question
