"""The schema is a committed snapshot: a change of it is seen in review.

`python -m tests.unit.gateway.graphql.test_schema` writes the snapshot again.
"""

from pathlib import Path

from graphql import (
    GraphQLObjectType,
    get_named_type,
    is_list_type,
)
from graphql.type import is_wrapping_type

from deployments.gateway.graphql import limits
from deployments.gateway.graphql.schema import executable, sdl

SNAPSHOT = Path(__file__).parents[4] / "docs" / "schema.graphql"


def test_the_schema_is_the_committed_one() -> None:
    assert sdl() == SNAPSHOT.read_text(), "python -m tests.unit.gateway.graphql.test_schema writes it"


def test_every_field_of_a_root_says_what_it_is_for() -> None:
    for root in (executable().query_type, executable().mutation_type, executable().subscription_type):
        assert root is not None
        for name, field in root.fields.items():
            assert field.description, name


def test_every_list_of_objects_counts_in_the_cost() -> None:
    """A field whose items have fields is one of `limits.LISTS`, or is in a page whose field is one of `PAGES`."""
    listed = set()
    for kind in executable().type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
            continue
        for name, field in kind.fields.items():
            wrapped = field.type
            while is_wrapping_type(wrapped) and not is_list_type(wrapped):
                wrapped = wrapped.of_type
            if is_list_type(wrapped) and isinstance(get_named_type(wrapped), GraphQLObjectType):
                listed.add((kind.name, name))
    pages = {one for one in listed if one[0].endswith("Page") and one[1] == "items"}
    assert {name for _, name in listed - pages} == set(limits.LISTS)
    holders = {
        name
        for kind in executable().type_map.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if str(get_named_type(field.type)).endswith("Page")
    }
    assert holders == set(limits.PAGES)


if __name__ == "__main__":
    SNAPSHOT.write_text(sdl())
