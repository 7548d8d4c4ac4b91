"""Which model answers where the choice is ours, as a pure policy."""

import pytest

from cluster.types import LoadedModel, ModelState
from deployments.gateway.routing.auto_policy import (
    CRITERIA,
    Candidate,
    Choice,
    Lack,
    Need,
    Standing,
    choose,
    room_for,
)

ALL = frozenset({"temperature", "tools", "response_format", "max_tokens"})


def model(name: str, **facts: object) -> Candidate:
    known: dict[str, object] = {
        "context_length": 2048,
        "images": False,
        "tools": True,
        "parameters": ALL,
        "raw": ALL,
    }
    return Candidate(name=name, **{**known, **facts})  # type: ignore[arg-type]


def why(choice: Choice, name: str) -> str | None:
    return next(one.passed_over for one in choice.verdicts if one.name == name)


def test_models_that_are_alike_are_taken_in_the_order_of_the_list() -> None:
    for names in (("a", "b", "c"), ("c", "b", "a")):
        choice = choose(Need(), [model(name) for name in names])
        assert (choice.chosen, choice.reason) == (names[0], "order")
        assert choice.others == names[1:]
        assert why(choice, names[1]) == "it comes later in the list"


def test_one_that_can_do_it_alone_is_chosen_for_no_other_reason() -> None:
    assert choose(Need(), [model("a")]).reason == "only"
    assert choose(Need(images=True), [model("a"), model("eye", images=True)]).reason == "only"


@pytest.mark.parametrize(
    ("need", "facts", "lack", "said"),
    [
        (Need(images=True), {"images": False}, Lack.PICTURES, "it sees no pictures"),
        (Need(parameters=frozenset({"tools"})), {"tools": False}, Lack.TOOLS, "it calls no functions"),
        (Need(parameters=frozenset({"tools"})), {"parameters": frozenset()}, Lack.TOOLS, "it calls no functions"),
        (
            Need(parameters=frozenset({"response_format"})),
            {"parameters": frozenset({"tools"})},
            Lack.SCHEMA,
            "it writes no JSON by a schema",
        ),
        (Need(parameters=frozenset({"top_k"})), {}, Lack.PARAMETER, "it does not honour top_k"),
        (Need(raw=True), {"raw": frozenset()}, Lack.RAW, "it takes no raw prompts"),
        (
            Need(tokens=9000),
            {"context_length": 2048},
            Lack.CONTEXT,
            "its context of 2048 tokens is too short for about 9000",
        ),
    ],
)
def test_a_model_that_cannot_do_it_is_passed_over_whatever_else_speaks_for_it(
    need: Need, facts: dict[str, object], lack: Lack, said: str
) -> None:
    able = model(
        "able",
        images=True,
        parameters=ALL | {"top_k"},
        context_length=32_768,
        away="circuit_open",
        standing=Standing.CROWDED,
        waits=True,
        load=1.0,
        remote=True,
    )
    choice = choose(need, [model("unable", **facts), able])
    assert choice.chosen == "able"
    assert choice.others == ()
    assert choice.verdicts[0].lacks is lack
    assert why(choice, "unable") == said


@pytest.mark.parametrize(
    ("facts", "reason", "said"),
    [
        ({"away": "circuit_open"}, "available", "it cannot be asked now: circuit_open"),
        ({"standing": Standing.LOADING}, "loaded", "it is still loading"),
        ({"standing": Standing.UNLOADED}, "loaded", "it is not loaded"),
        (
            {"standing": Standing.CROWDED},
            "loaded",
            "it is not loaded, and there is no room but what is in use",
        ),
        ({"waits": True}, "queue", "requests wait for it"),
        ({"images": True}, "task", "it sees pictures, and none is shown"),
        ({"remote": True}, "local", "it runs elsewhere"),
        ({"load": 0.5}, "load", "it has more to do"),
    ],
)
def test_of_those_that_can_the_first_difference_decides(facts: dict[str, object], reason: str, said: str) -> None:
    choice = choose(Need(), [model("worse", **facts), model("better")])
    assert (choice.chosen, choice.reason) == ("better", reason)
    assert why(choice, "worse") == said
    assert why(choice, "better") is None


def test_the_criteria_come_in_their_order() -> None:
    ladder = [
        model("away", away="no_replicas"),
        model("tight", context_length=100),
        model("unloaded", standing=Standing.UNLOADED, context_length=400),
        model("queued", waits=True, context_length=400),
        model("eye", images=True, context_length=400),
        model("afar", remote=True, context_length=400),
        model("busy", load=0.9, context_length=400),
        model("first", context_length=400),
        model("second", context_length=400),
    ]
    left, order = list(ladder), []
    while left:
        chosen = choose(Need(tokens=150), left).chosen
        order.append(chosen)
        left = [one for one in left if one.name != chosen]
    assert order == ["first", "second", "busy", "afar", "eye", "queued", "unloaded", "tight", "away"]


def test_small_differences_of_load_do_not_decide() -> None:
    assert choose(Need(), [model("a", load=0.24), model("b", load=0.0)]).chosen == "a"
    assert choose(Need(), [model("a", load=0.25), model("b", load=0.0)]).chosen == "b"
    assert choose(Need(), [model("a", load=7.0), model("b", load=1.0)]).chosen == "a"  # both are full


def test_a_prompt_that_may_be_too_long_goes_to_a_longer_context() -> None:
    choice = choose(Need(tokens=3000), [model("short"), model("long", context_length=8192)])
    assert (choice.chosen, choice.reason) == ("long", "context")
    assert choice.others == ("short",)  # an estimate of tokens may be wrong: it is asked where nobody else answers


def test_a_context_that_nobody_knows_is_not_too_short() -> None:
    assert choose(Need(tokens=10**6), [model("a", context_length=None)]).chosen == "a"


def test_what_nobody_knows_comes_after_what_is_known() -> None:
    unknown = model("unknown", images=None, tools=None, parameters=None)
    for need in (
        Need(images=True),
        Need(parameters=frozenset({"tools"})),
        Need(parameters=frozenset({"response_format"})),
    ):
        choice = choose(need, [unknown, model("known", images=True, standing=Standing.UNLOADED)])
        assert (choice.chosen, choice.reason) == ("known", "known")
        assert choose(need, [unknown]).chosen == "unknown"


def test_nothing_is_loaded_where_that_is_off() -> None:
    cold = model("cold", standing=Standing.UNLOADED)
    assert choose(Need(), [cold], load=True).chosen == "cold"
    choice = choose(Need(), [cold], load=False)
    assert (choice.chosen, choice.verdicts[0].lacks) == (None, Lack.LOADED)


def test_others_may_answer_only_where_they_can_begin_at_once() -> None:
    listed = [model("a"), model("cold", standing=Standing.UNLOADED), model("away", away="x"), *map(model, "bcd")]
    assert choose(Need(), listed).others == ("b", "c")


def test_no_candidates_is_no_choice() -> None:
    assert choose(Need(), []) == Choice(chosen=None, reason="none")


def test_each_criterion_has_a_word() -> None:
    assert len(set(CRITERIA)) == len(CRITERIA)


def loaded(memory_gib: float, **facts: object) -> LoadedModel:
    known: dict[str, object] = {
        "id": "m", "state": ModelState.READY, "engine": "vllm", "device": "cpu", "replicas": 1, "in_use": 0,
        "waiting": 0, "pinned": False, "fixed": False, "used_at": 0.0, "until": None, "load_s": 0.0,
    }  # fmt: skip
    return LoadedModel(memory_gib=memory_gib, **{**known, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "staying", [{"fixed": True}, {"pinned": True}, {"in_use": 1}, {"state": ModelState.LOADING}]
)
def test_there_is_no_room_where_all_that_is_loaded_stays(staying: dict[str, object]) -> None:
    full = [loaded(3.0, **staying)]
    assert not room_for(1.0, full, most=1, budget_gib=8.0)
    assert room_for(1.0, full, most=2, budget_gib=4.0)
    assert not room_for(1.1, full, most=2, budget_gib=4.0)


def test_what_nobody_uses_makes_room() -> None:
    idle = [loaded(3.0), loaded(1.0)]
    assert room_for(4.0, idle, most=2, budget_gib=4.0)
    assert room_for(4.0, idle, most=2, budget_gib=None, free_gib=0.5)
    assert not room_for(5.0, idle, most=2, budget_gib=None, free_gib=0.5)


def test_an_unknown_size_has_room() -> None:
    assert room_for(None, [], most=1, budget_gib=0.1)
    assert room_for(9.0, [], most=1, budget_gib=None)
