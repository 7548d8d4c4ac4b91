"""Write spark-chat as a folder that Transformers and vLLM load, and read it back."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from pipelines.training.model import Llama, restore, weights
from pipelines.training.prompts import BEGIN, END, PAD
from pipelines.training.recipe import Recipe
from pipelines.training.tokenizer import Tokenizer, write_tokenizer

WEIGHTS = "model.safetensors"


def export(model: Llama, tokenizer: Tokenizer, recipe: Recipe, out: Path) -> None:
    """Write weights in bfloat16, configuration and tokenizer into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    begin, end, pad = (tokenizer.token_to_id(token) for token in (BEGIN, END, PAD))
    ids = {"bos_token_id": begin, "eos_token_id": end, "pad_token_id": pad}
    _write(out / "config.json", recipe.shape.config(begin=begin, end=end, pad=pad))
    _write(out / "generation_config.json", {**ids, "do_sample": True, "temperature": 0.7, "top_p": 0.9})
    write_tokenizer(tokenizer, out, context=recipe.shape.context)
    partial = out / f"{WEIGHTS}.partial"
    save_file(weights(model), str(partial), metadata={"format": "pt"})
    partial.chmod(0o644)  # safetensors writes for the owner alone; the repository's files are for all
    partial.replace(out / WEIGHTS)


def load(recipe: Recipe, folder: Path) -> tuple[Llama, Tokenizer]:
    """Load what `export` wrote, weights rounded to bfloat16 as served.

    Raises:
        FileNotFoundError: if the folder holds no model.
    """
    if not (folder / WEIGHTS).exists():
        raise FileNotFoundError(f"no {WEIGHTS} in {folder}: train the model first")
    model = restore(recipe.shape, load_file(str(folder / WEIGHTS)))
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
