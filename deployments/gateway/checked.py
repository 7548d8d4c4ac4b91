"""Requests that were checked: their models can answer them."""

from dataclasses import dataclass

from cluster.types import ChatCall
from deployments.gateway.principal import Principal
from deployments.gateway.wire import ChatRequest, CompletionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedChat:
    """A chat request that its model can answer. wanted: what call.body says, parsed. others: may answer, too.

    promoted: the names of the parameters that the request left out and its model's promotion says.
    """

    call: ChatCall
    wanted: ChatRequest
    principal: Principal
    others: tuple[str, ...] = ()
    promoted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCompletion:
    """The same of a raw prompt, or several."""

    call: ChatCall
    wanted: CompletionRequest
    principal: Principal
    others: tuple[str, ...] = ()
    promoted: frozenset[str] = frozenset()


Checked = CheckedChat | CheckedCompletion
