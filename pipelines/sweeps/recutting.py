"""Before the cells of a sweep that varies the sizes of chunks: the recuts that they search, brought up to date."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cluster.settings.pipelines import DocumentSettings
from cluster.settings.tree import Settings
from pipelines.documents.recut import Recutter, Sizes, Stopped, Watch, recutter
from pipelines.sweeps.cuts import Cut

Make = Callable[[Settings, str, str, Sizes, Watch, Stopped], tuple[str, Recutter]]
Tell = Callable[[str], None]
Recuts = Mapping[Cut, str]


def recut_collections(
    cuts: Sequence[Cut],
    collections: Mapping[str, str],
    settings: Settings,
    application: str,
    tell: Tell,
    stopped: Stopped,
    make: Make = recutter,
) -> Recuts | None:
    """What the vector store calls the collection that each cut is searched in; None where it was stopped before.

    collections: the store's names of those that the spec names. A collection that is stored in these sizes is its
    own. tell is told in a line how far it is. Raises what `Recutter.run` raises, and BadRequest for a name that is
    too long.
    """
    documents = settings.documents
    found: dict[Cut, str] = {}
    for cut in cuts:
        physical = documents.collection if cut.collection is None else collections[cut.collection]
        sizes = Sizes(tokens=cut.tokens_by(documents), overlap=cut.overlap_by(documents))
        watch = partial(_line, cut, documents, tell)
        name, work = make(settings, application, physical, sizes, watch, stopped)
        if work.needless():
            found[cut] = physical
            continue
        if stopped() or not work.run():
            return None
        found[cut] = name
    return found


def _line(cut: Cut, documents: DocumentSettings, tell: Tell, done: int, total: int) -> None:
    """`recutting docs to 256 tokens: 120 of 1,000 documents`."""
    overlap = "" if cut.overlap is None else f" with overlap {cut.overlap}"
    name = documents.collection if cut.collection is None else cut.collection
    tell(f"recutting {name} to {cut.tokens_by(documents)} tokens{overlap}: {done:,} of {total:,} documents")
