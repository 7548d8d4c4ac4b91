"""The byte-level BPE tokenizer of the built-in models.

A capitalised word is split from the space before it, and each digit stands alone:
a name then has the same tokens wherever it stands, and copying it needs no second
spelling at the start of an answer. Of the other words only those that are one token
with their space keep it: the rest, as an invented key of a JSON object, are the
space and then the tokens that they have behind a quotation mark.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers  # type: ignore[import-untyped]  # no stubs
from tokenizers import Tokenizer as Tokenizer  # the one place that imports it; others take it from here

from pipelines.training.prompts import (
    BEGIN,
    CHAT_TEMPLATE,
    END,
    PAD,
    SPECIAL_TOKENS,
    TOOL_CALL_END,
    TOOL_CALL_START,
)

_PATTERN = (
    r"'(?:s|t|re|ve|m|ll|d)\b| ?\p{Ll}+|\p{Lu}+(?!\p{Ll})|\p{Lu}\p{Ll}*|\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)

_BEGUN_WORD = re.compile("Ġ[a-z]")  # a space and a letter, in the alphabet that bytes are written in

_MARKS = (TOOL_CALL_START, TOOL_CALL_END)
_MARKERS = re.compile("|".join(re.escape(marker) for marker in (*SPECIAL_TOKENS, *_MARKS)))

# Common words that the generators do not use, so that other people's text costs fewer tokens.
_EVERYDAY = (
    "the and that have with this from they would there their what about which when make can like time "
    "just know take people into year your good some could them other than then look only come over think "
    "also back after use two how work first well way even new want because any these give day most server "
    "service model request response error file system data user value key cluster node memory process "
    "default setting document passage question answer number text message result query table index start "
    "stop run load test build deploy update write read open close should must may will not before between "
    "during without each every more less many much such same different through against under"
)


def train_tokenizer(vocab_size: int, corpus: Iterable[str]) -> Tokenizer:
    """Train a tokenizer of `vocab_size` tokens on rendered dialogues; any bytes encode."""
    tokenizer = train_byte_level(_PATTERN, vocab_size - len(_MARKS), SPECIAL_TOKENS, _plain(corpus))
    tokenizer = whole_or_spelled(tokenizer)
    # Not special: they are part of the text that a parser of tool calls reads.
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in _MARKS])
    return tokenizer


def whole_or_spelled(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokens, but a word after a space is either one of them or cut as it would be without the space."""
    described = json.loads(tokenizer.to_str())
    bpe = described["model"]
    bpe["ignore_merges"] = True  # a piece that is a token as a whole is that token
    bpe["merges"] = [pair for pair in bpe["merges"] if not _BEGUN_WORD.match("".join(pair))]
    return Tokenizer.from_str(json.dumps(described))


def train_byte_level(
    pattern: str, vocab_size: int, special_tokens: Sequence[str], corpus: Iterable[str]
) -> Tokenizer:
    """Train a byte-level BPE tokenizer of at most `vocab_size` tokens, none of them across the pattern's pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def _plain(corpus: Iterable[str]) -> Iterable[str]:
    for text in corpus:
        yield _MARKERS.sub("\n", text)
    yield from [_EVERYDAY] * 50


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, context: int) -> None:
    """Write the tokenizer as Transformers and vLLM read it, for a context of `context` tokens."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
