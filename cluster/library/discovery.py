"""Models that nobody described, found on disk: in the Hub's cache, in folders, in GGUF files."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cluster.catalog import ID
from cluster.engines.gguf_header import BadGguf, GgufHeader, read_header
from cluster.errors import BrokenModel, NoWeights
from cluster.library.cached import Held, found, said_of
from cluster.library.entry import Figure, ModelEntry, Origin
from cluster.library.inspection import CONFIG, FolderFacts, check_links, look
from cluster.library.shelf import Shelf

DEPTH = 2  # folders below a root: owner/name
PROJECTOR = "mmproj"  # how GGUF files begin that hold only a model's eyes
LATER_SHARD = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")
ENGINE_OF = {"chat": "vllm", "vision": "vllm", "embedding": "sentence", "rerank": "cross_encoder"}


def in_cache(shelf: Shelf) -> Iterator[ModelEntry]:
    """Models of the Hub's cache. One without weights is none: a tokenizer, or the begin of a download."""
    for held, facts in found(shelf):
        if isinstance(facts, FolderFacts):
            revision = Figure(name="revision", value=held.commit, said_by=said_of(held))
            yield _of_folder(held.name, "hub cache", held.folder, facts, source=held.name, revision=revision)
        elif isinstance(facts, NoWeights):
            yield from _gguf_of(held)
        else:
            yield _broken(held.name, "hub cache", held.folder, facts.message)


def in_folder(root: Path) -> Iterator[ModelEntry]:
    """Models of a folder of somebody's own: the folder itself, and those up to two levels down."""
    for folder in _folders(root):
        name = folder.relative_to(root).as_posix() if folder != root else root.name
        for file in sorted(folder.glob("*.gguf")):
            if not LATER_SHARD.search(file.name) and not file.name.startswith(PROJECTOR):
                yield of_gguf(file)
        if (folder / CONFIG).is_file() or (folder / "modules.json").is_file():
            try:
                check_links(folder, root)
                yield _of_folder(name, "folder", folder, look(folder), source=str(folder))
            except BrokenModel as error:
                yield _broken(name, "folder", folder, error.message)


def of_own(said: ModelEntry, place: Path) -> ModelEntry:
    """An entry of somebody's catalog whose files are theirs, with what they are and whether they are whole."""
    if place.suffix == ".gguf":
        problem = of_gguf(place).problem
        size = place.stat().st_size if place.is_file() else None
    else:
        problem, size = None, None
        try:
            size = look(place).size
        except BrokenModel as error:
            problem = error.message
    return replace(said, on_disk=problem is None, folder=str(place), size=size, problem=problem)


def of_gguf(file: Path, *, source: str | None = None, name: str | None = None) -> ModelEntry:
    """A GGUF file. source, name: the Hub repository and its file, where it came from there."""
    where = f"the header of {file.name}"
    engine = {"kind": "llama_cpp", "source": source or str(file), **({"file": name} if name else {})}
    try:
        header = read_header(file)
    except (BadGguf, OSError) as error:
        return _broken(file.stem, "file", file, f"{file} cannot be read as GGUF: {error}", engine=engine)
    context = header.context_length or None
    cache = (header.cache or 0) * (context or 0)
    size = _size_of_shards(file, header)
    quantization = Figure(name="quantization", value=header.quantization or "unsaid", said_by=where)
    return ModelEntry(
        id=header.id,
        origin="file",
        engine=engine,
        about=f"{header.name}, {header.architecture} {header.quantization}".strip(),
        task="chat",
        capabilities=("chat",),
        context_length=context,
        memory=size + cache,
        on_disk=True,
        size=size,
        folder=str(file),
        generation=header.sampling,
        figures=(
            quantization,
            Figure(name="context_length", value=context, said_by=where),
            Figure(name="memory", value=size + cache, said_by=f"its size, and {context} tokens of cache"),
            Figure(name="size", value=size, said_by="its size on disk"),
        ),
    )


def _of_folder(
    name: str, origin: Origin, folder: Path, facts: FolderFacts, *, source: str, revision: Figure | None = None
) -> ModelEntry:
    config, headers = CONFIG, "the headers of its safetensors files"
    kind = ENGINE_OF.get(facts.task or "", "")
    if facts.pickled:
        problem = "its weights are pickled: engine.allow_pickle: true in an entry of yours, if you trust them"
    elif facts.task not in ENGINE_OF:
        problem = f"no engine here runs {facts.architecture or 'a model whose config names no class'}"
    else:
        problem = "" if ID.fullmatch(name) else f"{name!r} is no id: rename the folder"
    commit = str(revision.value) if revision else None
    return ModelEntry(
        id=name,
        origin=origin,
        engine={**({"kind": kind} if kind else {}), "source": source, **({"revision": commit} if commit else {})},
        about=facts.architecture or "",
        task=facts.task,
        capabilities=("chat", "vision") if facts.task == "vision" else (facts.task,) if facts.task else (),
        context_length=facts.longest,
        memory=facts.memory_bytes(),
        on_disk=True,
        size=facts.size,
        revision=commit,
        folder=str(folder),
        generation=facts.generation,
        problem=problem or None,
        figures=(
            Figure(name="task", value=facts.task, said_by=f"the class in {config}: {facts.architecture}"),
            Figure(name="context_length", value=facts.longest, said_by=config),
            Figure(name="parameters", value=facts.parameters, said_by=headers),
            Figure(name="dtype", value=facts.dtype, said_by=headers),
            Figure(
                name="memory",
                value=facts.memory_bytes(),
                said_by=f"weights as stored ({headers}), and one context of KV cache ({config})",
            ),
            Figure(name="size", value=facts.size, said_by="the sizes of its files"),
            *([revision] if revision else []),
        ),
    )


def _gguf_of(held: Held) -> Iterator[ModelEntry]:
    for file in sorted(held.folder.glob("*.gguf")):
        if not LATER_SHARD.search(file.name) and not file.name.startswith(PROJECTOR):
            yield of_gguf(file, source=held.name, name=file.name)


def _broken(name: str, origin: Origin, place: Path, why: str, engine: dict[str, str] | None = None) -> ModelEntry:
    return ModelEntry(id=name, origin=origin, engine=engine or {}, folder=str(place), problem=why)


def _size_of_shards(file: Path, header: GgufHeader) -> int:
    if header.shards == 1:
        return header.size
    pattern = re.sub(r"-\d{5}-of-", "-*-of-", file.name)
    return sum(part.stat().st_size for part in file.parent.glob(pattern))


def _folders(root: Path) -> Iterator[Path]:
    """A root and the folders below it, as deep as names go; hidden ones and the Hub's own layout left out."""
    waiting = [(root, 0)] if root.is_dir() else []
    while waiting:
        folder, depth = waiting.pop(0)
        yield folder
        if depth < DEPTH:
            below = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
            waiting += [(path, depth + 1) for path in sorted(below) if not path.name.startswith("models--")]
