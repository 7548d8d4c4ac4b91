"""What is found in a vector store, and by which attributes."""

from typing import Any

import openai
import pytest

from tests.unit.gateway.documents.vector_stores.weather import filled


async def test_attributes_filter_and_change(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann, year=2024, draft=False)
    only: Any = {"type": "eq", "key": "about", "value": "rain"}
    found = await ann.vector_stores.search(store, query="what covers it", filters=only, max_num_results=5)
    assert {hit.filename for hit in found.data} == {"rain.txt"}
    assert found.data[0].attributes == {"about": "rain", "year": 2024, "draft": False}
    changed = await ann.vector_stores.files.update(
        found.data[0].file_id, vector_store_id=store, attributes={"about": "drizzle"}
    )
    assert changed.attributes == {"about": "drizzle"}
    assert (await ann.vector_stores.search(store, query="covers", filters=only)).data == []


async def test_several_queries_are_one_search(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann)
    found = await ann.vector_stores.search(store, query=["Alps snow", "Wales rain"], max_num_results=2)
    assert {hit.filename for hit in found.data} == {"snow.txt", "rain.txt"}
    assert len(found.data) == 2


async def test_a_threshold_leaves_out_what_is_far(ann: openai.AsyncOpenAI) -> None:
    store = await filled(ann)
    options: Any = {"score_threshold": 0.99, "ranker": "auto"}
    found = await ann.vector_stores.search(store, query="snow covers the alps", ranking_options=options)
    assert [hit.content[0].text for hit in found.data] == ["Snow covers the Alps."]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": []}, "query"),
        ({"query": "q" * 9000}, "query"),
        ({"query": "q", "max_num_results": 51}, "max_num_results"),
        ({"query": "q", "filters": {"type": "eq", "key": "a"}}, "filters.value"),
        ({"query": "q", "filters": {"type": "and", "filters": [{"type": "x"}]}}, "filters.filters[0].type"),
        ({"query": "q", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
        ({"query": "q", "rewrite_query": True}, "rewrite_query"),
        ({"query": "q", "colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_of_a_search_is_named(
    ann: openai.AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    store = await ann.vector_stores.create()
    with pytest.raises(openai.BadRequestError) as refused:
        await ann.post(f"/vector_stores/{store.id}/search", body=fields, cast_to=object)
    assert refused.value.param == param
