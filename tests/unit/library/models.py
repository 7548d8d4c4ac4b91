"""Small models, whole and broken, as files."""

import json
import struct
from pathlib import Path

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "max_position_embeddings": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 64,
}


def tensors(bytes_each: int = 4096, names: tuple[str, ...] = ("a", "b")) -> bytes:
    """A whole safetensors file of 16-bit numbers."""
    header = {
        name: {
            "dtype": "BF16",
            "shape": [bytes_each // 2],
            "data_offsets": [at * bytes_each, (at + 1) * bytes_each],
        }
        for at, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    content = b"".join(bytes([at + 1]) * bytes_each for at in range(len(names)))
    return struct.pack("<Q", len(text)) + text + content


def files(*, weights: int = 4096, config: dict[str, object] | None = None) -> dict[str, bytes]:
    """A whole model, in what a repository holds."""
    return {
        "config.json": json.dumps(CONFIG if config is None else config).encode(),
        "tokenizer.json": b'{"version": "1.0"}',
        "generation_config.json": b'{"temperature": 0.5, "top_p": 0.9, "eos_token_id": 2}',
        "model.safetensors": tensors(weights),
    }


def write(folder: Path, content: dict[str, bytes]) -> Path:
    """Put files into a folder."""
    for name, data in content.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder
