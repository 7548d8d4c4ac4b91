"""The schema, built once a process. `python -m deployments.gateway.graphql.schema` prints it as SDL."""

import sys
from functools import cache

import strawberry
from graphql import GraphQLSchema

from deployments.gateway.graphql.mutations import Mutation
from deployments.gateway.graphql.queries import Query
from deployments.gateway.graphql.scalars import CONFIG
from deployments.gateway.graphql.subscriptions import Subscription


@cache
def schema() -> strawberry.Schema:
    """What may be asked, changed and followed."""
    return strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, config=CONFIG)


def executable() -> GraphQLSchema:
    """The same as graphql-core executes it."""
    return schema()._schema


def sdl() -> str:
    """The same in GraphQL's schema language: docs/schema.graphql."""
    return schema().as_str() + "\n"


if __name__ == "__main__":
    sys.stdout.write(sdl())
