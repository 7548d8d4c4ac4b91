"""One answer and its views, each made once and only when a measure asks for it."""

from functools import cached_property

from pipelines.sweeps.scoring.english import foreign
from pipelines.sweeps.scoring.markup import Block, Kind, blocks
from pipelines.sweeps.scoring.sentences import sentences
from pipelines.sweeps.scoring.words import latin, unspaced, words

NO_SPACES = "written without spaces between words"


class Answer:
    """A text that a model gave, as the measures look at it. prompt: what it answers, where known."""

    def __init__(
        self, text: str, *, prompt: str = "", finish_reason: str | None = None, json: bool = False
    ) -> None:
        self.text = text
        self.prompt = prompt
        self.finish_reason = finish_reason
        self.json_asked = json

    @cached_property
    def blocks(self) -> list[Block]:
        """Paragraphs, list items, headings and table rows, without code and markup."""
        return blocks(self.text)

    @cached_property
    def words(self) -> list[str]:
        """The words that a reader reads, those of lists and headings among them, not those of code."""
        return words("\n".join(block.text for block in self.blocks))

    @cached_property
    def folded(self) -> list[str]:
        """The same words in small letters, one apostrophe for all."""
        return [word.lower().replace("’", "'") for word in self.words]

    @cached_property
    def prose(self) -> list[str]:
        """The sentences of running text: no code, lists, headings or tables."""
        parts = zip(self.blocks, self._sentences, strict=True)
        return [each for block, found in parts if block.kind is Kind.PROSE for each in found]

    @cached_property
    def all_sentences(self) -> list[str]:
        """The sentences of all that is read; a list item or heading is at least one of its own."""
        return [each for found in self._sentences for each in found]

    @cached_property
    def _sentences(self) -> list[list[str]]:
        return [sentences(block.text) for block in self.blocks]

    @cached_property
    def without_words(self) -> str | None:
        """Why words cannot be counted here; None where they can."""
        if not self.words:
            return "the answer has no words" if not self.text.strip() else "the answer has no words outside of code"
        return NO_SPACES if unspaced(self.text) else None

    @cached_property
    def not_english(self) -> str | None:
        """Why a measure made for English does not apply; None where it does."""
        if self.without_words:
            return self.without_words
        if not latin(self.text):
            return "not in Latin script; this measure is for English"
        reason = foreign(self.folded)
        return f"{reason}; this measure is for English" if reason else None
