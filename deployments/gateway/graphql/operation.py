"""One operation: read, checked against the schema and the limits, and run."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    specified_rules,
    subscribe,
    validate,
)

from cluster.errors import HeliostatError, InvalidQuery
from cluster.settings.graphql import GraphqlSettings
from deployments.gateway.errors import internal
from deployments.gateway.graphql import envelope, limits
from deployments.gateway.graphql.asking import Asking
from deployments.gateway.graphql.errors import formatted
from deployments.gateway.graphql.schema import executable
from deployments.gateway.graphql.wire import OperationRequest

MOST_ERRORS = 5  # of one document that are told: looking for more costs time


class Refused(Exception):
    """An operation that does not run. errors: of its document, as the client sees them."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation that may run."""

    document: DocumentNode
    node: OperationDefinitionNode
    variables: Mapping[str, Any]
    name: str | None

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation

    async def answer(self, asked: Asking) -> dict[str, Any]:
        """What a query or mutation comes to: data, errors, or both."""
        result = execute(
            executable(),
            self.document,
            context_value=asked,
            variable_values=dict(self.variables),
            operation_name=self.name,
        )
        return response(result if isinstance(result, ExecutionResult) else await result, asked.request_id)

    async def events(self, asked: Asking) -> AsyncGenerator[dict[str, Any], None]:
        """What a subscription tells. Raises Refused where it does not begin, or breaks off."""
        try:
            source = subscribe(
                executable(),
                self.document,
                context_value=asked,
                variable_values=dict(self.variables),
                operation_name=self.name,
            )
            begun = await source if isawaitable(source) else source
            if isinstance(begun, ExecutionResult):
                raise Refused([formatted(error, asked.request_id) for error in begun.errors or ()])
            async with aclosing(cast("AsyncGenerator[ExecutionResult, None]", begun)) as results:
                async for result in results:
                    yield response(result, asked.request_id)
        except GraphQLError as error:
            raise Refused([formatted(error, asked.request_id)]) from None
        except HeliostatError as error:
            raise Refused([envelope.of(error, asked.request_id)]) from None
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - a subscription has no handler of errors around it, as a route has
            raise Refused([envelope.of(internal(error), asked.request_id)]) from None


async def prepared(wanted: OperationRequest, settings: GraphqlSettings, request_id: str | None) -> Operation:
    """An operation that may run. Raises UnreadableQuery, QueryTooComplex, InvalidQuery and Refused."""
    # In a thread: the costliest document within the bounds takes a fifth of a second, and others have streams here.
    return await asyncio.to_thread(checked, wanted, settings, request_id)


def checked(wanted: OperationRequest, settings: GraphqlSettings, request_id: str | None) -> Operation:
    """The same, at once."""
    document = limits.read(wanted.query, settings)
    rules = specified_rules if settings.introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
    problems = validate(executable(), document, rules, max_errors=MOST_ERRORS)
    if problems:
        raise Refused([formatted(problem, request_id) for problem in problems])
    node = get_operation_ast(document, wanted.operationName)
    if node is None:
        raise _unnamed(document, wanted.operationName)
    variables = wanted.variables or {}
    limits.weigh(document, node, variables, settings)
    return Operation(document=document, node=node, variables=variables, name=wanted.operationName)


def response(result: ExecutionResult, request_id: str | None) -> dict[str, Any]:
    """A result as it is sent; without `data` where nothing ran."""
    shown: dict[str, Any] = {}
    if result.errors:
        shown["errors"] = [formatted(error, request_id) for error in result.errors]
    ran = result.data is not None or any(error.path for error in result.errors or ())
    return {**shown, "data": result.data} if ran else shown


def _unnamed(document: DocumentNode, name: str | None) -> InvalidQuery:
    names = [
        node.name.value if node.name else "without a name"
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    ]
    hint = (
        f"the document has: {', '.join(names)[:200]}"
        if names
        else "a document has a query, mutation or subscription"
    )
    message = (
        "Say by operationName which operation is to run" if name is None else f"No operation is called {name!r}"
    )
    return InvalidQuery(message, hint=hint, param="operationName")
