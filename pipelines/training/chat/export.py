"""Write spark-chat as a folder that Transformers and vLLM load, and read it back."""

from pathlib import Path

from pipelines.training.folder import read_weights, write_json, write_weights
from pipelines.training.model import Llama, restore, weights
from pipelines.training.prompts import BEGIN, END, PAD
from pipelines.training.recipe import Recipe
from pipelines.training.tokenizer import Tokenizer, write_tokenizer


def export(model: Llama, tokenizer: Tokenizer, recipe: Recipe, out: Path) -> None:
    """Write weights in bfloat16, configuration and tokenizer into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    begin, end, pad = (tokenizer.token_to_id(token) for token in (BEGIN, END, PAD))
    ids = {"bos_token_id": begin, "eos_token_id": end, "pad_token_id": pad}
    write_json(out / "config.json", recipe.shape.config(begin=begin, end=end, pad=pad))
    write_json(out / "generation_config.json", {**ids, "do_sample": True, "temperature": 0.7, "top_p": 0.9})
    write_tokenizer(tokenizer, out, context=recipe.shape.context)
    write_weights(weights(model), out)


def load(recipe: Recipe, folder: Path) -> tuple[Llama, Tokenizer]:
    """Load what `export` wrote, weights rounded to bfloat16 as served.

    Raises:
        FileNotFoundError: if the folder holds no model.
    """
    model = restore(recipe.shape, read_weights(folder))
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))
