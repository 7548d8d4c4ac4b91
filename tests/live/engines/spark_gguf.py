"""The built-in model as a GGUF file, by llama.cpp's names and its order of rotated dimensions.

It stays a test's: the model cuts words by a pattern of its own, which no GGUF file can say, so a few texts are
other tokens there than in the model's folder.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cluster.engines.source import project_root
from tests.unit.engines.gguf_files import write_gguf

FOLDER = project_root() / "models" / "spark-chat"
LINES = "ĊĊ"  # two ends of lines: one token for llama.cpp wherever they stand, but two here before a word
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
CUTS = "tekken"  # of the patterns that llama.cpp knows, the nearest: single digits, and whole words before merges
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def spark_gguf(path: Path, *, template: bool = True) -> Path:
    """Write the file."""
    config = _json("config.json")
    metadata = _metadata(config) | _vocabulary(config)
    if template:
        metadata["tokenizer.chat_template"] = (FOLDER / "chat_template.jinja").read_text()
    tensors = {}
    for name, array in _weights().items():
        heads = config["num_attention_heads"] if ".q_proj" in name else config["num_key_value_heads"]
        tensors[_name(name)] = _rotated(array, heads) if ".q_proj" in name or ".k_proj" in name else array
    return write_gguf(path, metadata, tensors)


def _metadata(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "general.name": "Spark Chat",
        "general.file_type": 0,
        "general.sampling.temp": 0.7,
        "general.sampling.top_p": 0.9,
        "llama.block_count": config["num_hidden_layers"],
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": config["num_attention_heads"],
        "llama.attention.head_count_kv": config["num_key_value_heads"],
        "llama.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "llama.rope.dimension_count": config["head_dim"],
        "llama.rope.freq_base": config["rope_theta"],
        "llama.vocab_size": config["vocab_size"],
    }


def _vocabulary(config: dict[str, Any]) -> dict[str, Any]:
    tokenizer = _json("tokenizer.json")
    words = {number: word for word, number in tokenizer["model"]["vocab"].items()}
    words[tokenizer["model"]["vocab"][LINES]] = "<unreachable>"
    kinds = dict.fromkeys(words, NORMAL)
    for token in tokenizer["added_tokens"]:
        words[token["id"]] = token["content"]
        kinds[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": CUTS,
        "tokenizer.ggml.tokens": [words[number] for number in range(config["vocab_size"])],
        "tokenizer.ggml.token_type": [kinds[number] for number in range(config["vocab_size"])],
        "tokenizer.ggml.merges": [
            " ".join(pair) for pair in tokenizer["model"]["merges"] if "".join(pair) != LINES
        ],
        "tokenizer.ggml.bos_token_id": config["bos_token_id"],
        "tokenizer.ggml.eos_token_id": config["eos_token_id"],
        "tokenizer.ggml.padding_token_id": config["pad_token_id"],
        "tokenizer.ggml.add_bos_token": False,
    }


def _weights() -> dict[str, Any]:
    """The weights as float32."""
    raw = (FOLDER / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    found = {}
    for name, about in json.loads(raw[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in about["data_offsets"])
        halves = np.frombuffer(raw[begin:end], np.uint16).reshape(about["shape"])
        found[name] = (halves.astype(np.uint32) << 16).view(np.float32)
    return found


def _rotated(array: Any, heads: int) -> Any:
    """Pairs of rotated dimensions beside each other, where the folder has them half a head apart."""
    rows, columns = array.shape
    return array.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _name(name: str) -> str:
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def _json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found
