"""Where a model's files are: a folder of this project, a folder of the machine, or an id on the Hub."""

from pathlib import Path

import cluster
from cluster.errors import StartFailed
from cluster.settings.models import HubSettings


def project_root() -> Path:
    """The folder that holds the `cluster` package: what relative sources in configs are relative to."""
    return Path(cluster.__path__[0]).resolve().parent


def resolve_source(source: str, hub: HubSettings) -> str:
    """An existing folder as an absolute path, or a Hub id as it is.

    A relative folder is looked for in the project, then in the working folder, then in hub.model_path.
    Raises StartFailed for something that looks like a folder and is none.
    """
    given = Path(source).expanduser()
    places = [project_root(), Path.cwd(), *([Path(hub.model_path).expanduser()] if hub.model_path else [])]
    for place in places:
        folder = place / given  # an absolute path stays itself
        if folder.is_dir():
            return str(folder.resolve())
    if _looks_like_a_folder(source, places[:2]):
        looked = str(given) if given.is_absolute() else " or ".join(str(place / given) for place in places)
        raise StartFailed(f"The model folder {source} does not exist", hint=f"looked for {looked}")
    return source


def _looks_like_a_folder(source: str, roots: list[Path]) -> bool:
    """A Hub id is `name` or `owner/name`; anything else, or an owner that is a folder here, means a folder."""
    if source.startswith((".", "/", "~")) or source.endswith("/") or source.count("/") > 1 or "\\" in source:
        return True
    owner, slash, _ = source.partition("/")
    return bool(slash) and any((root / owner).is_dir() for root in roots)
