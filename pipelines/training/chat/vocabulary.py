"""Words and invented names that the generators draw from.

Invented names come from syllables, so there are hundreds of thousands of them and a
model can only copy them. A checksum of the name says whether training or evaluation may use
it: the two never share one, and no list has to be kept.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal
from zlib import crc32

Split = Literal["train", "eval"]

_HELD_OUT_ONE_IN = 8  # enough names for evaluation, while training keeps most syllable pairs


def words_of(text: str) -> list[str]:
    """The words of a text, so that a list of them reads as one."""
    return text.split()


# Some 450 syllables: few enough that each becomes a token, so that a name costs two or three.
_ONSETS = words_of("b d f g k l m n p r s t v z br dr st tr")
_VOWELS = words_of("a e i o u")
_CODAS = ["", "", "", "n", "r", "l", "s"]

COLOURS = words_of("red blue green yellow black white brown grey orange purple pink silver golden violet")
ANIMALS = words_of(
    "cat dog fox horse owl goat sheep rabbit bear wolf duck goose crow heron otter badger mouse frog "
    "turtle donkey swan pig hen deer seal whale dolphin eagle parrot snake lizard bee ant moth"
)
FOODS = words_of(
    "soup bread rice cheese apples plums noodles honey beans pancakes onions potatoes carrots cake "
    "porridge grapes mushrooms olives pears lentils salad tea coffee milk"
)
JOBS = words_of(
    "baker doctor pilot farmer teacher painter nurse sailor carpenter gardener judge driver tailor "
    "miner cook engineer librarian writer singer fisher smith clerk guard plumber"
)
MATERIALS = words_of("wood iron glass copper stone clay paper silk leather wool brass steel cotton tin marble wax")
INSTRUMENTS = words_of("piano drum flute violin harp guitar trumpet cello horn bell organ whistle")
DAYS = words_of("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words_of("January February March April May June July August September October November December")
OBJECTS = words_of(
    "lamp box key chair rope boat clock coat ring map book wheel basket mirror hammer ladder kettle "
    "candle blanket bottle brush bucket engine pump valve sensor cable switch battery motor printer "
    "camera radio tank gate door window table wagon cart plough net sail anchor barrel shovel"
)
PLACES = words_of(
    "garden river forest harbour market kitchen station tower bridge library field mountain valley "
    "beach village island castle school barn mill lake road cave cellar workshop museum square temple"
)
ADJECTIVES = words_of(
    "small old new bright quiet heavy soft cold warm dark long short round narrow deep clean broken "
    "strange simple strong gentle early late empty full fresh dusty smooth sharp wooden plain tall wide"
)
VERBS = words_of(
    "opens closes moves lifts cleans guards heats cools counts checks carries stores sends reads writes "
    "builds repairs paints follows watches holds feeds turns stops starts measures records sorts loads "
    "serves splits joins fills empties covers protects finds keeps calls controls"
)
ADVERBS = [
    "slowly",
    "quickly",
    "often",
    "every morning",
    "at night",
    "in winter",
    "after lunch",
    "with care",
    "once a day",
]
FIRST_NAMES = words_of(
    "Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Maria Noah Olga Paul Rosa Sam Tom "
    "Vera Will Zoe Lena Max Nina Oscar Peter Ruth Simon Tess"
)


def held_out(name: str) -> bool:
    """Say whether a name is evaluation's alone."""
    return crc32(name.lower().encode()) % _HELD_OUT_ONE_IN == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A source of words and names for one split, driven by the caller's randomness."""

    rng: Random
    split: Split = "train"

    def name(self, syllables: int | None = None) -> str:
        """Invent a capitalised name of two or three syllables."""
        while True:
            count = syllables or self.rng.choice((2, 2, 2, 2, 3))
            parts = [self._syllable() for _ in range(count)]
            name = "".join(parts).capitalize()
            if held_out(name) == (self.split == "eval"):
                return name

    def person(self) -> str:
        """Invent a person, with one name or two."""
        draw = self.rng.random()
        if draw < 0.4:
            return self.name()
        if draw < 0.7:
            return f"{self.rng.choice(FIRST_NAMES)} {self.name()}"
        return f"{self.name()} {self.name()}"

    def code(self) -> str:
        """Invent a part code such as KV-4821."""
        letters = "".join(self.rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(self.rng.randint(1, 3)))
        return f"{letters}-{self.number(2, 4)}"

    def number(self, fewest: int = 1, most: int = 4) -> str:
        """Invent a number of between `fewest` and `most` digits."""
        digits = self.rng.randint(fewest, most)
        return str(self.rng.randint(10 ** (digits - 1), 10**digits - 1))

    def thing(self) -> str:
        """Choose an object with an adjective, such as "old lamp"."""
        return f"{self.rng.choice(ADJECTIVES)} {self.rng.choice(OBJECTS)}"

    def pick(self, words: list[str]) -> str:
        """Choose one word of a list."""
        return self.rng.choice(words)

    def _syllable(self) -> str:
        return self.rng.choice(_ONSETS) + self.rng.choice(_VOWELS) + self.rng.choice(_CODAS)


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
