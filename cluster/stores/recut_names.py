"""Names of recuts: a collection's documents cut into chunks of other sizes, beside it in the vector store.

Nobody can name, list or reach one as a collection of theirs: what begins as they do is refused as a name, and the
store lists none. Whoever may search the collection may search its recuts.
"""

import re

from cluster.errors import BadRequest

PREFIX = "t-cut-"  # collection_names.TENANT_PREFIX begins it, and the drawn names go on in hexadecimal
NAMED = re.compile(rf"{PREFIX}\d+-\d+-(.+)")


def recut_name(base: str, *, tokens: int, overlap: int) -> str:
    """The name of a collection's recut. Raises BadRequest where the collection's own is too long for that."""
    from cluster.stores.vector_index import NAME  # here: whoever only asks what a name is loads nothing

    name = f"{PREFIX}{tokens}-{overlap}-{base}"
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"The name {base[:80]!r} is too long: a recut of the collection could not be named",
            hint="store the documents in a collection of a shorter name",
            param="retrieval.collection",
        )
    return name


def base_of(name: str) -> str | None:
    """The collection that a name is a recut of; None where it is none."""
    found = NAMED.fullmatch(name)
    return None if found is None else found[1]
