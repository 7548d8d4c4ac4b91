"""What a chat template can be told besides the messages: `chat_template_kwargs`, such as `enable_thinking`.

vLLM and Transformers pass over a name that the template never reads. Here it is refused.
"""

import re
from collections.abc import Mapping

from cluster.errors import BadRequest, UnsupportedParameter

# What the engine itself says to a template: no request does.
RESERVED = frozenset(
    {
        "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "bos_token",
        "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token", "image_token",
        "additional_special_tokens", "raise_exception", "strftime_now", "range", "dict", "lipsum", "cycler",
        "joiner", "namespace",
    }
)  # fmt: skip
GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")  # a tag of Transformers' own
WHERE = "chat_template_kwargs"


def template_options(template: object) -> frozenset[str]:
    """The names that a template reads and that a request may set. template: a tokenizer's, of whatever kind."""
    texts = template.values() if isinstance(template, Mapping) else (template,)
    return frozenset().union(*(_variables(text) for text in texts if isinstance(text, str))) - RESERVED


def check_options(given: object, options: frozenset[str]) -> None:
    """Raise for `chat_template_kwargs` that the template does not read."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise BadRequest(f"{WHERE}: not an object", param=WHERE)
    for name in given:
        if name not in options:
            param = f"{WHERE}.{name}"[:80]
            known = ", ".join(sorted(options)) or "none"
            raise UnsupportedParameter(
                f"The chat template does not read {name[:60]!r}", hint=f"known: {known}", param=param
            )


def _variables(template: str) -> set[str]:
    from jinja2 import TemplateError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        return meta.find_undeclared_variables(environment.parse(GENERATION.sub("", template)))
    except TemplateError:
        return set()
