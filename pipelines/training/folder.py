"""The files of a model's folder that every architecture writes and reads alike."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

_WEIGHTS = "model.safetensors"


def write_weights(tensors: dict[str, Tensor], folder: Path) -> None:
    """Write the weights; a crash while writing leaves those before."""
    partial = folder / f"{_WEIGHTS}.partial"
    save_file(tensors, str(partial), metadata={"format": "pt"})
    partial.chmod(0o644)  # safetensors writes for the owner alone; the repository's files are for all
    partial.replace(folder / _WEIGHTS)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights.

    Raises:
        FileNotFoundError: if the folder holds no model.
    """
    if not (folder / _WEIGHTS).exists():
        raise FileNotFoundError(f"no {_WEIGHTS} in {folder}: train the model first")
    return load_file(str(folder / _WEIGHTS))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file as the folders have them."""
    path.write_text(json.dumps(content, indent=2) + "\n")
