import pytest

from cluster.engines.vllm_request import error_of, honoured
from cluster.errors import BadRequest, ContextTooLong, EngineFailure, HeliostatError, Overloaded


@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        ("This model's maximum context length is 2048 tokens. However, …", 400, ContextTooLong),
        ("max_tokens=5000 cannot be greater than max_model_len=max_total_tokens=2048.", 400, ContextTooLong),
        ("top_k must be 0 (disable), or at least 1, got -5.", 400, BadRequest),
        ("not implemented for this model", 501, BadRequest),
        ("no such image", 422, BadRequest),
        ("queue full", 503, Overloaded),
        ("Internal server error", 500, EngineFailure),
    ],
)
def test_an_error_of_vllm_is_one_of_ours(message: str, code: int, kind: type[HeliostatError]) -> None:
    error = error_of({"message": message, "type": "x", "param": None, "code": code})
    assert type(error) is kind
    assert error.message == message


def test_vllm_s_note_on_the_parameter_goes_where_ours_is() -> None:
    error = error_of({"message": "too many (parameter=logprobs, value=50)", "param": "logprobs", "code": 400})
    assert (error.message, error.param) == ("too many", "logprobs")


def test_tools_are_honoured_only_with_a_parser_for_them() -> None:
    assert "tools" not in honoured(tools=False)
    assert "tools" in honoured(tools=True)


@pytest.mark.parametrize("name", ["priority", "request_id", "cache_salt", "chat_template", "kv_transfer_params"])
def test_what_belongs_to_the_server_is_no_parameter(name: str) -> None:
    assert name not in honoured(tools=True)
