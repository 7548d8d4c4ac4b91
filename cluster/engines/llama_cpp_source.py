"""Which GGUF file a model's settings mean: one on this machine, or one of the Hub."""

from pathlib import Path

from cluster.engines.gguf_header import SHARD
from cluster.engines.hub import fetch_file
from cluster.engines.source import project_root, resolve_source
from cluster.errors import StartFailed
from cluster.settings.engines import LlamaCppSettings
from cluster.settings.models import HubSettings

PROJECTOR = "mmproj"  # how the files begin that hold only a model's eyes


def find(model: str, settings: LlamaCppSettings, hub: HubSettings) -> Path | None:
    """The file on this machine, None where the Hub has it. Raises StartFailed saying what is missing."""
    given = Path(settings.source).expanduser()
    if given.suffix == ".gguf":
        return _file(settings.source, given, hub)
    folder = Path(resolve_source(settings.source, hub))
    if folder.is_dir():
        return _in_folder(model, folder, settings.file)
    if settings.file is None:
        raise StartFailed(
            f"{model} is {settings.source} on the Hugging Face Hub, which may hold several GGUF files",
            hint="name one: engine.file",
        )
    return None


def fetch(model: str, settings: LlamaCppSettings, hub: HubSettings) -> Path:
    """The file on this machine, downloaded where needed; blocks. Raises StartFailed saying what to do."""
    found = find(model, settings, hub)
    return found or fetch_file(model, settings.source, str(settings.file), hub, settings.revision)


def _file(source: str, given: Path, hub: HubSettings) -> Path:
    places = [project_root(), Path.cwd(), *([Path(hub.model_path).expanduser()] if hub.model_path else [])]
    for place in places:
        file = place / given  # an absolute path stays itself
        if file.is_file():
            return file.resolve()
    looked = str(given) if given.is_absolute() else " or ".join(str(place / given) for place in places)
    raise StartFailed(f"The model file {source} does not exist", hint=f"looked for {looked}")


def _in_folder(model: str, folder: Path, name: str | None) -> Path:
    if name is not None:
        if not (folder / name).is_file():
            raise StartFailed(f"The folder {folder} of {model} holds no {name}", hint="engine.file")
        return folder / name
    found = sorted(file for file in folder.glob("*.gguf") if _begins_a_model(file))
    if not found:
        raise StartFailed(f"The folder {folder} of {model} holds no GGUF file", hint="engine.source")
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise StartFailed(f"The folder {folder} of {model} holds several GGUF files: {names}", hint="engine.file")
    return found[0]


def _begins_a_model(file: Path) -> bool:
    cut = SHARD.search(file.stem)
    return not file.name.startswith(PROJECTOR) and (cut is None or int(cut[1]) == 1)
