"""moondream2: one question about one picture, by the model's own code.

Written for the revision that the catalog pins (2025-06-21): its folder brings a class `HfMoondream` with
`query(image, question, stream, settings)` and `caption(image, length, stream, settings)`. It is put together here
and not by `from_pretrained`, which in Transformers 5 needs a `post_init` that this code never calls. Tokens are
counted, and an answer halted, where it decodes each one.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.engines.images import Picture
from cluster.engines.relay import Relay
from cluster.engines.sampling import Sampling, defaults, device, seeded
from cluster.engines.threaded import Prompt
from cluster.engines.tokenizing import Tokenizing, within
from cluster.engines.weights import folder_revision
from cluster.errors import BadRequest, StartFailed, UnsupportedParameter
from cluster.settings.engines import TransformersSettings
from cluster.types import Tokenized

CONTEXT = 2048  # the length of the cache that its code makes
CLASS = "hf_moondream.HfMoondream"
CAPTION = "normal"  # what a picture without a question gets


class Halted(Exception):
    """Raised inside the model's own loop, which has no other way to be ended."""


class Moondream:
    """A loaded moondream2. context_length: None is its own."""

    def __init__(self, settings: TransformersSettings, folder: Path, context_length: int | None) -> None:
        if not settings.trust_remote_code:
            raise StartFailed(
                f"{folder.name} runs Python of its own",
                hint="trust_remote_code: true, and a revision that you know",
            )
        self._model = _model(folder).to(device()).eval()
        self._inner = self._model.model
        self._steps = _Steps(self._inner._decode_one_tok)
        self._inner._decode_one_tok = self._steps
        self.images = True
        self.raw = False  # its code puts its own template around every question
        self.context_length = min(context_length or CONTEXT, CONTEXT)
        self.revision = folder_revision(folder)
        self.parameters: frozenset[str] = frozenset()  # its code knows temperature and top_p, and nothing further
        self.defaults: Mapping[str, Any] = defaults(settings.generation, {})

    def prepare(self, messages: list[dict[str, Any]], pictures: tuple[Picture, ...]) -> Prompt:
        """One question, with a picture or without, or a picture alone, which is then captioned."""
        if len(messages) != 1 or messages[0]["role"] != "user" or len(pictures) > 1:
            raise BadRequest(
                "This model answers one question about one picture",
                hint="one user message, with everything in it",
                param="messages",
            )
        content = messages[0]["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        question = "\n".join(part["text"] for part in parts if part["type"] == "text").strip()
        if not question and not pictures:
            raise BadRequest("There is neither a question nor a picture", param="messages.0.content")
        image = pictures[0].image if pictures else None
        return Prompt(tokens=self._count(question, seen=image is not None), inputs=(image, question))

    def prepare_raw(self, prompt: str | tuple[int, ...]) -> Prompt:  # noqa: ARG002  # the promise has it
        """Never called: see `raw`."""
        raise UnsupportedParameter("This model takes no raw prompts", hint="ask it a question", param="prompt")

    def tokenize(self, wanted: Tokenizing) -> Tokenized:
        """The tokens of a text. Messages have no text of their own here: the model's code joins tokens."""
        if wanted.prompt is None:
            raise UnsupportedParameter("This model tokenises texts only", hint="send a prompt", param="messages")
        encoding = self._inner.tokenizer.encode(wanted.prompt)
        texts = tuple(encoding.tokens) if wanted.return_token_strs else None
        return Tokenized(tokens=tuple(encoding.ids), texts=texts)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        tokenizer = self._inner.tokenizer
        known = within(tokens, tokenizer.get_vocab_size())
        return str(tokenizer.decode(known, skip_special_tokens=False))

    def generate(self, prompt: Prompt, wanted: Sampling, relay: Relay) -> None:
        """Say the answer as its code yields it, a few words at a time."""
        image, question = prompt.inputs
        settings = {"max_tokens": wanted.max_tokens, "temperature": wanted.temperature, "top_p": wanted.top_p}
        steps = self._steps
        steps.begin(relay)
        told, opened = 0, False
        try:
            with seeded(wanted.seed):
                if question:
                    said = self._model.query(image, question, stream=True, settings=settings)["answer"]
                else:
                    said = self._model.caption(image, length=CAPTION, stream=True, settings=settings)["caption"]
                for text in said:
                    shown = text if opened else text.lstrip()  # its answers begin with a space
                    relay.say(shown, tokens=steps.taken - told)
                    told, opened = steps.taken, opened or bool(shown)
        except Halted:
            return relay.end("stop")
        relay.say("", tokens=steps.taken - told)
        relay.end("length" if steps.taken >= wanted.max_tokens else "stop")
        return None

    def _count(self, question: str, *, seen: bool) -> int:
        """Tokens of the picture, the question and the template between them."""
        config = self._inner.config
        patches = (config.vision.crop_size // config.vision.enc_patch_size) ** 2
        picture = 1 + patches if seen else 1
        if not question:
            return picture + len(config.tokenizer.templates["caption"][CAPTION])
        template = config.tokenizer.templates["query"]
        return (
            picture
            + len(template["prefix"])
            + len(self._inner.tokenizer.encode(question).ids)
            + len(template["suffix"])
        )


class _Steps:
    """The model's own step of one token, counted, and refused when nobody wants more."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step = step
        self._relay: Relay | None = None
        self.taken = 0

    def begin(self, relay: Relay) -> None:
        self._relay, self.taken = relay, 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        if self._relay is not None and self._relay.halted:
            raise Halted
        self.taken += 1
        return self._step(*given, **named)


def _model(folder: Path) -> Any:
    """The model of the folder's code and weights. Raises StartFailed where they do not belong together."""
    from safetensors.torch import load_file
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    kind = get_class_from_dynamic_module(CLASS, str(folder))
    model = kind(kind.config_class.from_pretrained(folder))
    weights = {
        name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()
    }
    missing = set(model.state_dict()) - weights.keys()
    if missing:
        raise StartFailed(
            f"{folder.name} has no weights for {len(missing)} of its tensors, such as {min(missing)}",
            hint="the catalog's revision, 2025-06-21",
        )
    model.load_state_dict(weights, strict=False)  # older releases carry tensors that this code does not use
    return model
