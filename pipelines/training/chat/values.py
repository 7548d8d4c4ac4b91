"""What facts state of their subjects: numbers, dates, names, codes, addresses and things.

An answer is such a value, copied; so their forms are those that real documents hold.
"""

from collections.abc import Callable

from pipelines.training.chat.vocabulary import (
    ADJECTIVES,
    COLOURS,
    MATERIALS,
    MONTHS,
    Vocabulary,
    with_article,
    words_of,
)
from pipelines.training.chat.words import adjectives, nouns

_UNITS = words_of(
    "metres kilometres centimetres millimetres miles feet inches hours minutes seconds days weeks months "
    "years kilograms grams tonnes pounds litres watts volts amps degrees GB MB kB percent euros dollars "
    "points pages rooms seats steps users workers requests tokens bytes hectares knots"
)
_SMALL = words_of("one two three four five six seven eight nine ten eleven twelve")


def year(vocabulary: Vocabulary) -> str:
    """Draw a year such as 1871."""
    return str(vocabulary.rng.randint(1700, 2039))


def date(vocabulary: Vocabulary) -> str:
    """Draw a date such as 4 March, March 4 or 4 March 1871."""
    rng = vocabulary.rng
    day, month = rng.randint(1, 28), vocabulary.pick(MONTHS)
    form = rng.choice(("{d} {m}", "{m} {d}", "{d} {m} {y}", "{m} {d}, {y}", "{m} {y}"))
    return form.format(d=day, m=month, y=year(vocabulary))


def clock(vocabulary: Vocabulary) -> str:
    """Draw a time of day such as 7:30 or 19:05."""
    rng = vocabulary.rng
    return f"{rng.randint(0, 23)}:{rng.choice(range(0, 60, 5)):02}" + rng.choice(("", "", " a.m.", " p.m."))


def when(vocabulary: Vocabulary) -> str:
    """Draw a time with its preposition, such as "in 1871"."""
    draw = vocabulary.rng.random()
    if draw < 0.5:
        return f"in {year(vocabulary)}"
    return f"on {date(vocabulary)}" if draw < 0.8 else f"at {clock(vocabulary)}"


def measure(vocabulary: Vocabulary) -> str:
    """Draw an amount with its unit, such as "45 metres" or "2.5 GB"."""
    rng = vocabulary.rng
    return f"{number(vocabulary)} {rng.choice(_UNITS)}"


def money(vocabulary: Vocabulary) -> str:
    """Draw a price such as "45 euros" or "$12.50"."""
    rng = vocabulary.rng
    if rng.random() < 0.5:
        return f"{number(vocabulary)} {rng.choice(('euros', 'dollars', 'pounds', 'crowns', 'cents'))}"
    return rng.choice("$€£") + (
        str(rng.randint(1, 999)) if rng.random() < 0.5 else f"{rng.randint(0, 99)}.{rng.randint(0, 99):02}"
    )


def number(vocabulary: Vocabulary) -> str:
    """Draw a number of one to five digits, with a comma or a point now and then."""
    rng = vocabulary.rng
    draw = rng.random()
    if draw < 0.7:
        return vocabulary.number(1, 5)
    if draw < 0.85:
        return f"{rng.randint(0, 99)}.{rng.randint(0, 99)}"
    return f"{rng.randint(1, 99)},{rng.randint(0, 999):03}"


def count(vocabulary: Vocabulary) -> str:
    """Draw a whole number, in digits or a word."""
    return vocabulary.rng.choice(_SMALL) if vocabulary.rng.random() < 0.3 else vocabulary.number(1, 4)


def code(vocabulary: Vocabulary) -> str:
    """Draw an identifier: KV-4821, 7f3a-09, AX12B, v2.14.3."""
    rng = vocabulary.rng
    form = rng.choice(("A-N", "A-N", "A-N", "AN", "N-A", "X-X", "vN.N.N", "#N", "A/N"))
    return "".join(_CODE_PARTS.get(part, lambda _, part=part: part)(vocabulary) for part in form)


def address(vocabulary: Vocabulary) -> str:
    """Draw a host, a path, an e-mail address or an IP address."""
    rng = vocabulary.rng
    name = vocabulary.name().lower()
    form = rng.choice(("{n}.example.org", "/etc/{n}.conf", "{m}@{n}.org", "10.{a}.{b}.{c}", "{n}-{a}", "{n}_{m}"))
    numbers = {key: rng.randint(0, 255) for key in "abc"}
    return form.format(n=name, m=vocabulary.name().lower(), **numbers)


def thing(vocabulary: Vocabulary) -> str:
    """Draw a thing with its article and an adjective, of the many words."""
    rng = vocabulary.rng
    noun = rng.choice(nouns(vocabulary.split))
    draw = rng.random()
    if draw < 0.4:
        return with_article(f"{rng.choice(adjectives(vocabulary.split))} {noun}")
    return with_article(noun) if draw < 0.7 else noun


def title(vocabulary: Vocabulary) -> str:
    """Draw a title such as "the Silver Anchor"."""
    rng = vocabulary.rng
    first = rng.choice((*ADJECTIVES, *COLOURS, *MATERIALS)).capitalize()
    words = f"{first} {rng.choice(nouns(vocabulary.split)).capitalize()}"
    return f"the {words}" if rng.random() < 0.5 else words


def pair(vocabulary: Vocabulary) -> str:
    """Draw two things of one kind: "Osk and Tarrel", "red and blue"."""
    draw = vocabulary.rng.choice((Vocabulary.name, thing, lambda drawn: drawn.pick(COLOURS)))
    return f"{draw(vocabulary)} and {draw(vocabulary)}"


def any_value(vocabulary: Vocabulary) -> str:
    """Draw a value of any kind."""
    return vocabulary.rng.choice(_VALUES)(vocabulary)


_CODE_PARTS: dict[str, Callable[[Vocabulary], str]] = {
    "A": lambda drawn: "".join(
        drawn.rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(drawn.rng.randint(1, 3))
    ),
    "N": lambda drawn: drawn.number(1, 4),
    "X": lambda drawn: "".join(drawn.rng.choice("0123456789abcdef") for _ in range(drawn.rng.randint(2, 5))),
}
_VALUES: tuple[Callable[[Vocabulary], str], ...] = (
    *[Vocabulary.name] * 5,
    *[Vocabulary.person] * 4,
    *[code] * 3,
    *[number] * 3,
    year,
    *[date] * 2,
    clock,
    *[measure] * 3,
    money,
    *[address] * 2,
    *[thing] * 4,
    *[title] * 2,
    pair,
    lambda drawn: drawn.pick(COLOURS),
)
