"""Arrow's functions over columns, without types: their stubs refuse most of what the functions take."""

from typing import Any


def compute() -> Any:
    """The module `pyarrow.compute`."""
    import pyarrow.compute

    return pyarrow.compute
