"""Transformers: what vLLM cannot run, and what runs where vLLM does not.

A model of text gets its tokenizer, one that sees gets its processor; both bring the chat template. Models whose
own code answers, such as moondream2, have an adapter of their own.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster import torchvision_ops
from cluster.engines.hub import fetch, fetch_beside
from cluster.engines.images import Picture
from cluster.engines.openmp import wait_asleep
from cluster.engines.plain_text import plain_text_for
from cluster.engines.precision import on_cpu
from cluster.engines.relay import Relay
from cluster.engines.sampling import Sampling, defaults, device, seeded
from cluster.engines.template_options import check_options, template_options
from cluster.engines.threaded import LoadedModel, Prompt
from cluster.engines.tokenizing import Tokenizing, within
from cluster.engines.vllm_process import threads
from cluster.engines.weights import folder_revision
from cluster.errors import BadRequest, StartFailed
from cluster.settings.engines import TransformersSettings
from cluster.settings.models import HubSettings
from cluster.types import Tokenized

PARAMETERS = frozenset({"top_k", "min_p", "repetition_penalty"})
PROBE = "a text to look for"
BROKEN = "\ufffd"  # what a decoder writes for half a character


def load(
    settings: TransformersSettings, model: str, *, source: str, context_length: int | None, hub: HubSettings
) -> LoadedModel:
    """The model in memory; blocks. Raises StartFailed, and whatever its files make Transformers raise."""
    folder = Path(
        fetch(
            model,
            source,
            hub,
            settings.revision,
            allow_pickle=settings.allow_pickle,
            remote_code=settings.trust_remote_code,
        )
    )
    fetch_beside(model, settings.also, hub)
    torchvision_ops.install()  # also where the .pth is not, as in a bare checkout
    wait_asleep()
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a replica's log is no terminal
    torch.set_num_threads(threads(str(folder)))
    if "HfMoondream" in (_json(folder / "config.json").get("architectures") or ()):
        from cluster.engines.moondream import Moondream

        return Moondream(settings, folder, context_length)
    return TransformersModel(settings, folder, context_length)


class TransformersModel:
    """A loaded model with a chat template. context_length: None takes the model's own."""

    def __init__(self, settings: TransformersSettings, folder: Path, context_length: int | None) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        trust = settings.trust_remote_code
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
        self.images = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        kind = AutoModelForImageTextToText if self.images else AutoModelForCausalLM
        place = device()
        dtype = on_cpu(settings.dtype) if place == "cpu" else settings.dtype
        model = kind.from_pretrained(folder, dtype=dtype, trust_remote_code=trust)
        self._model = model.to(place).eval()
        self._processor = _processor(folder, images=self.images, trust=trust)
        self._tokenizer = self._processor.tokenizer if self.images else self._processor
        self._plain = plain_text_for(self._tokenizer)
        self._decoder = copy.deepcopy(self._tokenizer)  # used by another thread, while this one encodes
        self._in_parts = _takes_parts(self._processor) if self.images else False
        own = _json(folder / "generation_config.json")
        text = config.get_text_config()
        limits = [limit for limit in (context_length, getattr(text, "max_position_embeddings", None)) if limit]
        if not limits:
            raise StartFailed(f"{folder.name} does not say how many tokens it reads", hint="set context_length")
        self.context_length = min(limits)
        self.revision = folder_revision(folder)
        self.raw = True
        self.parameters = PARAMETERS
        self.defaults: Mapping[str, Any] = defaults(settings.generation, own)
        self._ends = _ends(own, config, self._tokenizer)

    def prepare(self, messages: list[dict[str, Any]], pictures: tuple[Picture, ...]) -> Prompt:
        """The template's text, tokenised, and the pictures as the model's processor wants them."""
        text = self._rendered(messages, add_generation_prompt=True)
        given: dict[str, Any] = {"return_tensors": "pt", "add_special_tokens": False}
        if self.images:
            images = [[picture.image for picture in pictures]] if pictures else None
            inputs = self._processor(text=[text], images=images, **given)
            inputs = inputs.to(self._model.device, dtype=self._model.dtype)
        else:
            inputs = self._processor(text, return_token_type_ids=False, **given).to(self._model.device)
        return Prompt(tokens=int(inputs["input_ids"].shape[1]), inputs=dict(inputs))

    def prepare_raw(self, prompt: str | tuple[int, ...]) -> Prompt:
        """The tokens of a text as it stands, with the special ones that the tokenizer puts around it."""
        import torch

        ids = self._ids(prompt, special=True) if isinstance(prompt, str) else self._known(prompt)
        if not ids:
            raise BadRequest("prompt holds no token", hint="send text", param="prompt")
        given = torch.tensor([ids], device=self._model.device)
        return Prompt(tokens=len(ids), inputs={"input_ids": given, "attention_mask": torch.ones_like(given)})

    def tokenize(self, wanted: Tokenizing) -> Tokenized:
        """The tokens of a text, or of messages in the template."""
        if wanted.messages is None:
            text = wanted.prompt or ""
        else:
            check_options(wanted.chat_template_kwargs, template_options(self._processor.chat_template))
            text = self._rendered(
                wanted.messages,
                add_generation_prompt=wanted.add_generation_prompt,
                continue_final_message=wanted.continue_final_message,
                tools=wanted.tools,
                **(wanted.chat_template_kwargs or {}),
            )
        ids = self._ids(text, special=wanted.special)
        texts = tuple(self._tokenizer.convert_ids_to_tokens(ids)) if wanted.return_token_strs else None
        return Tokenized(tokens=tuple(ids), texts=texts)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones included."""
        return str(self._tokenizer.decode(self._known(tokens), clean_up_tokenization_spaces=False))

    def _ids(self, text: str, *, special: bool) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _known(self, tokens: Sequence[int]) -> list[int]:
        return within(tokens, len(self._tokenizer))

    def _rendered(self, messages: list[dict[str, Any]], **options: Any) -> str:
        """The template's text."""
        if not getattr(self._processor, "chat_template", None):
            raise BadRequest("The model has no chat template", hint="ask a model that chats", param="messages")
        plain = self._plain.messages(messages)
        said = [{**message, "content": self._content(message.get("content"))} for message in plain]
        try:
            return str(self._processor.apply_chat_template(said, tokenize=False, **options))
        except Exception as error:  # Jinja's errors, and whatever a template's own code raises
            reason = " ".join(str(error).split())[:300]
            hint = "other roles, or another order of them"
            raise BadRequest(f"The chat template refuses: {reason}", hint=hint, param="messages") from error

    def generate(self, prompt: Prompt, wanted: Sampling, relay: Relay) -> None:
        """Say an answer token by token."""
        import torch
        from transformers import StoppingCriteriaList

        def halted(ids: Any, *_: Any, **__: Any) -> Any:
            return torch.full((ids.shape[0],), relay.halted, dtype=torch.bool, device=ids.device)

        teller = Teller(self._decoder, relay)
        with seeded(wanted.seed), torch.inference_mode():
            self._model.generate(
                **prompt.inputs,
                generation_config=self._config(wanted),
                streamer=teller,
                stopping_criteria=StoppingCriteriaList([halted]),
            )
        relay.end("stop" if teller.last in self._ends else "length")

    def _config(self, wanted: Sampling) -> Any:
        from transformers import GenerationConfig

        drawn = wanted.temperature > 0
        figures = {"temperature": wanted.temperature, "top_p": wanted.top_p, "top_k": wanted.top_k}
        if wanted.min_p > 0:
            figures["min_p"] = wanted.min_p
        return GenerationConfig(
            max_new_tokens=wanted.max_tokens,
            do_sample=drawn,
            repetition_penalty=wanted.repetition_penalty,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],  # of a batch of one nothing is padded; without one Transformers warns
            **(figures if drawn else {}),
        )

    def _content(self, content: Any) -> Any:
        """A message's content as the template reads it: parts where it knows them, else one text."""
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        if self._in_parts:
            return [{"type": "image"} if part["type"] == "image_url" else part for part in parts]
        marks = [self._mark] * (len(parts) - len(texts))
        return "\n".join([*marks, *texts])  # vLLM's order, too

    @property
    def _mark(self) -> str:
        return str(getattr(self._processor, "image_token", "<image>"))


class Teller:
    """The streamer that `generate` gives its tokens to: it decodes them as far as they are whole characters.

    Tokens are decoded together with those before them, since a tokenizer may write a word's space only there.
    """

    def __init__(self, tokenizer: Any, relay: Relay) -> None:
        self._tokenizer = tokenizer
        self._relay = relay
        self._ids: list[int] = []
        self._from = self._told = 0
        self._prompt = True
        self.last: int | None = None

    def put(self, value: Any) -> None:
        """Called with the prompt first, then with each token."""
        if self._prompt:
            self._prompt = False
            return
        self.last = int(value.reshape(-1)[0])
        self._ids.append(self.last)
        before, now = self._text(self._ids[self._from : self._told]), self._text(self._ids[self._from :])
        if len(now) > len(before) and not now.endswith(BROKEN):
            self._relay.say(now[len(before) :])
            self._from, self._told = self._told, len(self._ids)
        else:
            self._relay.say("")

    def end(self) -> None:
        """Half a character at the very end is no text: it is left out, as vLLM does."""

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _processor(folder: Path, *, images: bool, trust: bool) -> Any:
    from transformers import AutoProcessor, AutoTokenizer

    kind = AutoProcessor if images else AutoTokenizer
    return kind.from_pretrained(folder, trust_remote_code=trust)


def _takes_parts(processor: Any) -> bool:
    """Whether the template reads content as a list of parts; one that does not prints the list, or fails."""
    from jinja2 import TemplateError

    message = {"role": "user", "content": [{"type": "text", "text": PROBE}]}
    try:
        text = processor.apply_chat_template([message], tokenize=False)
    except (TemplateError, TypeError, ValueError):
        return False
    return PROBE in text and "'type'" not in text


def _ends(own: Mapping[str, Any], config: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer."""
    found = own.get("eos_token_id", getattr(config.get_text_config(), "eos_token_id", None))
    ids = found if isinstance(found, list) else [found]
    ends = [int(token) for token in dict.fromkeys([*ids, tokenizer.eos_token_id]) if token is not None]
    if not ends:
        raise StartFailed("The model does not say which token ends an answer", hint="eos_token_id in its config")
    return ends


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}
