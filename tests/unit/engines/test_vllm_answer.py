import json

from cluster.engines.vllm_answer import Amends

CHOICE = '{"index":0,"message":{"content":"\\"finish_reason\\":\\"tool_calls\\""},"finish_reason":"tool_calls"}'
CALLED = f'{{"choices":[{CHOICE}]}}'


def test_nothing_to_amend_is_passed_on() -> None:
    assert Amends().whole(CALLED) == CALLED.encode()
    assert Amends().event(f"data: {CALLED}\n\n") == f"data: {CALLED}\n\n".encode()


def test_a_named_tool_s_call_ends_with_stop_and_its_text_is_left_alone() -> None:
    for answer in (Amends(named=True).whole(CALLED), Amends(named=True).event(CALLED)):
        [choice] = json.loads(answer)["choices"]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"] == '"finish_reason":"tool_calls"'


def test_equal_choices_are_numbered_as_if_each_had_been_made() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    answer = json.dumps({"choices": [{"index": 0, "text": "a"}, {"index": 1, "text": "b"}], "usage": usage})
    made = json.loads(Amends(copies=2).whole(answer))
    assert [(choice["index"], choice["text"]) for choice in made["choices"]] == [
        (0, "a"),
        (1, "a"),
        (2, "b"),
        (3, "b"),
    ]
    assert made["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


def test_a_stream_of_equal_choices_has_an_event_for_each() -> None:
    amends = Amends(copies=2)
    events = amends.event('data: {"choices":[{"index":1,"text":"é"}]}\n\n').decode()
    assert [json.loads(event[6:])["choices"][0]["index"] for event in events.split("\n\n") if event] == [2, 3]
    usage = amends.event(
        'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    )
    assert json.loads(usage[6:])["usage"]["completion_tokens"] == 4
    assert amends.event("data: [DONE]\n\n") == b"data: [DONE]\n\n"
