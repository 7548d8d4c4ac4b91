"""What a document may ask for, decided before any of it runs.

In this order, each step cheap where the one before it has passed: the document's length; its tokens and how deep
its brackets nest, by the lexer alone, as the parser recurses; the fields and aliases that are written in it; the
schema's own rules; then depth and cost of the operation that is to run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    Token,
    TokenKind,
    VariableNode,
    parse,
)
from graphql.language import Lexer, Node

from cluster.errors import QueryTooComplex, UnreadableQuery
from cluster.settings.graphql import GraphqlSettings

MOST_NESTED = 48  # brackets within brackets: what the parser and the rules go into without exhausting the stack
LONGEST_NAME = 128  # characters of a name or a number; the rules look for similar names
SHOWN = 300  # characters of a message
WHOLE_PAGE = 200  # items that a page whose limit nobody can tell may have
READS = 10  # cost of a field that asks a store or a replica
COSTS = {
    "availableModels": 20,
    "model": READS,
    "conversations": READS,
    "conversation": READS,
    "messages": READS,
    "experiments": READS,
    "experiment": READS,
    "batchStatus": READS,
    "prompts": READS,
    "record": READS,
    "createConversation": READS,
    "loadModel": 500,
    "unloadModel": 500,
    "startBatch": 500,
    "sendMessage": 1000,
    "streamMessage": 1000,
    "__schema": 1000,
    "__type": 100,
}
"""What a field costs beside what is in it; all others 1."""

PAGES = {"conversations": 50, "messages": 100, "experiments": 50}
"""Fields whose `limit` says how many items they have, and what it is by default."""

LISTS = {"availableModels": 20}
"""Fields with as many items as there happen to be."""

OPEN = frozenset({TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L})
CLOSE = frozenset({TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R})
LONG = frozenset({TokenKind.NAME, TokenKind.INT, TokenKind.FLOAT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How much a selection asks for. depth: fields within fields."""

    depth: int = 0
    cost: int = 0


def read(text: str, limits: GraphqlSettings) -> DocumentNode:
    """A document's tree, small enough for what comes next. Raises UnreadableQuery, QueryTooComplex."""
    if len(text) > limits.max_characters:
        raise _over("characters", len(text), limits.max_characters, "send long texts as variables")
    try:
        _count_tokens(text, limits)
        document = parse(text, no_location=False)
    except GraphQLSyntaxError as error:
        places = error.locations or []
        place = f" (line {places[0].line}, column {places[0].column})" if places else ""
        raise UnreadableQuery(f"{error.message[:SHOWN]}{place}", param="query") from None
    fields = aliases = 0
    for node in _nodes(document):
        fields += isinstance(node, FieldNode | FragmentSpreadNode | InlineFragmentNode)
        aliases += isinstance(node, FieldNode) and node.alias is not None
    if fields > limits.max_fields:
        raise _over("fields", fields, limits.max_fields)
    if aliases > limits.max_aliases:
        raise _over("aliases", aliases, limits.max_aliases)
    return document


def weigh(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    limits: GraphqlSettings,
) -> None:
    """Check what an operation of a valid document asks for. Raises QueryTooComplex."""
    weight = _Scale(document, operation, variables).selection(operation.selection_set)
    if weight.depth > limits.max_depth:
        raise _over("levels deep", weight.depth, limits.max_depth)
    if weight.cost > limits.max_cost:
        raise _over("cost", weight.cost, limits.max_cost, "ask for fewer items, or in several requests")


class _Scale:
    """Weighs selections; each fragment once, however often it is spread."""

    def __init__(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._variables = dict(variables)
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            if name not in self._variables and isinstance(definition.default_value, IntValueNode):
                self._variables[name] = int(definition.default_value.value)
        self._known: dict[str, Weight] = {}

    def selection(self, selected: SelectionSetNode | None) -> Weight:
        """Of all that is selected together."""
        depth = cost = 0
        for node in selected.selections if selected is not None else ():
            weight = self._of(node)
            depth, cost = max(depth, weight.depth), cost + weight.cost
        return Weight(depth=depth, cost=cost)

    def _of(self, node: Node) -> Weight:
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in self._known:
                self._known[name] = self.selection(self._fragments[name].selection_set)
            return self._known[name]
        if isinstance(node, InlineFragmentNode):
            return self.selection(node.selection_set)
        assert isinstance(node, FieldNode)
        within = self.selection(node.selection_set)
        name = node.name.value
        introspects = name in {"__schema", "__type"}  # how deep it may go is one of the schema's own rules
        return Weight(
            depth=1 if introspects else 1 + within.depth,
            cost=COSTS.get(name, 1) + self._items(node) * within.cost,
        )

    def _items(self, node: FieldNode) -> int:
        name = node.name.value
        if name not in PAGES:
            return LISTS.get(name, 1)
        for argument in node.arguments or ():
            if argument.name.value == "limit":
                said: Any = WHOLE_PAGE
                if isinstance(argument.value, IntValueNode):
                    said = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    said = self._variables.get(argument.value.name.value, PAGES[name])
                return said if isinstance(said, int) and 0 <= said <= WHOLE_PAGE else WHOLE_PAGE
        return PAGES[name]


def _count_tokens(text: str, limits: GraphqlSettings) -> None:
    lexer = Lexer(Source(text))
    count = nested = 0
    token: Token = lexer.advance()
    while token.kind is not TokenKind.EOF:
        count += 1
        if count > limits.max_tokens:
            raise _over("tokens", None, limits.max_tokens)
        if token.kind in LONG and token.end - token.start > LONGEST_NAME:
            raise QueryTooComplex(f"A name or number has more than {LONGEST_NAME} characters", param="query")
        nested += (token.kind in OPEN) - (token.kind in CLOSE)
        if nested > MOST_NESTED:
            raise _over("brackets within brackets", None, MOST_NESTED)
        token = lexer.advance()


def _nodes(document: DocumentNode) -> Iterator[Node]:
    """All nodes of a document, without recursion."""
    left: list[Node] = [document]
    while left:
        node = left.pop()
        yield node
        for key in node.keys:
            value = getattr(node, key, None)
            if isinstance(value, Node):
                left.append(value)
            elif isinstance(value, list | tuple):
                left += [one for one in value if isinstance(one, Node)]


def _over(what: str, count: int | None, most: int, hint: str | None = None) -> QueryTooComplex:
    asked = "more" if count is None else str(count)
    return QueryTooComplex(
        f"The query is too large: {what}: {asked}, and at most {most} are allowed",
        hint=hint or "ask in several requests",
        param="query",
    )
