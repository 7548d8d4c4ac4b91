"""Write a trained model as a folder that Transformers and vLLM load, with its card."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from pipelines.training.card import SHOWN_SAMPLING, Measured, shown_conversations, write_card
from pipelines.training.chat.evaluate import LONGEST_ANSWER, Evaluation, evaluate
from pipelines.training.decoding import Sampling, reply
from pipelines.training.loop import Training
from pipelines.training.model import Llama, restore, weights
from pipelines.training.prompts import BEGIN, END, PAD
from pipelines.training.recipe import Recipe
from pipelines.training.tokenizer import Tokenizer, write_tokenizer

_WEIGHTS = "model.safetensors"
_CARD = "README.md"


def export(model: Llama, tokenizer: Tokenizer, recipe: Recipe, out: Path) -> None:
    """Write weights in bfloat16, configuration and tokenizer into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    begin, end, pad = (tokenizer.token_to_id(token) for token in (BEGIN, END, PAD))
    ids = {"bos_token_id": begin, "eos_token_id": end, "pad_token_id": pad}
    _write(out / "config.json", recipe.architecture.config(begin=begin, end=end, pad=pad))
    _write(out / "generation_config.json", {**ids, "do_sample": True, "temperature": 0.7, "top_p": 0.9})
    write_tokenizer(tokenizer, out, context=recipe.architecture.context)
    partial = out / f"{_WEIGHTS}.partial"
    save_file(weights(model), str(partial), metadata={"format": "pt"})
    partial.chmod(0o644)  # safetensors writes for the owner alone; the repository's files are for all
    partial.replace(out / _WEIGHTS)


def load(recipe: Recipe, folder: Path) -> tuple[Llama, Tokenizer]:
    """Load what `export` wrote, weights rounded to bfloat16 as served.

    Raises:
        FileNotFoundError: if the folder holds no model.
    """
    if not (folder / _WEIGHTS).exists():
        raise FileNotFoundError(f"no {_WEIGHTS} in {folder}: train the model first")
    model = restore(recipe.architecture, load_file(str(folder / _WEIGHTS)))
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def measure(model: Llama, tokenizer: Tokenizer, *, each: int = 100) -> Evaluation:
    """Measure a model with greedy replies to `each` questions of every task."""
    greedy = Sampling(max_tokens=LONGEST_ANSWER)
    return evaluate(lambda prompts: reply(model, tokenizer, prompts, greedy), each=each)


def publish(training: Training, out: Path) -> Evaluation:
    """Export a training's model, measure the exported weights, and write the card from that."""
    recipe = training.recipe
    export(training.model, training.tokenizer, recipe, out)
    model, tokenizer = load(recipe, out)
    evaluation = measure(model, tokenizer)
    (out / _CARD).unlink(missing_ok=True)
    measured = Measured(
        minutes=training.elapsed_s / 60,
        steps=training.step,
        tokens=training.tokens,
        seed=training.seed,
        plans=tuple(training.plans),
        megabytes=sum(path.stat().st_size for path in out.iterdir()) / 1e6,
        scores=evaluation.scores,
    )
    replies = reply(model, tokenizer, shown_conversations(), SHOWN_SAMPLING)
    (out / _CARD).write_text(write_card(recipe, measured, replies))
    return evaluation


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
