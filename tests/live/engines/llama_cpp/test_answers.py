"""What the llama.cpp engine says of the built-in model as a GGUF file, in this process: no Ray."""

from pathlib import Path

import pytest

from cluster.engines.protocol import ChatEngine
from cluster.errors import BadRequest, UnsupportedParameter
from tests.live.engines.llama_cpp.engines import new
from tests.live.engines.llama_cpp.tools import WEATHER
from tests.live.engines.spark_gguf import spark_gguf
from tests.live.engines.spark_promises import FROM_PASSAGES, SparkCompletionPromises, SparkPromises
from tests.unit.engines.asking import answer, events, text_of
from tests.unit.engines.completion_promises import goes_on, tokens

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    # The warnings are those of Transformers' own modules as they are imported.
    pytest.mark.filterwarnings("ignore"),
]
QUESTIONS = (
    "Hello! How are you?",
    "What is Heliostat?",
    "What can you do?",
    "Say one word.",
    "What colour is the sky?",
    "Name three animals.",
    "What is two plus three?",
    "Tell me about the sun.",
    "Who made you?",
    FROM_PASSAGES,
)


class TestLlamaCpp(SparkPromises):
    pass


class TestLlamaCppCompletions(SparkCompletionPromises):
    pass


async def test_it_says_greedily_what_transformers_says_of_the_same_weights(engine: ChatEngine) -> None:
    theirs = new(Path("models/spark-chat"), "transformers", dtype="float32")
    try:
        await theirs.start()
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}]
            ours = (await tokens(engine, messages=messages)).tokens
            assert ours == (await tokens(theirs, messages=messages)).tokens, question
            found = [await answer(each, text=question, temperature=0, max_tokens=40) for each in (engine, theirs)]
            said = [each["choices"][0]["message"]["content"] for each in found]
            assert said[0] == said[1]
            assert found[0]["usage"] == found[1]["usage"]
    finally:
        await theirs.stop()


async def test_the_file_s_own_sampling_and_revision_are_known(engine: ChatEngine, file: Path) -> None:
    other = new(file, max_num_seqs=1, generation={"temperature": 0})
    try:
        await other.start()
        assert other.revision == engine.revision
        settled = [(await answer(other, max_tokens=12))["choices"] for _ in range(2)]
        assert settled[0] == settled[1] == (await answer(engine, temperature=0, max_tokens=12))["choices"]
    finally:
        await other.stop()


async def test_log_probabilities_come_whole_and_streamed(engine: ChatEngine) -> None:
    wanted = {"temperature": 0, "max_tokens": 4, "logprobs": True, "top_logprobs": 2}
    content = (await answer(engine, **wanted))["choices"][0]["logprobs"]["content"]
    assert len(content) == 4
    for figure in content:
        assert set(figure) == {"token", "bytes", "logprob", "top_logprobs"}
        assert [top["logprob"] for top in figure["top_logprobs"]] == sorted(
            (top["logprob"] for top in figure["top_logprobs"]), reverse=True
        )
        assert (figure["logprob"], len(figure["top_logprobs"])) == (figure["top_logprobs"][0]["logprob"], 2)
    chunks = await events(engine, **wanted)
    held = [choice["logprobs"] for chunk in chunks[:-1] for choice in chunk["choices"] if choice["logprobs"]]
    assert [figure["token"] for each in held for figure in each["content"]] == [each["token"] for each in content]
    assert not (await answer(engine, max_tokens=2))["choices"][0]["logprobs"]


async def test_penalties_and_biases_change_an_answer(engine: ChatEngine) -> None:
    told = {"text": "Tell me a short story about a fox.", "temperature": 0}  # long enough to repeat itself
    plain = (await answer(engine, **told, max_tokens=24))["choices"][0]["message"]["content"]
    first = (await tokens(engine, prompt=plain, add_special_tokens=False)).tokens[0]
    for other in ({"logit_bias": {str(first): -100}}, {"frequency_penalty": 2}, {"repetition_penalty": 3}):
        said = (await answer(engine, **told, max_tokens=24, **other))["choices"][0]["message"]["content"]
        assert said != plain, other
    always = await answer(engine, **told, max_tokens=3, logit_bias={str(first): 100})
    assert always["choices"][0]["message"]["content"] == (await engine.detokenize([first])) * 3


async def test_the_end_of_an_answer_can_be_ignored(engine: ChatEngine) -> None:
    found = await answer(engine, temperature=0, max_tokens=120, ignore_eos=True)
    assert found["usage"]["completion_tokens"] == 120


async def test_the_stop_string_that_was_met_is_told(engine: ChatEngine) -> None:
    whole = (await answer(engine, temperature=0, max_tokens=16))["choices"][0]["message"]["content"]
    found = (await answer(engine, temperature=0, max_tokens=16, stop=["\x00", whole[3:6]]))["choices"][0]
    assert found["stop_reason"] == whole[3:6]


async def test_a_model_without_a_template_goes_on_with_prompts_only(tmp_path: Path) -> None:
    engine = new(spark_gguf(tmp_path / "bare.gguf", template=False))
    try:
        await engine.start()
        with pytest.raises(BadRequest, match="no chat template"):
            await answer(engine)
        with pytest.raises(UnsupportedParameter):
            await answer(engine, tools=[WEATHER])
        assert (await goes_on(engine, "Hello, I am", max_tokens=3))["choices"][0]["text"]
    finally:
        await engine.stop()


async def test_a_text_may_hold_what_ends_lines_in_unicode(engine: ChatEngine) -> None:
    text = "a\u2028b\x85c\r\nd\x0be \U0001f600"
    found = await goes_on(engine, text, max_tokens=1, echo=True)
    assert found["choices"][0]["text"].startswith(text)
    assert await engine.detokenize((await tokens(engine, prompt=text, add_special_tokens=False)).tokens) == text
    chunks = await events(engine, text=text, temperature=0, max_tokens=4, logit_bias={"200": 5})
    assert text_of(chunks) is not None
