"""One request of the Responses API, read and checked: the chat completion that answers it, and what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from starlette.requests import Request

from cluster.errors import BadRequest, ContextTooLong, ResponseNotFound, UnsupportedParameter
from cluster.stores.responses import StoredResponse
from cluster.types import Priority
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.limits import usage
from deployments.gateway.openai.responses import items, output, translate
from deployments.gateway.openai.responses.file_search import FileSearch, Searched
from deployments.gateway.openai.responses.items import Stored
from deployments.gateway.openai.responses.keeper import Keeper
from deployments.gateway.openai.responses.output import Body
from deployments.gateway.openai.responses.translate import ChatBody, PlacedItem
from deployments.gateway.openai.responses.wire import ItemReference, ResponseRequest
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Asker, principal_of
from pipelines.documents import grounding

LEAST_ANSWER = 96  # tokens that a prompt with passages leaves for an answer whose length nobody limits
CONTINUED = (output.COMPLETED, output.INCOMPLETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request that its model can answer. begun: the response in progress. items: the request's own, as stored.

    searched: what was found in files for it; None where no search was wanted.
    """

    wanted: ResponseRequest
    chat: CheckedChat
    sent: ChatBody
    begun: Body
    items: Sequence[Stored]
    owner: str
    searched: Searched | None = None

    def stored(self, body: Body) -> StoredResponse:
        """What is kept of it, with the response as it is."""
        return StoredResponse(
            id=body["id"],
            owner=self.owner,
            previous_id=self.wanted.previous_response_id,
            status=body["status"],
            input_items=self.items,
            body=body,
            created_at=datetime.fromtimestamp(body["created_at"], UTC),
        )


async def read(request: Request, chats: Chats, keeper: Keeper, search: FileSearch | None = None) -> Turn:
    """The request's turn. search: of files; None where there are no documents.

    Raises BadRequest, UnsupportedParameter, ModelNotFound, ResponseNotFound, and what `FileSearch.find` raises.
    """
    wanted = parse(ResponseRequest, await request.body())
    translate.check(wanted)
    principal = principal_of(request)
    response_id = items.new_response_id()
    own = items.numbered(await _own(wanted, principal.owner, keeper), response_id)
    place = "input" if isinstance(wanted.input, str) else "input[{}]"
    conversation = [
        *await _earlier(wanted, principal.owner, keeper),
        *(PlacedItem(item=item, place=place.format(number)) for number, item in enumerate(own)),
    ]
    asker = Asker(principal=principal, request_id=request.state.request_id)
    searched = await _searched(wanted, conversation, asker, search)
    chat, sent, searched = await _checked(wanted, conversation, searched, chats, asker)
    return Turn(
        wanted=wanted,
        chat=chat,
        sent=sent,
        searched=searched,
        begun={**output.begun(wanted, response_id), "model": chat.wanted.model},  # `auto` stands for another
        items=own,
        owner=principal.owner,
    )


async def _checked(
    wanted: ResponseRequest,
    conversation: Sequence[PlacedItem],
    searched: Searched | None,
    chats: Chats,
    asker: Asker,
) -> tuple[CheckedChat, ChatBody, Searched | None]:
    """The chat that answers, with as many passages as its model should have room for. Raises as `read`."""
    while True:
        passages = [] if searched is None else [one.found.passage for one in searched.sources[: searched.shown]]
        sent = translate.chat_body(wanted, conversation, passages)
        shrinks = searched is not None and searched.shown > 1
        try:
            with translate.as_sent(sent):
                chat = await chats.check(
                    sent.content,
                    request_id=asker.request_id,
                    principal=asker.principal,
                    priority=Priority.BACKGROUND if wanted.background else Priority.INTERACTIVE,
                )
            if not shrinks or _fits(chat, chats):
                return chat, sent, searched
        except ContextTooLong:
            if not shrinks:
                raise
        assert searched is not None
        searched = replace(searched, shown=searched.shown - 1)


async def _searched(
    wanted: ResponseRequest, conversation: Sequence[PlacedItem], asker: Asker, search: FileSearch | None
) -> Searched | None:
    if not wanted.searches:
        return None
    if search is None:
        hint = "add an embedding model to models"
        raise UnsupportedParameter("No files are searched here", hint=hint, param="tools")
    return await search.find(wanted, translate.question_of(conversation), asker)


def _fits(chat: CheckedChat, chats: Chats) -> bool:
    """Whether the model should have room for the prompt, as far as is known."""
    card = chats.last_card(chat.wanted.model)
    if card is None:
        return True
    estimate = usage.of_chat(chat.wanted)
    prompt = estimate.prompt * usage.CHARACTERS_PER_TOKEN / grounding.BYTES_PER_TOKEN
    return prompt + (estimate.answer or LEAST_ANSWER) <= card.capabilities.context_length


async def _own(wanted: ResponseRequest, owner: str, keeper: Keeper) -> list[Stored]:
    """The request's items, references looked up."""
    if isinstance(wanted.input, str):
        return [items.message(wanted.input)]
    own = []
    for place, item in enumerate(wanted.input):
        if isinstance(item, ItemReference):
            own.append(await _referred(item, owner, keeper, f"input[{place}].id"))
        else:
            own.append(items.stored(item))
    return own


async def _referred(item: ItemReference, owner: str, keeper: Keeper, param: str) -> Stored:
    try:
        return await keeper.item(owner, item.id)
    except ResponseNotFound:
        message, hint = f"No stored item with the id {item.id[:64]!r}", "send the item itself"
        raise ResponseNotFound(message, hint=hint, param=param) from None


async def _earlier(wanted: ResponseRequest, owner: str, keeper: Keeper) -> list[PlacedItem]:
    """All items of the conversation that the request goes on with."""
    param = "previous_response_id"
    if wanted.previous_response_id is None:
        return []
    try:
        chain = await keeper.conversation(owner, wanted.previous_response_id)
    except ResponseNotFound as error:
        raise ResponseNotFound(error.message, hint=error.hint, param=param) from None
    if chain[-1].status not in CONTINUED:
        hint = "continue one that has answered"
        raise BadRequest(f"The previous response is {chain[-1].status}", hint=hint, param=param)
    return [
        PlacedItem(item=dict(item), place=param)
        for response in chain
        for item in (*response.input_items, *response.body["output"])
        # A call that max_output_tokens cut has no arguments that anybody could read.
        if item["type"] != "function_call" or item["status"] != output.INCOMPLETE
    ]
