"""Names as Ollama's clients write them: `name:tag`, where `:latest` is the tag of a name without one."""

from collections.abc import Container

LATEST = ":latest"


def bare(name: str, known: Container[str] = ()) -> str:
    """The name as it is here, where tags are unknown: `:latest` goes, unless the name is known with it."""
    return name if name in known else name.removesuffix(LATEST) or name


def tagged(name: str) -> str:
    """The name as Ollama lists it: its clients expect a tag."""
    return name if ":" in name.rpartition("/")[2] else name + LATEST
