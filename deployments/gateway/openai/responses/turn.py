"""One request of the Responses API, read and checked: the chat completion that answers it, and what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from cluster.errors import BadRequest, ResponseNotFound
from cluster.stores.responses import StoredResponse
from cluster.types import Priority
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.openai.responses import items, output, translate
from deployments.gateway.openai.responses.items import Stored
from deployments.gateway.openai.responses.keeper import Keeper
from deployments.gateway.openai.responses.output import Body
from deployments.gateway.openai.responses.translate import ChatBody, PlacedItem
from deployments.gateway.openai.responses.wire import ItemReference, ResponseRequest
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of

CONTINUED = (output.COMPLETED, output.INCOMPLETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request that its model can answer. begun: the response in progress. items: the request's own, as stored."""

    wanted: ResponseRequest
    chat: CheckedChat
    sent: ChatBody
    begun: Body
    items: Sequence[Stored]
    owner: str

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


async def read(request: Request, chats: Chats, keeper: Keeper) -> Turn:
    """The request's turn. Raises BadRequest, UnsupportedParameter, ModelNotFound, ResponseNotFound."""
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
    sent = translate.chat_body(wanted, conversation)
    with translate.as_sent(sent):
        chat = await chats.check(
            sent.content,
            request_id=request.state.request_id,
            principal=principal,
            priority=Priority.BACKGROUND if wanted.background else Priority.INTERACTIVE,
        )
    return Turn(
        wanted=wanted,
        chat=chat,
        sent=sent,
        begun={**output.begun(wanted, response_id), "model": chat.wanted.model},  # `auto` stands for another
        items=own,
        owner=principal.owner,
    )


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
