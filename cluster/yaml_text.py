"""YAML that somebody else wrote, read so that no file can hang, exhaust or crash its reader."""

from typing import Any, NamedTuple

import yaml

MAX_DEPTH = 64  # levels of lists and mappings
MAX_VALUES = 2_000_000  # values in all, each use of an anchor counted: ten lines of them can stand for billions
TOO_DEEP = f"more than {MAX_DEPTH} levels deep"
NESTING = (dict, list, set)


class PlainLoader(yaml.SafeLoader):
    """SafeLoader that leaves dates as text: nothing of ours is a date, and libraries that are imported beside
    us change SafeLoader's own mind about them, so that a file would read differently in different processes.

    It gives up at MAX_DEPTH: each further level takes PyYAML longer than the last.
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One value, and all that is in it."""
        if self._depth > MAX_DEPTH:
            raise RecursionError
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> Any:
    """The one document in `text`, as plain data. Raises ValueError saying why not, in a line."""
    try:
        found = yaml.load(text, Loader=PlainLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if isinstance(found, NESTING):
        _measure(found, 0, {})
    return found


class _Extent(NamedTuple):
    """What a value stands for. values: in all, itself included. levels: of lists and mappings below it."""

    values: int
    levels: int


def _measure(node: Any, depth: int, known: dict[int, _Extent]) -> _Extent:
    """Raise ValueError for what is too deep, too much, or no plain data. known: by identity, of what was read."""
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    found = known.get(id(node))
    if found is None:
        if isinstance(node, dict):
            odd = next((key for key in node if not isinstance(key, str | int | float | bool | None)), None)
            if odd is not None:
                raise ValueError(f"a key that is no text: {str(odd)[:60]!r}")
        inside = node.values() if isinstance(node, dict) else node
        nested = [_measure(item, depth + 1, known) for item in inside if isinstance(item, NESTING)]
        values = 1 + len(inside) - len(nested) + sum(extent.values for extent in nested)
        levels = max((extent.levels + 1 for extent in nested), default=min(len(inside), 1))
        found = known[id(node)] = _Extent(values, levels)
    if depth + found.levels > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    if found.values > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values, anchors counted as often as they are used")
    return found
