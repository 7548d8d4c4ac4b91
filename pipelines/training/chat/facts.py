"""Facts about invented things, and the questions they answer."""

from dataclasses import dataclass

from pipelines.training.chat.relations import Relation, whereabouts
from pipelines.training.chat.vocabulary import ADJECTIVES, ADVERBS, OBJECTS, VERBS, Vocabulary, with_article
from pipelines.training.chat.words import adjectives, nouns


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One stated fact: the sentence, a question, and the answer that the sentence holds."""

    subject: str
    relation: Relation | None
    sentence: str
    question: str
    answer: str


_SUBJECTS: dict[str, tuple[str, ...]] = {
    "person": ("{p}",) * 8 + ("Dr. {n}", "Captain {n}", "Professor {p}", "Mrs. {n}"),
    "town": ("{n}",) * 8 + ("Lake {n}", "Mount {n}", "Port {n}", "New {n}", "{n} Island", "{A} {N}"),
    "device": (
        *("{n}",) * 4,
        *("the {n} {o}",) * 4,
        *("the {n} {w}",) * 4,
        *("the {a} {w}",) * 2,
        "the {o}",
        "Project {N}",
        "Project {n}",
        "the {c} {o}",
        "the {w} of {n}",
    ),
    "company": ("{n}",) * 6
    + ("{n} Works", "{n} Limited", "{n} and Sons", "{A} {N}", "the {N} {N2}", "the {n} {N}"),
}


def draw_subject(vocabulary: Vocabulary, kind: str) -> str:
    """Invent a subject of a kind: person, town, device or company.

    Raises:
        KeyError: for another kind.
    """
    rng, split = vocabulary.rng, vocabulary.split
    word = rng.choice(nouns(split))
    return rng.choice(_SUBJECTS[kind]).format(
        p=vocabulary.person(),
        n=vocabulary.name(),
        o=vocabulary.pick(OBJECTS),
        w=word,
        a=rng.choice(adjectives(split)),
        c=vocabulary.code(),
        A=rng.choice(adjectives(split)).capitalize(),
        N=word.capitalize(),
        N2=rng.choice(nouns(split)).capitalize(),
    )


def state(vocabulary: Vocabulary, relation: Relation, subject: str) -> Fact:
    """State a relation of a subject with a new value."""
    value = relation.value(vocabulary)
    sentence = vocabulary.rng.choice(relation.statements).format(s=subject, v=value)
    sentence = sentence[0].upper() + sentence[1:]
    question = vocabulary.rng.choice(relation.questions).format(s=subject)
    # As it stands there: a value that begins the sentence has its capital.
    answer = value if value in sentence else value[0].upper() + value[1:]
    return Fact(subject=subject, relation=relation, sentence=sentence, question=question, answer=answer)


def describe(vocabulary: Vocabulary) -> Fact:
    """State something whose answer is its whole sentence, asked for by its topic."""
    rng = vocabulary.rng
    if rng.random() < 0.5:
        topic = vocabulary.name()
        kind = rng.choice(("tool", "service", "place", "machine", "method", "game", "plant", "part"))
        purpose = f"{vocabulary.pick(VERBS)} {_object(vocabulary)}"
        sentence = f"{topic} is {with_article(vocabulary.pick(ADJECTIVES))} {kind} that {purpose}."
        questions = (f"What is {topic}?", f"What do the passages say about {topic}?", f"Tell me about {topic}.")
    else:
        topic = f"the {vocabulary.thing()}"
        verb = vocabulary.pick(VERBS)
        ending = rng.choice(("", f" {vocabulary.pick(ADVERBS)}", f" {whereabouts(vocabulary)}"))
        sentence = f"{topic.capitalize()} {verb} {_object(vocabulary)}{ending}."
        questions = (
            f"What do the passages say about {topic}?",
            f"What does {topic} do?",
            f"Tell me about {topic}.",
        )
    return Fact(subject=topic, relation=None, sentence=sentence, question=rng.choice(questions), answer=sentence)


def _object(vocabulary: Vocabulary) -> str:
    draw = vocabulary.rng.random()
    if draw < 0.3:
        return f"the {vocabulary.name()} {vocabulary.pick(OBJECTS)}"
    if draw < 0.6:
        return f"the {vocabulary.thing()}"
    return f"{vocabulary.pick(ADJECTIVES)} {vocabulary.pick(OBJECTS)}s"
