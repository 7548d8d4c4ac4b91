"""Kinds of facts as free clauses: any verb in any tense, with any object and circumstances, asked for by any part.

"Visitors of Norvask will polish the lantern behind Tarrel for 45 euros.", "For how much will visitors of Norvask
polish the lantern behind Tarrel?" So many sentences and questions are possible that their wordings can't be learnt
by heart; what is left to learn is that a question is a statement with a part missing.
"""

from dataclasses import dataclass
from random import Random

from pipelines.training.chat.relations import Draw, Relation
from pipelines.training.chat.values import clock, code, count, date, measure, money, thing, year
from pipelines.training.chat.vocabulary import DAYS, Vocabulary, words_of
from pipelines.training.chat.words import adjectives, gerund, nouns, past, plural, present, verbs

_S, _V = "{s}", "{v}"
_PREPOSITIONS = words_of(
    "with for from to at under through against near by on into behind after before during without over across "
    "to with for at from"
)
_OPENINGS = (
    "In case of {noun},",
    "During the {noun},",
    "Since the {noun},",
    "On {day},",
    "Every {day}",
    "Since {year},",
    "To {verb} the {noun},",
    "After the {noun},",
    "Without a {noun},",
    "Before {gerund} the {noun},",
    "When the {noun} {verbs},",
    "As a rule,",
    "In {year},",
    "For {gerund} {nouns},",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb group cut in two: "will" and "carry"; `finite` is how it stands behind a subject that is asked for."""

    auxiliary: str
    rest: str
    finite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a clause as it is written, and the questions' words for it, with how its value is drawn."""

    written: str  # "for {v}", "{v}", "to the lantern"
    asked: tuple[str, ...]  # what stands before the auxiliary; `|` cuts what is left at the clause's end
    value: Draw
    direct: bool = False  # whether it is the verb's object


def clause_relation(vocabulary: Vocabulary, kind: str) -> Relation:
    """Make up a clause about subjects of a kind, of which one part is the value."""
    rng = vocabulary.rng
    make = rng.choice((_of_part, _of_part, _of_part, _of_part, _of_doer, _of_extent))
    return make(vocabulary, kind)


def _of_part(vocabulary: Vocabulary, kind: str) -> Relation:
    """Ask for the object, or for what follows a preposition."""
    rng = vocabulary.rng
    verb = _verb(vocabulary)
    doer = _doer(vocabulary)
    asked = rng.choice((_object, _object, _counted, _after_preposition, _after_preposition, _circumstance))(
        vocabulary
    )
    others = [_thing(vocabulary)] if not asked.direct and rng.random() < 0.65 else []
    late = [_phrase(vocabulary)] if rng.random() < 0.35 else []
    opening = f"{_opening(vocabulary)} " if rng.random() < 0.15 else ""
    rest = " ".join([verb.rest, *others])
    tail = "".join(f" {text}" for text in late)
    statement = f"{opening}{' '.join([doer, verb.finite, *others, asked.written])}{tail}."
    questions = []
    for words in asked.asked:
        front, _, left = words.partition("|")
        left = f" {left}" if left else ""
        questions.append(f"{front} {verb.auxiliary} {doer} {rest}{left}{tail}?")
    if opening:
        questions = [*questions, *(f"{opening}{text[0].lower()}{text[1:]}" for text in questions)]
    return Relation(subject=kind, value=asked.value, statements=(statement,), questions=tuple(questions))


def _of_doer(vocabulary: Vocabulary, kind: str) -> Relation:
    """Ask who or what does it."""
    rng = vocabulary.rng
    verb = _verb(vocabulary)
    whom = rng.choice((_S, f"the {_noun(vocabulary)} of {_S}", f"{_thing(vocabulary)} {_preposition(rng)} {_S}"))
    tail = f" {_phrase(vocabulary)}" if rng.random() < 0.4 else ""
    person = rng.random() < 0.6
    value: Draw = Vocabulary.person if person else rng.choice((thing, Vocabulary.name))
    who = "Who" if person else "What"
    return Relation(
        subject=kind,
        value=value,
        statements=(f"{_V} {verb.finite} {whom}{tail}.",),
        questions=(f"{who} {verb.finite} {whom}{tail}?", f"{who} {verb.finite} {whom}?"),
    )


def _of_extent(vocabulary: Vocabulary, kind: str) -> Relation:
    """Ask how much, how long, how far something is: "Parking near Norvask costs 3 euros per day."."""
    rng = vocabulary.rng
    what = rng.choice(
        (
            f"{gerund(_plain_verb(vocabulary)).capitalize()} {_preposition(rng)} {_S}",
            f"The {_noun(vocabulary)} {_preposition(rng)} {_S}",
            f"A {rng.choice(adjectives(vocabulary.split))} {_noun(vocabulary)} {_preposition(rng)} {_S}",
            f"The {_noun(vocabulary)} of {_S}",
            f"The {_noun(vocabulary)} that {_S} {present(_plain_verb(vocabulary))}",
        )
    )
    per = rng.choice(("", "", f" per {_noun(vocabulary)}", f" a {_noun(vocabulary)}", " at most", " on average"))
    asked = f"{what[0].lower()}{what[1:]}"
    draws: tuple[tuple[Draw, str, tuple[str, ...]], ...] = (
        (money, "costs", ("How much does {w} cost", "What does {w} cost", "How expensive is {w}")),
        (money, "is", ("How much is {w}", "What is the price of {w}")),
        (measure, "lasts", ("How long does {w} last", "For how long does {w} last")),
        (measure, "takes", ("How long does {w} take", "How much time does {w} take")),
        (measure, "weighs", ("How much does {w} weigh", "How heavy is {w}")),
        (measure, "is", ("How long is {w}", "How big is {w}", "How high is {w}", "How far is {w}")),
        (clock, "begins at", ("At what time does {w} begin", "At which hour does {w} begin")),
        (clock, "closes at", ("At what time does {w} close", "By when does {w} close")),
        (date, "is due by", ("By when is {w} due", "By which day is {w} due")),
        (date, "ends on", ("On which day does {w} end", "On what date does {w} end")),
        (measure, "expires after", ("After how long does {w} expire", "After what time does {w} expire")),
        (Vocabulary.name, "leads to", ("Where does {w} lead", "To what does {w} lead")),
        (code, "reads", ("What does {w} read",)),
        (Vocabulary.name, "reads", ("What does {w} read", "What does {w} say")),
    )
    value, verb, questions = rng.choice(draws)
    per = per if value in (money, measure) and verb != "expires after" else ""
    return Relation(
        subject=kind,
        value=value,
        statements=(f"{what} {verb} {_V}{per}.",),
        questions=tuple(f"{text.replace('{w}', asked)}{per if rng.random() < 0.7 else ''}?" for text in questions),
    )


def _object(vocabulary: Vocabulary) -> Part:
    """What is acted on: "{v}", or with a noun that the question names, "the engine {v}"."""
    rng = vocabulary.rng
    if rng.random() < 0.5:
        value: Draw = rng.choice((thing, thing, Vocabulary.name, Vocabulary.person, code))
        return Part(
            written=_V, asked=("Whom", "Who") if value is Vocabulary.person else ("What",), value=value, direct=True
        )
    noun = _noun(vocabulary)
    form = rng.choice((f"{noun} {_V}", f"the {noun} {_V}", f"the {noun} called {_V}", f"{_V} as its {noun}"))
    if form.startswith(_V):
        return Part(
            written=form, asked=(f"What|as its {noun}", f"Which {noun}"), value=Vocabulary.name, direct=True
        )
    value = rng.choice((code, Vocabulary.name, Vocabulary.number))
    return Part(written=form, asked=(f"Which {noun}", f"What {noun}"), value=value, direct=True)


def _counted(vocabulary: Vocabulary) -> Part:
    many = plural(_noun(vocabulary))
    return Part(written=f"{_V} {many}", asked=(f"How many {many}",), value=count, direct=True)


def _after_preposition(vocabulary: Vocabulary) -> Part:
    """What follows a preposition, which the question begins or ends with."""
    rng = vocabulary.rng
    word = _preposition(rng)
    noun = _noun(vocabulary)
    if rng.random() < 0.3:
        asked: tuple[str, ...] = (f"{word.capitalize()} which {noun}", f"Which {noun}|{word}")
        return Part(written=f"{word} the {noun} {_V}", asked=asked, value=rng.choice((code, Vocabulary.name)))
    if rng.random() < 0.5:
        asked = (f"{word.capitalize()} whom", f"Who|{word}", f"Whom|{word}")
        return Part(written=f"{word} {_V}", asked=asked, value=Vocabulary.person)
    asked = (f"{word.capitalize()} what", f"What|{word}")
    if word in ("to", "at", "near", "under", "behind"):
        asked = (*asked, "Where")
    return Part(written=f"{word} {_V}", asked=asked, value=rng.choice((thing, Vocabulary.name)))


def _circumstance(vocabulary: Vocabulary) -> Part:
    """A time, a price, a duration or a reason."""
    rng = vocabulary.rng
    choices = (
        Part(written=f"in {_V}", asked=("In which year", "In what year"), value=year),
        Part(written=f"on {_V}", asked=("On which day", "On what date"), value=date),
        Part(written=f"by {_V}", asked=("By when", "By which day"), value=date),
        Part(written=f"at {_V}", asked=("At what time", "At which hour"), value=clock),
        Part(written=f"for {_V}", asked=("For how much", "For what price"), value=money),
        Part(written=f"after {_V}", asked=("After how long", "After how much"), value=measure),
        Part(written=f"within {_V}", asked=("Within how much time", "Within what"), value=measure),
        Part(written=f"because of {_V}", asked=("Because of what", "Because of whom"), value=Vocabulary.name),
        Part(written=f"every {_V}", asked=("How often", "Every how many days"), value=measure),
    )
    return rng.choice(choices)


def _doer(vocabulary: Vocabulary) -> str:
    """The clause's subject: the fact's own, or something of it."""
    rng = vocabulary.rng
    noun = _noun(vocabulary)
    if rng.random() < 0.5:
        return _S
    return rng.choice(
        (
            f"the {noun} of {_S}",
            f"{_S}'s {noun}",
            f"every {noun} {rng.choice(('of', 'at', 'in', 'near', 'for'))} {_S}",
            f"the {rng.choice(adjectives(vocabulary.split))} {noun} of {_S}",
            f"nobody {rng.choice(('at', 'in', 'near'))} {_S}",
            f"the {noun} that {_S} {past(_plain_verb(vocabulary))}",
        )
    )


def _verb(vocabulary: Vocabulary) -> Verb:
    rng = vocabulary.rng
    plain = _plain_verb(vocabulary)
    if rng.random() < 0.12:
        plain = f"{rng.choice(('always', 'never', 'often', 'rarely', 'first', 'still'))} {plain}"
        adverb, _, verb = plain.partition(" ")
        return Verb(auxiliary="did", rest=plain, finite=f"{adverb} {past(verb)}")
    draw = rng.random()
    if draw < 0.32:
        return Verb(auxiliary="did", rest=plain, finite=past(plain))
    if draw < 0.56:
        return Verb(auxiliary="does", rest=plain, finite=present(plain))
    if draw < 0.72:
        modal = rng.choice(("will", "must", "can", "should", "may", "could", "would"))
        return Verb(auxiliary=modal, rest=plain, finite=f"{modal} {plain}")
    if draw < 0.82:
        return Verb(auxiliary="has", rest=past(plain), finite=f"has {past(plain)}")
    if draw < 0.9:
        auxiliary = rng.choice(("is", "was"))
        return Verb(auxiliary=auxiliary, rest=gerund(plain), finite=f"{auxiliary} {gerund(plain)}")
    auxiliary = rng.choice(("is", "was"))
    return Verb(auxiliary=auxiliary, rest=past(plain), finite=f"{auxiliary} {past(plain)}")


def _thing(vocabulary: Vocabulary) -> str:
    rng = vocabulary.rng
    article = rng.choice(("the", "the", "its", "a", "an old", "every"))
    return f"{article} {_noun(vocabulary)}"


def _phrase(vocabulary: Vocabulary) -> str:
    """A preposition with something that is not asked for."""
    rng = vocabulary.rng
    if rng.random() < 0.3:
        return rng.choice(("any more", "twice a year", "in winter", "every day", "at night", "most", "by hand"))
    return f"{_preposition(rng)} {_thing(vocabulary)}"


def _opening(vocabulary: Vocabulary) -> str:
    rng = vocabulary.rng
    verb = _plain_verb(vocabulary)
    return rng.choice(_OPENINGS).format(
        noun=_noun(vocabulary),
        nouns=plural(_noun(vocabulary)),
        day=rng.choice(DAYS),
        year=year(vocabulary),
        verb=verb,
        verbs=present(verb),
        gerund=gerund(verb),
    )


def _preposition(rng: Random) -> str:
    return rng.choice(_PREPOSITIONS)


def _noun(vocabulary: Vocabulary) -> str:
    return vocabulary.rng.choice(nouns(vocabulary.split))


def _plain_verb(vocabulary: Vocabulary) -> str:
    return vocabulary.rng.choice(verbs(vocabulary.split))
