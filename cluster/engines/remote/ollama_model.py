"""What an Ollama server says of a model: `/api/version`, `/api/tags` and `/api/show`. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.engines.remote.facts import ASSUMED_CONTEXT, Facts, length

OLDEST = (0, 12, 6)  # before it a prompt that is too long was cut, and nobody told
LOGPROBS = (0, 12, 11)  # the first that has them
VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
PARAMETER = re.compile(r'^(\w+)\s+(?:"((?:[^"\\]|\\.)*)"|(\S.*?))\s*$', re.MULTILINE)
ANY_TAG = ":latest"  # of a name without a tag


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """What is known. None is what nobody says.

    digest: of the model, a new one with new weights. trained: the tokens it was made for. num_ctx, stops: of its
    Modelfile. capabilities: `completion`, `vision`, `tools`, `thinking`, `embedding`; None where none are listed.
    """

    digest: str | None = None
    trained: int | None = None
    num_ctx: int | None = None
    stops: tuple[str, ...] = ()
    capabilities: frozenset[str] | None = None
    logprobs: bool = True

    def can(self, what: str) -> bool:
        """Whether it has a capability, as far as anybody knows."""
        return self.capabilities is None or what in self.capabilities


def too_old(version: Any) -> bool:
    """Whether a server is one of those that cut prompts. A version that says nothing, as builds have, is not."""
    found = _version(version)
    return found is not None and (0, 0, 0) < found < OLDEST


def model_of(shown: Mapping[str, Any], tags: Mapping[str, Any], version: Any, *, name: str) -> OllamaModel:
    """What a server's three answers say of a model together. name: as it is asked for."""
    known = _version(version)
    modelfile = _parameters(shown.get("parameters"))
    context = modelfile.get("num_ctx", [""])[-1]
    listed = shown.get("capabilities")
    return OllamaModel(
        digest=_digest(tags, name),
        trained=_trained(shown.get("model_info")),
        num_ctx=length(int(context)) if context.isdigit() and len(context) < 12 else None,
        stops=tuple(modelfile.get("stop", ())),
        capabilities=frozenset(map(str, listed)) if isinstance(listed, list) else None,
        logprobs=known is None or known == (0, 0, 0) or known >= LOGPROBS,
    )


def facts_of(shown: Mapping[str, Any]) -> Facts:
    """What `/api/show` says of a model, in the words of all providers."""
    found = model_of(shown, {}, None, name="")
    able = found.capabilities
    return Facts(
        # As OllamaEngine has it: a long context costs the server memory, so it is not asked for unsaid.
        context_length=found.num_ctx or (min(found.trained, ASSUMED_CONTEXT) if found.trained else None),
        images=None if able is None else "vision" in able,
        tools=None if able is None else "tools" in able,
        embeds=None if able is None else "embedding" in able and "completion" not in able,
    )


def _version(text: Any) -> tuple[int, ...] | None:
    found = VERSION.match(text) if isinstance(text, str) else None
    return tuple(map(int, found.groups())) if found else None


def _trained(info: Any) -> int | None:
    """`llama.context_length`, or what the architecture is called before the dot."""
    if not isinstance(info, Mapping):
        return None
    return length(info.get(f"{info.get('general.architecture')}.context_length"))


def _parameters(text: Any) -> dict[str, list[str]]:
    """The lines of a Modelfile's parameters: a name and a value, which may be quoted; names may come again."""
    found: dict[str, list[str]] = {}
    for name, quoted, plain in PARAMETER.findall(text if isinstance(text, str) else ""):
        found.setdefault(name, []).append(plain or quoted.replace('\\"', '"').replace("\\\\", "\\"))
    return found


def _digest(tags: Mapping[str, Any], name: str) -> str | None:
    full = name if ":" in name.rpartition("/")[2] else name + ANY_TAG
    listed = tags.get("models")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and full in (one.get("name"), one.get("model")):
            found = DIGEST.fullmatch(str(one.get("digest")))
            return found[1] if found else None
    return None
