"""What a GGUF file says of itself: its header alone is read, never its weights.

Every count and length is checked against the file before it is believed, so a file that is cut off, damaged or no
GGUF at all is an error with a reason here, and not an abort inside llama.cpp.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
BUFFER = 1024**2
MAX_ENTRIES = 2**16  # of metadata; models have some dozens
MAX_TENSORS = 2**17
MAX_ITEMS = 2**22  # of an array of texts; the largest vocabularies have a quarter of a million
MAX_KEY = 2**16  # bytes of a name; the format's own limit
MAX_DIMENSIONS = 4
TEXT, ARRAY = 8, 9
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
CONTROL = 3  # the type of tokens that only a template may write
# Bytes and items of a block of each tensor type; one that is newer than this list goes unchecked.
BLOCKS = {
    0: (4, 1), 1: (2, 1), 2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32), 9: (36, 32),
    10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256), 15: (292, 256),
    16: (66, 256), 17: (74, 256), 18: (98, 256), 19: (50, 256), 20: (18, 32), 21: (110, 256), 22: (82, 256),
    23: (136, 256), 24: (1, 1), 25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1), 29: (56, 256), 30: (2, 1),
    34: (54, 256), 35: (66, 256), 39: (17, 32),
}  # fmt: skip
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
CACHE_BYTES = 2  # of a figure in the KV cache: float16


class BadGguf(ValueError):
    """Not a GGUF file, or a damaged one; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """A model file. id: fit to name the model by. context_length: tokens it was trained on, 0 where it is unsaid.

    size: bytes of all its files. quantization: such as Q4_K_M, empty where it is unsaid. vocabulary: how many
    tokens. control: by their ids, those that a chat template alone may write. cache: bytes that a token takes in
    the KV cache, None where the architecture keeps no plain one. shards: files that the model is cut into.
    sampling: how its makers sample it, by our names.
    """

    id: str
    name: str
    architecture: str
    context_length: int
    size: int
    quantization: str
    chat_template: str | None
    vocabulary: int
    control: Mapping[int, str] = field(default_factory=dict)
    cache: int | None = None
    shards: int = 1
    sampling: Mapping[str, float] = field(default_factory=dict)


def read_header(path: Path) -> GgufHeader:
    """Read a file's header and check that its tensors lie within the file; of several files, the first is read.

    Raises BadGguf with the reason, and OSError where the file cannot be read.
    """
    return _header(path, sum(file.stat().st_size for file in shards(path)), check(path))


def check(path: Path) -> dict[str, Any]:
    """A file's metadata; its tensors lie within the file. Raises as read_header does."""
    size = path.stat().st_size
    with path.open("rb", buffering=BUFFER) as stream:
        reader = _Reader(stream, size)
        tensors = _check_magic(reader)
        found = _metadata(reader)
        alignment = found.get("general.alignment", 32)
        _check_tensors(reader, tensors, alignment if isinstance(alignment, int) else 0)
    return found


def shards(path: Path) -> list[Path]:
    """The files that a model is cut into, by the first one's name: mostly that one alone."""
    cut = SHARD.search(path.stem)
    if cut is None:
        return [path]
    base, count = path.stem[: cut.start()], int(cut[2])
    return [path.with_name(f"{base}-{number:05}-of-{count:05}{path.suffix}") for number in range(1, count + 1)]


class _Reader:
    """Reads figures and texts, and never past the end."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size

    @property
    def left(self) -> int:
        """Bytes up to the file's end."""
        return self._size - self._stream.tell()

    @property
    def at(self) -> int:
        """Where the next byte is."""
        return self._stream.tell()

    def raw(self, count: int) -> bytes:
        """The next bytes."""
        found = self._stream.read(count)
        if len(found) != count:
            raise BadGguf("it is cut off in its header")
        return found

    def number(self, code: str) -> Any:
        """The next figure. code: as in `struct`."""
        return struct.unpack("<" + code, self.raw(struct.calcsize("<" + code)))[0]

    def text(self, limit: int | None = None) -> str:
        """The next text."""
        length = self.number("Q")
        if length > (self.left if limit is None else limit):
            raise BadGguf("it is damaged: a text in its header is longer than it can be")
        return self.raw(length).decode(errors="replace")


def _check_magic(reader: _Reader) -> int:
    """How many tensors follow the metadata."""
    if reader.left < 24 or reader.raw(4) != MAGIC:
        raise BadGguf("it is no GGUF file")
    version = reader.number("I")
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        raise BadGguf(
            "it was written for big-endian machines" if swapped else f"GGUF version {version} is not read"
        )
    tensors: int = reader.number("Q")
    if tensors > MAX_TENSORS:
        raise BadGguf(f"it is damaged: {tensors} tensors")
    return tensors


def _metadata(reader: _Reader) -> dict[str, Any]:
    entries = reader.number("Q")
    if entries > MAX_ENTRIES:
        raise BadGguf(f"it is damaged: {entries} entries of metadata")
    found: dict[str, Any] = {}
    for _ in range(entries):
        key = reader.text(MAX_KEY)
        found[key] = _value(reader, reader.number("I"))
    return found


def _value(reader: _Reader, kind: int) -> Any:
    if kind in NUMBERS:
        return reader.number(NUMBERS[kind])
    if kind == TEXT:
        return reader.text()
    if kind == ARRAY:
        return _array(reader)
    raise BadGguf(f"it is damaged: {kind} is no type of metadata")


def _array(reader: _Reader) -> list[Any]:
    kind, count = reader.number("I"), reader.number("Q")
    if kind == TEXT:
        if count > MAX_ITEMS:
            raise BadGguf(f"it is damaged: a list of {count} texts")
        return [reader.text() for _ in range(count)]
    if kind not in NUMBERS:
        raise BadGguf("it is damaged: a list of no type that is known")
    width = struct.calcsize("<" + NUMBERS[kind])
    if count > MAX_ITEMS:
        raise BadGguf(f"it is damaged: a list of {count} figures")
    return list(struct.unpack(f"<{count}{NUMBERS[kind]}", reader.raw(count * width)))


def _check_tensors(reader: _Reader, tensors: int, alignment: int) -> None:
    """Each tensor must lie in the file whole."""
    if alignment <= 0 or alignment & (alignment - 1):
        raise BadGguf(f"it is damaged: an alignment of {alignment} bytes")
    ends = 0
    for _ in range(tensors):
        reader.text(MAX_KEY)
        dimensions = reader.number("I")
        if not 0 < dimensions <= MAX_DIMENSIONS:
            raise BadGguf(f"it is damaged: a tensor of {dimensions} dimensions")
        items = 1
        for _ in range(dimensions):
            items *= reader.number("Q")
        kind, offset = reader.number("I"), reader.number("Q")
        width, block = BLOCKS.get(kind, (0, 1))
        ends = max(ends, offset + items // block * width)
    data = (reader.at + alignment - 1) // alignment * alignment
    missing = data + ends - (reader.at + reader.left)
    if tensors and missing > 0:
        raise BadGguf(f"it is cut off: {missing} bytes of its weights are missing")


def _header(path: Path, size: int, found: Mapping[str, Any]) -> GgufHeader:
    architecture = _text(found, "general.architecture")
    if not architecture:
        raise BadGguf("it does not say its architecture")
    tokens, types = found.get("tokenizer.ggml.tokens"), found.get("tokenizer.ggml.token_type")
    words = tokens if isinstance(tokens, list) else []
    kinds = types if isinstance(types, list) else []
    template = found.get("tokenizer.chat_template")
    return GgufHeader(
        id=_id(path),
        name=_text(found, "general.name") or path.stem,
        architecture=architecture,
        context_length=_count(found, f"{architecture}.context_length"),
        size=size,
        quantization=FILE_TYPES.get(_count(found, "general.file_type", otherwise=-1), ""),
        chat_template=template if isinstance(template, str) and template.strip() else None,
        vocabulary=len(words) or _count(found, f"{architecture}.vocab_size"),
        control={
            number: str(word)
            for number, (word, kind) in enumerate(zip(words, kinds, strict=False))
            if kind == CONTROL
        },
        cache=_cache(found, architecture),
        shards=len(shards(path)),
        sampling=_sampling(found),
    )


def _id(path: Path) -> str:
    """The file's name as a model's id."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", SHARD.sub("", path.stem)).strip("-._")
    return plain[:128] or "model"


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _count(found: Mapping[str, Any], key: str, *, otherwise: int = 0) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _cache(found: Mapping[str, Any], architecture: str) -> int | None:
    """Bytes of keys and values of one token over all layers."""
    layers = _count(found, f"{architecture}.block_count")
    heads, width = (
        _count(found, f"{architecture}.attention.head_count"),
        _count(found, f"{architecture}.embedding_length"),
    )
    shared = found.get(f"{architecture}.attention.head_count_kv", heads)
    if not layers or not shared or not (heads or f"{architecture}.attention.key_length" in found):
        return None
    size = width // heads if heads else 0
    key = _count(found, f"{architecture}.attention.key_length", otherwise=size)
    value = _count(found, f"{architecture}.attention.value_length", otherwise=size)
    pairs = sum(shared) if isinstance(shared, list) else layers * int(shared)
    return int(pairs) * (key + value) * CACHE_BYTES


def _sampling(found: Mapping[str, Any]) -> dict[str, float]:
    names = {
        "temperature": "temp", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p",
        "repetition_penalty": "penalty_repeat",
    }  # fmt: skip
    held = {ours: found.get(f"general.sampling.{theirs}") for ours, theirs in names.items()}
    return {name: value for name, value in held.items() if isinstance(value, int | float)}
