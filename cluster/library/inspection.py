"""What a model's folder says of itself: task, context, size, memory; and whether the model is whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.catalog import KeysAndValues
from cluster.errors import BrokenModel, NoWeights
from cluster.library import safetensors_header
from cluster.library.reference import inside
from cluster.library.selection import PICKLES, TRAINING

CONFIG = "config.json"
INDEX = ".safetensors.index.json"
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
LONGEST = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """A whole model in a folder. None and 0: its files do not say. Sizes in bytes.

    longest: tokens it was made for. weights_bytes: what its weights take in memory as they are stored. size: of all
    files. pickled: whether its weights are. parameters: None where the weights are pickled. code: whether Python
    files lie beside them.
    """

    task: str | None
    architecture: str | None
    longest: int | None
    parameters: int | None
    weights_bytes: int
    dtype: str
    kv: KeysAndValues | None
    size: int
    pickled: bool
    code: bool
    generation: Mapping[str, float] = field(default_factory=dict)

    def memory_bytes(self, context: int | None = None) -> int:
        """Weights, and the KV cache of one sequence of that context; without activations."""
        tokens = context or self.longest or 0
        return self.weights_bytes + (tokens * self.kv.bytes_per_token if self.kv else 0)


def look(folder: Path) -> FolderFacts:
    """Read all that is cheap to read: no weights, only their headers.

    Raises NoWeights and BrokenModel, naming the file.
    """
    config = _json(folder / CONFIG) if (folder / CONFIG).is_file() else None
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".cache" not in path.parts]
    names = [path.relative_to(folder).as_posix() for path in files]
    weights, pickled = _weights(folder, names)
    if config is None and "modules.json" not in names:
        raise BrokenModel(f"{folder} has no {CONFIG}, so nobody can say what its weights are")
    heads = [] if pickled else [safetensors_header.read(folder / name) for name in weights]
    stored = [head.dtype for head in heads if head.dtype]
    text = _text_part(config or {})
    return FolderFacts(
        task=_task(config or {}, names),
        architecture=_architecture(config or {}),
        longest=next((text[key] for key in LONGEST if isinstance(text.get(key), int)), None),
        parameters=None if pickled else sum(head.parameters for head in heads),
        weights_bytes=sum((folder / name).stat().st_size for name in weights)
        if pickled
        else sum(h.bytes for h in heads),
        dtype=stored[0] if stored else "",
        kv=_cache(text),
        size=sum(path.stat().st_size for path in files),
        pickled=pickled,
        code=any(name.endswith(".py") for name in names),
        generation=_generation(folder),
    )


def check_weights(folder: Path) -> None:
    """Raises NoWeights or BrokenModel for a folder whose weights are not there, or not whole."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    weights, pickled = _weights(folder, names)
    for name in () if pickled else weights:
        safetensors_header.read(folder / name)


def check_links(folder: Path, root: Path) -> None:
    """Raises BrokenModel for a folder, or a file in it, that is a link out of `root`."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink() and not inside(path, root):
            raise BrokenModel(
                f"{path} is a link that leaves {root}", hint="copy the files, or name their own folder"
            )


def _weights(folder: Path, names: list[str]) -> tuple[list[str], bool]:
    """The files of the weights, all there, and whether they are pickled."""
    index = next((name for name in names if name.endswith(INDEX) and "/" not in name), None)
    if index is not None:
        shards = _json(folder / index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise BrokenModel(f"{folder / index} maps no weights to files")
        wanted = sorted({str(name) for name in shards.values()})
        missing = [name for name in wanted if name not in names]
        if missing:
            raise NoWeights(
                f"{folder} lacks {len(missing)} of {len(wanted)} files of weights, such as {missing[0]}",
                hint="pull the model again",
            )
        return wanted, False
    safe = [name for name in names if name.endswith(".safetensors")]
    if safe:
        whole = [name for name in safe if not name.startswith("consolidated")] or safe
        return whole, False
    pickled = [
        name for name in names if name.endswith(PICKLES) and not any(Path(name).match(odd) for odd in TRAINING)
    ]
    if not pickled:
        raise NoWeights(f"{folder} holds no weights", hint="a folder with *.safetensors, or a GGUF file")
    return pickled, True


def _task(config: Mapping[str, Any], names: list[str]) -> str | None:
    """By what the folder holds and what its classes are called; None where neither says."""
    architecture = _architecture(config) or ""
    if architecture.endswith("ForSequenceClassification"):  # sentence-transformers keeps its cross-encoders as them
        return "rerank" if len(config.get("id2label") or "ab") == 1 else None  # two labels are not written down
    if "modules.json" in names or "config_sentence_transformers.json" in names:
        return "embedding"
    if any(key in config for key in ("vision_config", "img_processor", "mm_vision_tower")):
        return "vision"
    if architecture.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")):
        return "chat"
    if architecture.endswith("Model"):
        return "embedding"
    return None


def _architecture(config: Mapping[str, Any]) -> str | None:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else None


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def _cache(text: Mapping[str, Any]) -> KeysAndValues | None:
    layers, heads, width = (text.get(key) for key in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
    if not (isinstance(layers, int) and isinstance(heads, int) and isinstance(width, int) and heads > 0):
        return None
    kept, size = text.get("num_key_value_heads") or heads, text.get("head_dim") or width // heads
    if not (isinstance(kept, int) and isinstance(size, int) and min(layers, kept, size) > 0):
        return None
    return KeysAndValues(layers=layers, heads=kept, head_size=size)


def _generation(folder: Path) -> dict[str, float]:
    file = folder / "generation_config.json"
    if not file.is_file():
        return {}
    said = _json(file)
    return {key: said[key] for key in SAMPLING if isinstance(said.get(key), int | float)}


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenModel(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, dict):
        raise BrokenModel(f"{file} is no JSON object")
    return found
