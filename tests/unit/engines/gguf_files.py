"""GGUF files for tests: made from metadata and arrays, as the format says, little-endian."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 32
FLOAT32, BFLOAT16 = 0, 30
UINT32, FLOAT, BOOL, TEXT, ARRAY, INT32 = 4, 6, 7, 8, 9, 5


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Any] | None = None, *, version: int = 3
) -> Path:
    """Write a file. tensors: float32 arrays, or uint16 ones that hold bfloat16."""
    held = {name: np.ascontiguousarray(array) for name, array in (tensors or {}).items()}
    head = b"GGUF" + struct.pack("<IQQ", version, len(held), len(metadata))
    for key, value in metadata.items():
        head += _text(key) + _value(value)
    offset = 0
    for name, array in held.items():
        kind = BFLOAT16 if array.dtype == np.uint16 else FLOAT32
        head += _text(name) + struct.pack(f"<I{array.ndim}QIQ", array.ndim, *reversed(array.shape), kind, offset)
        offset += _padded(array.nbytes)
    with path.open("wb") as stream:
        stream.write(head.ljust(_padded(len(head)), b"\0"))
        for array in held.values():
            stream.write(array.tobytes().ljust(_padded(array.nbytes), b"\0"))
    return path


def tiny(path: Path, **more: Any) -> Path:
    """A file of a model that says all that is read of it; its names are written with `__` for a dot."""
    told = {name.replace("__", "."): value for name, value in more.items()}
    metadata = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.file_type": 0,
        "llama.context_length": 512,
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": ["<pad>", "<|user|>", "a", "b"],
        "tokenizer.ggml.token_type": [3, 3, 1, 1],
        "tokenizer.chat_template": "{{ messages }}",
    }
    kept = {name: value for name, value in (metadata | told).items() if value is not None}
    return write_gguf(path, kept, {"token_embd.weight": np.zeros((4, 64), np.float32)})


def _padded(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        kind = TEXT if isinstance(value[0], str) else FLOAT if isinstance(value[0], float) else INT32
        return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(_bare(kind, item) for item in value)
    kind = BOOL if isinstance(value, bool) else TEXT if isinstance(value, str) else UINT32
    kind = FLOAT if isinstance(value, float) else kind
    return struct.pack("<I", kind) + _bare(kind, value)


def _bare(kind: int, value: Any) -> bytes:
    if kind == TEXT:
        return _text(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT: "<f", BOOL: "<?"}[kind], value)
