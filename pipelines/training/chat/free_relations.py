"""Kinds of facts made up on the spot from common words, so that no list of them can be learnt by heart.

`relations.py` holds those with wordings of their own; these share a few dozen wordings, and have any noun or verb
in them: "The freight tariff of Norvask is 45 euros.", "What is the freight tariff of Norvask?"
"""

from collections.abc import Callable
from random import Random

from pipelines.training.chat.clauses import clause_relation
from pipelines.training.chat.relations import Relation, whereabouts
from pipelines.training.chat.values import any_value, count, money, when
from pipelines.training.chat.vocabulary import OBJECTS, Vocabulary, with_article
from pipelines.training.chat.words import adjectives, gerund, nouns, past, plural, present, verbs

_CLAUSES = 0.45  # a share of relations is a clause of any words
SUBJECTS = ("person", "town", "device", "company")

_ATTRIBUTE_STATEMENTS = (
    "The {a} of {s} is {v}.",
    "The {a} of {s} is {v}.",
    "{s} has the {a} {v}.",
    "For {s}, the {a} is {v}.",
    "{v} is the {a} of {s}.",
    "The {a} for {s} is {v}.",
    "As its {a}, {s} has {v}.",
    "{s} uses {v} as its {a}.",
    "The {a} of {s} was set to {v}.",
    "Since last year the {a} of {s} has been {v}.",
    "{s}: {a} {v}.",
    "According to the records, the {a} of {s} is {v}.",
)
_ATTRIBUTE_QUESTIONS = (
    "What is the {a} of {s}?",
    "What is the {a} of {s}?",
    "What's the {a} of {s}?",
    "What is {s}'s {a}?",
    "What {a} does {s} have?",
    "Which {a} does {s} have?",
    "What is the {a} for {s}?",
    "Tell me the {a} of {s}.",
    "Name the {a} of {s}.",
    "Do you know the {a} of {s}?",
    "{s}: what is the {a}?",
)


def free_relation(vocabulary: Vocabulary, subject: str | None = None) -> Relation:
    """Make up a relation, for subjects of a kind if one is given."""
    kind = subject or vocabulary.rng.choice(SUBJECTS)
    make = clause_relation if vocabulary.rng.random() < _CLAUSES else vocabulary.rng.choice(_MAKERS)
    return make(vocabulary, kind)


def _attribute(vocabulary: Vocabulary, kind: str) -> Relation:
    rng = vocabulary.rng
    noun = rng.choice(nouns(vocabulary.split))
    draw = rng.random()
    if draw < 0.3:
        noun = f"{rng.choice(adjectives(vocabulary.split))} {noun}"
    elif draw < 0.5:
        noun = f"{rng.choice(nouns(vocabulary.split))} {noun}"
    statements = tuple(text.replace("{a}", noun) for text in _ATTRIBUTE_STATEMENTS)
    questions = tuple(text.replace("{a}", noun) for text in _ATTRIBUTE_QUESTIONS)
    return Relation(subject=kind, value=any_value, statements=statements, questions=questions)


def _action(vocabulary: Vocabulary, kind: str) -> Relation:
    verb = vocabulary.rng.choice(verbs(vocabulary.split))
    if vocabulary.rng.random() < 0.5:
        return Relation(
            subject=kind,
            value=something,
            statements=(f"{{s}} {present(verb)} {{v}}.", f"Every day {{s}} {present(verb)} {{v}}."),
            questions=(f"What does {{s}} {verb}?", f"Tell me what {{s}} {present(verb)}."),
        )
    return Relation(
        subject=kind,
        value=something,
        statements=(f"{{s}} {past(verb)} {{v}}.", f"Last year {{s}} {past(verb)} {{v}}."),
        questions=(f"What did {{s}} {verb}?", f"What was it that {{s}} {past(verb)}?"),
    )


def _agent(vocabulary: Vocabulary, kind: str) -> Relation:
    verb = past(vocabulary.rng.choice(verbs(vocabulary.split)))
    return Relation(
        subject=kind,
        value=Vocabulary.person,
        statements=(f"{{s}} was {verb} by {{v}}.", f"{{v}} {verb} {{s}}.", f"It was {{v}} who {verb} {{s}}."),
        questions=(f"Who {verb} {{s}}?", f"By whom was {{s}} {verb}?", f"Who was it that {verb} {{s}}?"),
    )


def _time(vocabulary: Vocabulary, kind: str) -> Relation:
    verb = past(vocabulary.rng.choice(verbs(vocabulary.split)))
    return Relation(
        subject=kind,
        value=when,
        statements=(f"{{s}} was {verb} {{v}}.", f"{{s}} was first {verb} {{v}}."),
        questions=(f"When was {{s}} {verb}?", f"When was {{s}} first {verb}?"),
    )


def _place(vocabulary: Vocabulary, kind: str) -> Relation:
    verb = past(vocabulary.rng.choice(verbs(vocabulary.split)))

    def value(drawn: Vocabulary) -> str:
        return f"in {drawn.name()}" if drawn.rng.random() < 0.5 else whereabouts(drawn)

    return Relation(
        subject=kind,
        value=value,
        statements=(f"{{s}} was {verb} {{v}}.", f"{{s}} is always {verb} {{v}}."),
        questions=(f"Where was {{s}} {verb}?", f"Where is {{s}} {verb}?"),
    )


def _number(vocabulary: Vocabulary, kind: str) -> Relation:
    many = plural(vocabulary.rng.choice(nouns(vocabulary.split)))
    return Relation(
        subject=kind,
        value=count,
        statements=(f"{{s}} has {{v}} {many}.", f"There are {{v}} {many} in {{s}}.", f"{{s}} holds {{v}} {many}."),
        questions=(
            f"How many {many} does {{s}} have?",
            f"How many {many} are there in {{s}}?",
            f"What number of {many} does {{s}} have?",
        ),
    )


def _price(vocabulary: Vocabulary, kind: str) -> Relation:
    del vocabulary
    return Relation(
        subject=kind,
        value=money,
        statements=("{s} costs {v}.", "The price of {s} is {v}.", "You pay {v} for {s}.", "{s} is sold for {v}."),
        questions=(
            "How much does {s} cost?",
            "What does {s} cost?",
            "What is the price of {s}?",
            "How expensive is {s}?",
        ),
    )


def _purpose(vocabulary: Vocabulary, kind: str) -> Relation:
    del vocabulary

    def value(drawn: Vocabulary) -> str:
        return f"{gerund(drawn.rng.choice(verbs(drawn.split)))} {plural(drawn.rng.choice(nouns(drawn.split)))}"

    return Relation(
        subject=kind,
        value=value,
        statements=("{s} is used for {v}.", "{s} is known for {v}.", "People use {s} for {v}."),
        questions=("What is {s} used for?", "What is {s} for?", "What do people use {s} for?"),
    )


def something(vocabulary: Vocabulary) -> str:
    """Draw something that one can act on: "the Norvask pump", "a brittle candle", "lanterns"."""
    rng: Random = vocabulary.rng
    draw = rng.random()
    noun = rng.choice(nouns(vocabulary.split)) if draw < 0.8 else vocabulary.pick(OBJECTS)
    if draw < 0.25:
        return f"the {vocabulary.name()} {noun}"
    if draw < 0.5:
        return with_article(f"{rng.choice(adjectives(vocabulary.split))} {noun}")
    if draw < 0.65:
        return plural(noun)
    return f"the {noun}"


_MAKERS: tuple[Callable[[Vocabulary, str], Relation], ...] = (
    *[_attribute] * 9,
    *[_action] * 3,
    *[_agent] * 2,
    *[_time] * 2,
    _place,
    *[_number] * 2,
    _price,
    _purpose,
)
