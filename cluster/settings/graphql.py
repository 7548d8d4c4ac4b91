"""What one GraphQL operation may ask for."""

from pydantic import Field

from cluster.settings.strict import Strict


class GraphqlSettings(Strict):
    """Bounds of `/graphql`. An operation past one of them is refused before any of it runs.

    A field costs 1, one that asks a store or a replica 10 or more, and what is in a list counts as often as the
    list may have items (docs/api.md).
    """

    introspection: bool = Field(True, description="whether `__schema` and `__type` may be asked")
    max_characters: int = Field(65_536, ge=256, description="of one document; what is long goes into variables")
    max_tokens: int = Field(2_000, ge=10, description="names, numbers, strings and brackets of one document")
    max_depth: int = Field(10, ge=2, le=40, description="fields within fields; introspection has its own bound")
    max_fields: int = Field(256, ge=1, description="and spreads of fragments, as one document has them written")
    max_aliases: int = Field(32, ge=0, description="of one document")
    max_cost: int = Field(10_000, ge=1)
    max_operations: int = Field(16, ge=1, description="subscriptions and others at once on one WebSocket")
    init_timeout_s: float = Field(5.0, gt=0, description="for a WebSocket's client to say who it is")
