"""English words in their thousands, so that a model meets more of them than it could learn by heart.

The lists are those of the package `wonderwords` (MIT). As with names, a checksum keeps some for evaluation.
"""

import re
from functools import cache
from importlib.resources import files

from pipelines.training.chat.vocabulary import Split, held_out, words_of

_PLAIN = re.compile(r"[a-z]{3,11}")
_IRREGULAR = frozenset(
    words_of(
        "arise awake bear beat become begin bend bet bind bite bleed blow break breed bring build burn burst "
        "buy cast catch choose cling come cost creep cut deal dig draw dream drink drive eat fall feed feel "
        "fight find fit flee fling fly forbid forecast forego foresee foretell forget forgive forsake freeze "
        "get give go grind grow hang have hear hide hit hold hurt keep kneel know lay lead lean leap learn "
        "leave lend let lie light lose make mean meet mow overcome overtake pay plead prove put quit read "
        "rend rid ride ring rise run saw say see seek sell send set sew shake shed shine shoot show shred "
        "shrink shut sing sink sit slay sleep slide sling slit smell sneak sow speak speed spell spend spill "
        "spin spit split spoil spread spring stand steal stick sting stink strew stride strike string strive "
        "swear sweat sweep swell swim swing take teach tear tell think throw thrust tread undergo understand "
        "undertake upset wake wear weave wed weep win wind withdraw wring write acted bade bid be can do may "
        "must will shall abide beget behold dwell"
    )
)
_VOWELS = "aeiou"
_LEFT_OUT = frozenset(words_of("rape molest murder slave panty nipple puss hoe"))


@cache
def nouns(split: Split = "train") -> tuple[str, ...]:
    """Some 5,000 nouns for training, and a seventh as many for evaluation."""
    return _of("nounlist", split)


@cache
def adjectives(split: Split = "train") -> tuple[str, ...]:
    """Some 700 adjectives for training, and a seventh as many for evaluation."""
    return _of("adjectivelist", split)


@cache
def verbs(split: Split = "train") -> tuple[str, ...]:
    """Some 600 regular verbs for training, in their plain form, and a seventh as many for evaluation."""
    return tuple(verb for verb in _of("verblist", split) if verb not in _IRREGULAR)


def present(verb: str) -> str:
    """The third person: `carries` of `carry`."""
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return f"{verb}es"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ies"
    return f"{verb}s"


def past(verb: str) -> str:
    """The past of a regular verb: `carried`, `planned`, `moved`."""
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ied"
    return f"{verb}{_doubled(verb)}ed"


def gerund(verb: str) -> str:
    """The form in -ing: `carrying`, `planning`, `moving`."""
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return f"{verb[:-1]}ing"
    return f"{verb}{_doubled(verb)}ing"


def plural(noun: str) -> str:
    """A regular plural: `boxes`, `berries`, `lamps`."""
    return present(noun)


def _doubled(verb: str) -> str:
    """The consonant that a short verb such as `plan` doubles."""
    short = len(verb) <= 4 and verb[-1] not in f"{_VOWELS}wxy" and verb[-2] in _VOWELS and verb[-3] not in _VOWELS
    return verb[-1] if short else ""


@cache
def _of(name: str, split: Split) -> tuple[str, ...]:
    lines = files("wonderwords.assets").joinpath(f"{name}.txt").read_text("utf-8").split()
    words = sorted({word for word in lines if _PLAIN.fullmatch(word) and word not in _LEFT_OUT})
    return tuple(word for word in words if held_out(word) == (split == "eval"))
