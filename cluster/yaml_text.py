"""YAML that somebody else wrote, read so that no file can hang, exhaust or crash its reader."""

from typing import Any

import yaml

MAX_DEPTH = 64  # levels of lists and mappings
MAX_VALUES = 2_000_000  # values in all, each use of an anchor counted: ten lines of them can stand for billions


class PlainLoader(yaml.SafeLoader):
    """SafeLoader that leaves dates as text: nothing of ours is a date, and libraries that are imported beside
    us change SafeLoader's own mind about them, so that a file would read differently in different processes.
    """


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
        raise ValueError(f"more than {MAX_DEPTH} levels deep") from None
    _check(found)
    return found


def _check(root: Any) -> None:
    waiting: list[tuple[Any, int]] = [(root, 0)]
    values = 0
    while waiting:
        node, depth = waiting.pop()
        values += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep")
        if values > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values, anchors counted as often as they are used")
        if isinstance(node, dict):
            odd = next((key for key in node if not isinstance(key, str | int | float | bool | None)), None)
            if odd is not None:
                raise ValueError(f"a key that is no text: {str(odd)[:60]!r}")
            waiting += [(item, depth + 1) for item in node.values()]
        elif isinstance(node, list | set):
            waiting += [(item, depth + 1) for item in node]
