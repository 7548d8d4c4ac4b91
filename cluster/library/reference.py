"""What somebody may call a model: `NAME` or `NAME@REVISION`, with NAME as on the Hub, `owner/name` or `name`.

A name becomes part of paths, so nothing that could lead out of a folder is a name.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import InvalidModelName

MAX_NAME = 96  # characters; the Hub's own limit
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
NAME = re.compile(rf"{PART}(?:/{PART})?")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
COMMIT = re.compile(r"[0-9a-f]{40}")
HINT = "a model's id, or owner/name as on the Hub, with @revision behind it where a certain one is meant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A model's name and, where one is meant, its revision: a branch, a tag or a commit."""

    name: str
    revision: str | None = None


def parse(text: str) -> Reference:
    """What the text means. Raises InvalidModelName."""
    name, at, revision = text.partition("@")
    check_name(name)
    return Reference(name=name, revision=check_revision(revision) if at else None)


def check_name(name: str) -> str:
    """The name itself. Raises InvalidModelName for one that no model can have."""
    if len(name) > MAX_NAME or NAME.fullmatch(name) is None or ".." in name or "--" in name:
        raise InvalidModelName(f"{name[:120]!r} is no model's name", hint=HINT, param="model")
    return name


def check_revision(revision: str) -> str:
    """The revision itself. Raises InvalidModelName for what is no branch, tag or commit."""
    if REVISION.fullmatch(revision) is None or ".." in revision or "//" in revision:
        hint = "a branch, a tag or a commit"
        raise InvalidModelName(f"{revision[:80]!r} is no revision", hint=hint, param="revision")
    return revision


def is_commit(revision: str) -> bool:
    """Whether a revision can never mean other files."""
    return COMMIT.fullmatch(revision) is not None


def inside(folder: Path, root: Path) -> bool:
    """Whether a path, all links followed, stays below a root, its links followed too."""
    return folder.resolve().is_relative_to(root.resolve())
