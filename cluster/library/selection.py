"""Which files of a repository a model needs: the weights once, in the safest format, and no code unless allowed."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from cluster.errors import BrokenModel, NoWeights, PickledWeights
from cluster.library.manifest import Order, RemoteFile

# What no engine here reads, and some repositories are full of: SmolVLM's ONNX files are ten times its weights.
IGNORED = (
    "onnx/*", "*.onnx", "*.onnx_data", "*.gguf", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.mlmodel", "openvino/*",
    "*.mlpackage/*", "original/*", "coreml/*", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.webp", "*.mp4", "*.pdf",
    "*.zip", "*.ipynb", "*.lock", ".*", "*/.*",
)  # fmt: skip
TRAINING = (
    "training_args.bin",
    "optimizer.*",
    "scheduler.*",
    "rng_state*",
    "scaler.pt",
    "*/optimizer.*",
    "*.tfevents*",
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
CODE = (".py", ".so", ".sh")
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
TWICE = ("consolidated*.safetensors",)  # Mistral's own format beside the usual one


def needed(name: str, files: Iterable[RemoteFile], order: Order) -> tuple[RemoteFile, ...]:
    """The files to have, sorted, the small ones that describe a model before its weights.

    Raises NoWeights, PickledWeights, and BrokenModel for a path that leads out of the model's folder.
    """
    listed = [_safe(name, file) for file in files]
    if order.only:
        chosen = [file for file in listed if _matches(file.path, order.only)]
        if not chosen:
            raise NoWeights(f"{name} has no file {order.only[0]}", hint=_offered(listed))
    else:
        chosen = _chosen(name, listed, order)
    return tuple(sorted(chosen, key=lambda file: (_is_weights(file.path), file.path)))


def with_shards(file: str) -> str:
    """The pattern of a file and those that it is cut into; of one that is not cut, its name."""
    return re.sub(r"-\d{5}(-of-\d{5}\.gguf)$", r"-*\1", file)


def _chosen(name: str, listed: list[RemoteFile], order: Order) -> list[RemoteFile]:
    usable = [file for file in listed if not _matches(file.path, (*IGNORED, *TRAINING))]
    if not order.remote_code:
        usable = [file for file in usable if not file.path.endswith(CODE)]
    safe = [file for file in usable if file.path.endswith(".safetensors")]
    pickled = [file for file in usable if file.path.endswith(PICKLES)]
    if safe:
        twice = TWICE if any(not _matches(file.path, TWICE) for file in safe) else ()
        return [file for file in usable if file not in pickled and not _matches(file.path, twice)]
    if not order.weights:
        return [file for file in usable if file not in pickled]
    if not pickled:
        raise NoWeights(f"{name} has no weights that an engine here reads", hint=_offered(listed))
    if not order.allow_pickle:
        raise PickledWeights(
            f"{name} has pickled weights only ({pickled[0].path}), and loading those can run any code",
            hint="if you trust it, engine.allow_pickle: true in its entry; else a model with safetensors",
        )
    return usable


def _safe(name: str, file: RemoteFile) -> RemoteFile:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or "\\" in file.path or not path.parts:
        raise BrokenModel(f"{name} lists a file outside its folder: {file.path[:120]!r}")
    if HASH.fullmatch(file.digest) is None:  # it names a file of ours, and is what the content is compared with
        raise BrokenModel(f"{name} gives {file.path[:120]!r} no hash")
    return file


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _is_weights(path: str) -> bool:
    return path.endswith((".safetensors", ".gguf", *PICKLES))


def _offered(listed: list[RemoteFile]) -> str:
    """What to do, by what there is."""
    found = [file.path for file in listed if file.path.endswith(".gguf")]
    if found:
        return f"it has GGUF files: engine kind llama_cpp, file: {', '.join(found[:4])}"
    return f"it has {', '.join(file.path for file in listed[:5]) or 'no files at all'}"
