"""LangChain's OpenAI classes against the real cluster, unchanged but for the address."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

MODEL = "spark-chat"


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"sunny in {city}"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture
def chat(cluster) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=f"{cluster.url}/v1", api_key="unused", temperature=0, max_retries=0)


def test_it_chats_and_counts_tokens(chat) -> None:
    answer = chat.invoke("What is 2 + 3?")
    assert answer.content.strip()
    assert answer.usage_metadata["output_tokens"] >= 1


def test_a_stream_joins_to_the_whole_answer(chat) -> None:
    asked = [HumanMessage("Tell me a short story about a fox.")]
    pieces = list(chat.stream(asked))
    assert len(pieces) > 2
    assert "".join(piece.content for piece in pieces) == chat.invoke(asked).content


async def test_many_are_asked_at_once(chat) -> None:
    answers = await chat.abatch([f"What is {number} + 1?" for number in range(8)])
    assert all(answer.content for answer in answers)


def test_a_bound_tool_is_called_and_its_result_said(chat) -> None:
    bound = chat.bind_tools([get_weather], tool_choice="required")
    asked = HumanMessage("What is the weather in Paris?")
    called = bound.invoke([asked])
    assert [call["name"] for call in called.tool_calls] == ["get_weather"]
    assert isinstance(called.tool_calls[0]["args"]["city"], str)
    result = ToolMessage(get_weather.invoke(called.tool_calls[0]["args"]), tool_call_id=called.tool_calls[0]["id"])
    said = chat.bind_tools([get_weather]).invoke([asked, called, result])
    assert isinstance(said, AIMessage)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_the_class_that_was_asked_for(chat, method: str) -> None:
    person = chat.with_structured_output(Person, method=method).invoke(
        "Write a JSON object with the keys name, age."
    )
    assert isinstance(person, Person)


def test_the_responses_api_answers_it_too(cluster) -> None:
    chat = ChatOpenAI(
        model=MODEL, base_url=f"{cluster.url}/v1", api_key="unused", temperature=0, use_responses_api=True
    )
    assert chat.invoke("Say hello.").text.strip()


def test_embeddings_of_documents_and_of_a_query_agree(cluster) -> None:
    embeddings = OpenAIEmbeddings(
        model="all-MiniLM-L6-v2",
        base_url=f"{cluster.url}/v1",
        api_key="unused",
        check_embedding_ctx_length=False,  # its own tokenizer is loaded from the network
    )
    [first, second] = embeddings.embed_documents(["A mirror follows the sun.", "Bread is baked."])
    assert len(first) == 384
    assert embeddings.embed_query("A mirror follows the sun.") == pytest.approx(first, abs=1e-3)
    assert first != pytest.approx(second, abs=1e-2)
