"""Queries at `/graphql`."""

from cluster.errors.requests import BadRequest


class UnreadableQuery(BadRequest):
    """A GraphQL document that is none."""

    code = "graphql_parse_failed"


class InvalidQuery(BadRequest):
    """A GraphQL document or variables that do not fit the schema."""

    code = "graphql_validation_failed"


class QueryTooComplex(BadRequest):
    """A GraphQL operation that asks for more than one may."""

    code = "graphql_too_complex"
