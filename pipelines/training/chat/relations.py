"""The kinds of facts: how each is stated and asked for.

A relation has several wordings of its statement and of its question, so that a
model learns to match meanings and not one sentence. `{s}` is the subject and `{v}`
the value, which always stands verbatim in the statement.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.training.chat.vocabulary import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    DAYS,
    FOODS,
    INSTRUMENTS,
    JOBS,
    MATERIALS,
    MONTHS,
    OBJECTS,
    PLACES,
    Vocabulary,
    with_article,
)

Draw = Callable[[Vocabulary], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One kind of fact: how subjects and values are drawn, stated and asked for."""

    subject: str
    value: Draw
    statements: tuple[str, ...]
    questions: tuple[str, ...]


def _of(words: list[str]) -> Draw:
    return lambda vocabulary: vocabulary.pick(words)


def _a(words: list[str]) -> Draw:
    return lambda vocabulary: with_article(vocabulary.pick(words))


def _year(vocabulary: Vocabulary) -> str:
    return str(vocabulary.rng.randint(1700, 2029))


def _date(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.rng.randint(1, 28)} {vocabulary.pick(MONTHS)}"


def _span(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.rng.randint(2, 90)} {vocabulary.pick(['seconds', 'minutes', 'hours', 'days', 'weeks'])}"


def _weight(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.number(1, 4)} {vocabulary.pick(['kilograms', 'grams', 'tonnes'])}"


def _thing(vocabulary: Vocabulary) -> str:
    return with_article(vocabulary.thing())


def whereabouts(vocabulary: Vocabulary) -> str:
    """Choose a place with a preposition, such as "near the old mill"."""
    preposition = vocabulary.pick(["in", "near", "behind", "under"])
    return f"{preposition} the {vocabulary.pick(ADJECTIVES)} {vocabulary.pick(PLACES)}"


def _relation(subject: str, value: Draw, statements: str, questions: str) -> Relation:
    return Relation(
        subject=subject,
        value=value,
        statements=tuple(statements.split(" | ")),
        questions=tuple(questions.split(" | ")),
    )


_NAME: Draw = Vocabulary.name
_PERSON: Draw = Vocabulary.person

RELATIONS: tuple[Relation, ...] = (
    _relation(
        "person",
        _NAME,
        "{s} lives in {v}. | The home of {s} is in {v}. | {s} has lived in {v} for years.",
        "Where does {s} live? | In which town does {s} live?",
    ),
    _relation(
        "person",
        _NAME,
        "{s} was born in {v}. | The birthplace of {s} is {v}.",
        "Where was {s} born? | What is the birthplace of {s}?",
    ),
    _relation(
        "person",
        _a(JOBS),
        "{s} is {v}. | {s} works as {v}. | {s} has always been {v}.",
        "What is {s}'s job? | What does {s} work as? | What is the job of {s}?",
    ),
    _relation(
        "person",
        _a(ANIMALS),
        "{s} has {v}. | {s} keeps {v}. | The pet of {s} is {v}.",
        "What pet does {s} have? | Which animal does {s} keep?",
    ),
    _relation(
        "person",
        _of(FOODS),
        "{s} likes to eat {v}. | The favourite food of {s} is {v}. | {s} likes {v} best.",
        "What does {s} like to eat? | What is the favourite food of {s}?",
    ),
    _relation(
        "person",
        _of(COLOURS),
        "The favourite colour of {s} is {v}. | {s} always wears {v}.",
        "What is the favourite colour of {s}? | Which colour does {s} like?",
    ),
    _relation(
        "person",
        _of(INSTRUMENTS),
        "{s} plays the {v}. | {s} learnt to play the {v}.",
        "What does {s} play? | Which instrument does {s} play?",
    ),
    _relation("person", _thing, "{s} bought {v}. | Last week {s} bought {v}.", "What did {s} buy?"),
    _relation(
        "person",
        _PERSON,
        "{s} is married to {v}. | {v} is married to {s}.",
        "Who is married to {s}? | Who is {s} married to?",
    ),
    _relation(
        "person",
        _PERSON,
        "The teacher of {s} is {v}. | {v} teaches {s}.",
        "Who teaches {s}? | Who is the teacher of {s}?",
    ),
    _relation(
        "person",
        _of(DAYS),
        "{s} arrives on {v}. | {s} will come on {v}.",
        "When does {s} arrive? | On which day will {s} come?",
    ),
    _relation(
        "person",
        lambda v: v.number(2, 2),
        "{s} is {v} years old. | At {v}, {s} is the oldest.",
        "How old is {s}? | What is the age of {s}?",
    ),
    _relation(
        "town",
        _PERSON,
        "The mayor of {s} is {v}. | {v} is the mayor of {s}.",
        "Who is the mayor of {s}? | Who leads {s}?",
    ),
    _relation(
        "town", _PERSON, "{s} was founded by {v}. | {v} founded {s}.", "Who founded {s}? | By whom was {s} founded?"
    ),
    _relation(
        "town",
        _year,
        "{s} was founded in {v}. | People have lived in {s} since {v}.",
        "When was {s} founded? | In which year was {s} founded?",
    ),
    _relation(
        "town",
        lambda v: v.number(3, 5),
        "{s} has {v} people. | The population of {s} is {v}. | About {v} people live in {s}.",
        "How many people live in {s}? | What is the population of {s}?",
    ),
    _relation(
        "town",
        lambda v: "the " + v.name(),
        "{s} lies on {v}. | The river of {s} is {v}.",
        "Which river is {s} on? | What is the river of {s}?",
    ),
    _relation(
        "town",
        _of(DAYS),
        "The market of {s} is on {v}. | In {s} the market opens on {v}.",
        "When is the market of {s}? | On which day is the market in {s}?",
    ),
    _relation(
        "town",
        _of(FOODS),
        "{s} is known for its {v}. | {s} is famous for {v}.",
        "What is {s} known for? | What is {s} famous for?",
    ),
    _relation(
        "town", _NAME, "{s} is the capital of {v}. | The capital of {v} is {s}.", "Of what is {s} the capital?"
    ),
    _relation(
        "device",
        lambda v: v.number(4, 4),
        "{s} listens on port {v}. | The port of {s} is {v}. | {s} uses port {v}.",
        "What port does {s} use? | Which port does {s} listen on? | What is the port of {s}?",
    ),
    _relation(
        "device",
        Vocabulary.code,
        "The code of {s} is {v}. | {s} has the code {v}.",
        "What is the code of {s}? | Which code does {s} have?",
    ),
    _relation(
        "device",
        _PERSON,
        "{s} was invented by {v}. | {v} invented {s}. | {s} is the work of {v}.",
        "Who invented {s}? | Who made {s}?",
    ),
    _relation(
        "device",
        _of(MATERIALS),
        "{s} is made of {v}. | {s} is built from {v}.",
        "What is {s} made of? | What is {s} built from?",
    ),
    _relation(
        "device", _span, "{s} takes {v} to start. | It takes {s} {v} to start.", "How long does {s} take to start?"
    ),
    _relation(
        "device",
        _span,
        "{s} keeps its logs for {v}. | The logs of {s} are kept for {v}.",
        "How long does {s} keep its logs? | How long are the logs of {s} kept?",
    ),
    _relation(
        "device",
        _weight,
        "{s} weighs {v}. | The weight of {s} is {v}.",
        "How much does {s} weigh? | What is the weight of {s}?",
    ),
    _relation(
        "device",
        lambda v: f"{v.rng.randint(0, 9)}.{v.rng.randint(0, 30)}",
        "The version of {s} is {v}. | {s} is at version {v}.",
        "What is the version of {s}? | Which version is {s} at?",
    ),
    _relation(
        "device", whereabouts, "{s} stands {v}. | {s} is kept {v}.", "Where is {s} kept? | Where does {s} stand?"
    ),
    _relation(
        "device",
        lambda v: f"{v.number(1, 3)} {v.pick(['watts', 'volts', 'GB', 'MB', 'litres'])}",
        "{s} needs {v}. | {s} uses up to {v}.",
        "How much does {s} need? | How much does {s} use?",
    ),
    _relation(
        "company",
        _NAME,
        "{s} has its office in {v}. | The office of {s} is in {v}.",
        "Where is the office of {s}? | Where does {s} have its office?",
    ),
    _relation(
        "company",
        _PERSON,
        "{s} is led by {v}. | The head of {s} is {v}. | {v} leads {s}.",
        "Who leads {s}? | Who is the head of {s}?",
    ),
    _relation(
        "company",
        lambda v: v.pick(OBJECTS) + "s",
        "{s} makes {v}. | {s} sells {v}. | The company {s} builds {v}.",
        "What does {s} make? | What does {s} sell?",
    ),
    _relation(
        "company",
        _date,
        "{s} pays its staff on {v}. | The holiday of {s} begins on {v}.",
        "What date is given for {s}?",
    ),
    _relation(
        "company",
        lambda v: v.number(2, 4),
        "{s} has {v} workers. | {v} people work at {s}.",
        "How many people work at {s}? | How many workers does {s} have?",
    ),
    _relation(
        "company", _NAME, "{s} was bought by {v}. | {v} bought {s}.", "Who bought {s}? | By whom was {s} bought?"
    ),
)
