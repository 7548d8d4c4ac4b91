"""What one operation may ask for: each bound, and that hostile documents cost little."""

import contextlib
import time
from typing import Any

import pytest
from graphql import get_introspection_query, get_operation_ast

from cluster.errors import HeliostatError
from cluster.settings.graphql import GraphqlSettings
from deployments.gateway.graphql import limits
from deployments.gateway.graphql.operation import Refused, checked
from deployments.gateway.graphql.wire import OperationRequest

LIMITS = GraphqlSettings()
SOON_S = 5  # of this thread's own time: milliseconds on a machine at rest, minutes without the bounds


def refusal(query: str, variables: dict[str, Any] | None = None, **changes: Any) -> tuple[str, str]:
    """The code and message with which a document is refused."""
    settings = LIMITS.model_copy(update=changes)
    wanted = OperationRequest.model_construct(query=query, variables=variables, operationName=None)
    try:
        checked(wanted, settings, "r")
    except HeliostatError as error:
        return error.code, error.message
    except Refused as refused:
        error = refused.errors[0]
        return error["extensions"]["code"], error["message"]
    raise AssertionError("it was not refused")


def cost(query: str, variables: dict[str, Any] | None = None) -> limits.Weight:
    document = limits.read(query, LIMITS)
    operation = get_operation_ast(document)
    assert operation is not None
    return limits._Scale(document, operation, variables or {}).selection(operation.selection_set)


def test_the_standard_introspection_query_is_within_the_limits() -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True
    )
    checked(OperationRequest(query=query), LIMITS, "r")


def test_introspection_may_be_off() -> None:
    code, _ = refusal("{ __schema { types { name } } }", introspection=False)
    assert code == "graphql_validation_failed"
    checked(OperationRequest(query="{ __typename }"), LIMITS.model_copy(update={"introspection": False}), "r")


NESTED = "items { messages(limit: $n) { items { id } } }"
SENT = 'sendMessage(input: {conversationId: 1, content: ""}) { finishReason }'


def many(count: int, field: str) -> str:
    """As many fields, each under a name of its own."""
    return "{" + " ".join(f"a{number}: {field}" for number in range(count)) + "}"


@pytest.mark.parametrize(
    ("query", "changes", "says"),
    [
        ("#" + "x" * 70_000, {}, "characters"),
        ("{" + " __typename" * 3000 + "}", {}, "tokens"),
        ("{" * 60, {}, "brackets"),
        ("{ model(id: " + "[" * 1000 + "1" + "]" * 1000 + ") { id } }", {}, "brackets"),
        ("query ($a: " + "[" * 100 + "Int" + "]" * 100 + ") { __typename }", {}, "brackets"),
        ("{ " + "a" * 200 + " }", {}, "name"),
        ("{ model(id: " + "9" * 5000 + ") { id } }", {}, "number"),
        ("{" + " __typename" * 300 + "}", {}, "fields"),
        (many(40, "__typename"), {}, "aliases"),
        ("{ conversation(id: 1) { messages { items { content } } } }", {"max_depth": 3}, "levels"),
        ("{ conversations(limit: 200) { items { messages(limit: 200) { items { content } } } } }", {}, "cost"),
        ("query ($n: Int = 200) { conversations(limit: $n) { " + NESTED + " } }", {}, "cost"),
        ("mutation " + many(11, SENT), {}, "cost"),
        (many(12, "__schema { types { name } }"), {}, "cost"),
        ("{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", {}, "introspection"),
    ],
)
def test_past_each_bound_it_is_refused_and_the_bound_named(query: str, changes: dict[str, Any], says: str) -> None:
    began = time.thread_time()
    code, message = refusal(query, **changes)
    assert time.thread_time() - began < SOON_S
    assert code in {"graphql_too_complex", "graphql_validation_failed"}
    assert says in message


def test_a_page_costs_as_often_as_it_may_have_items() -> None:
    page = "query ($n: Int) { conversations(limit: $n) { items { id } } }"
    assert cost(page, {"n": 3}).cost == 10 + 3 * 2
    assert cost(page, {"n": 4}).cost == 10 + 4 * 2
    assert cost("{ conversations { items { id } } }").cost == 10 + 50 * 2
    assert cost(page, {"n": "a text"}).cost == cost(page, {"n": -5}).cost == cost(page, {"n": True}).cost + 398


def test_a_fragment_costs_each_time_that_it_is_spread_but_is_weighed_once() -> None:
    fragments = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(100))
    weight = cost("{ ...F0 } " + fragments + " fragment F100 on Query { __typename }")
    assert weight.cost == 2**100


def test_fragments_hide_no_depth() -> None:
    query = """{ ...A } fragment A on Query { conversation(id: 1) { ...B } }
      fragment B on Conversation { messages { items { ... { id } } } }"""
    assert cost(query).depth == 4


def web(size: int) -> str:
    """Fragments, each spread by three others."""
    spread = "{" + " ".join(f"... {{ ...F{number} }}" for number in range(size)) + "}"
    for number in range(size):
        next_ones = " ".join(f"...F{other}" for other in range(number + 1, min(number + 4, size)))
        spread += f"fragment F{number} on Query {{ {next_ones} __typename }}"
    return spread


def chain(length: int) -> str:
    """Fragments, each spread by the two before it."""
    spread = "{ ...F0 }"
    for number in range(length):
        next_ones = " ".join(f"...F{other}" for other in (number + 1, number + 2) if other < length)
        spread += f"fragment F{number} on Query {{ {next_ones} __typename }}"
    return spread


HOSTILE = {
    "one field again and again": "{" + " __typename" * 256 + "}",
    "a web of fragments": web(60),
    "unknown fields": "{" + " ".join(f"f{number}(a: $v{number}) {{ x }}" for number in range(120)) + "}",
    "unknown types": "query ("
    + " ".join(f"$v{number}: Nope{number}" for number in range(300))
    + ") { __typename }",
    "directives": "{ __typename " + "@skip(if: true) " * 300 + "}",
    "a chain of fragments": chain(80),
    "fields to be merged": "{" + " ".join("conversations { " + "total " * 20 + "}" for _ in range(12)) + "}",
}


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_the_costliest_documents_within_the_bounds_are_read_soon(query: str) -> None:
    began = time.thread_time()
    with contextlib.suppress(HeliostatError, Refused):
        checked(OperationRequest(query=query), LIMITS, "r")
    assert time.thread_time() - began < SOON_S


def test_a_document_tells_only_its_first_mistakes() -> None:
    query = "{" + " ".join(f"nope{n}" for n in range(100)) + "}"
    with pytest.raises(Refused) as refused:
        checked(OperationRequest(query=query), LIMITS, "r")
    assert len(refused.value.errors) <= 6
