"""A model's revision: a short hash of its files that is quick even where the files are not."""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

DESCRIPTIONS = ("*.json", "*.jinja", "*.txt")
WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
SAMPLES = 64  # of a large file; each is a block
BLOCK = 64 * 1024
WHOLE_BYTES = SAMPLES * BLOCK  # 4 MiB: files up to this are read whole


def folder_revision(folder: Path) -> str:
    """12 hex digits from the texts, and from the size, head, tail and evenly spaced blocks of the weights."""
    digest = blake2b(digest_size=6)
    for pattern in (*DESCRIPTIONS, *WEIGHTS):
        for file in sorted(folder.rglob(pattern)):
            digest.update(str(file.relative_to(folder)).encode())
            _add(digest, file)
    return digest.hexdigest()


def file_revision(*files: Path) -> str:
    """The same of a model that is one file, or a few."""
    digest = blake2b(digest_size=6)
    for file in files:
        _add(digest, file)
    return digest.hexdigest()


def revision_of(source: str, commit: str | None) -> str:
    """The revision of a folder, or of a Hub id of which the commit may be known."""
    folder = Path(source)
    return folder_revision(folder) if folder.is_dir() else hub_revision(source, commit)


def hub_revision(source: str, commit: str | None) -> str:
    """12 hex digits of a Hub commit; without one, of the id."""
    return commit[:12] if commit else blake2b(source.encode(), digest_size=6).hexdigest()


def _add(digest: Any, file: Path) -> None:
    size = file.stat().st_size
    digest.update(str(size).encode())
    with file.open("rb") as stream:
        if size <= WHOLE_BYTES:
            digest.update(stream.read())
            return
        for sample in range(SAMPLES):
            stream.seek(sample * (size - BLOCK) // (SAMPLES - 1), os.SEEK_SET)
            digest.update(stream.read(BLOCK))
