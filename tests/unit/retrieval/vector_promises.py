"""What every vector store promises, as tests over a fixture `store`; test modules import them all."""

from tests.unit.retrieval.collection_promises import *  # noqa: F403 - the tests are the promises
from tests.unit.retrieval.publishing_promises import *  # noqa: F403
from tests.unit.retrieval.search_promises import *  # noqa: F403
