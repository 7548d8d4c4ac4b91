"""Which model goes when room is needed, and which never does."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.types import ModelState
from deployments.fleet.slots import Slot, Slots


def slots(
    *loaded: Slot, most: int = 3, memory_gib: float | None = None, gpus: float | None = None, at_once: int = 1
) -> Slots:
    table = Slots(most=most, memory_gib=memory_gib, gpus=gpus, at_once=at_once)
    for slot in loaded:
        table.put(slot)
    return table


def ready(name: str, *, used_at: float = 0.0, gib: float = 1.0, **more: object) -> Slot:
    return Slot(name=name, state=ModelState.READY, used_at=used_at, memory_gib=gib, **more)  # type: ignore[arg-type]


def test_an_empty_table_has_room() -> None:
    room = slots().room(1.0)
    assert (room.first, room.wait, room.never) == ((), None, None)


def test_what_goes_for_the_count_goes_after_the_load() -> None:
    table = slots(ready("a", used_at=1), ready("b", used_at=2), ready("c", used_at=3))
    assert table.room(1.0).first == ()
    assert table.surplus() == ()
    table.put(ready("d", used_at=4))
    assert table.surplus() == ("a",)


def test_what_goes_for_memory_goes_before_it() -> None:
    table = slots(ready("old", used_at=1, gib=2), ready("new", used_at=2, gib=2), most=9, memory_gib=5)
    assert table.room(1.0).first == ()
    assert table.room(2.0).first == ("old",)
    assert table.room(4.0).first == ("old", "new")


def test_a_model_in_use_is_never_chosen() -> None:
    table = slots(ready("a", used_at=1), ready("b", used_at=2), most=2)
    table.claim("a", "gateway", now=3.0, until=9.0)
    table.put(ready("c", used_at=4))
    assert table.surplus() == ("b",)
    table.claim("b", "gateway", now=5.0, until=9.0)
    table.claim("c", "gateway", now=5.0, until=9.0)
    assert table.surplus() == ()
    assert table.room(1.0).wait == "the models that are loaded are in use"


def test_what_is_pinned_or_of_the_configuration_stays() -> None:
    table = slots(ready("pinned", pinned=True), ready("fixed", fixed=True), ready("other"), most=2)
    assert table.surplus() == ("other",)
    assert "models that stay" in (table.room(1.0).never or "")


def test_a_model_larger_than_what_can_be_made_free_is_refused_for_good() -> None:
    table = slots(ready("fixed", fixed=True, gib=3), ready("idle", gib=4), memory_gib=8)
    room = table.room(6.0)
    assert room.never == "it takes 6.0 GiB, and 5.0 GiB can be made free for it"
    assert table.room(5.0).first == ("idle",)


def test_loads_are_one_at_a_time_unless_more_are_allowed() -> None:
    loading = Slot(name="a", state=ModelState.LOADING)
    assert slots(loading).room(1.0).wait == "a is loading"
    assert slots(loading, at_once=2).room(1.0).wait is None


def test_a_silent_gateway_s_claims_lapse() -> None:
    table = slots(ready("a"))
    table.claim("a", "dead", now=0.0, until=15.0)
    table.claim("a", "alive", now=0.0, until=15.0)
    table.claim("a", "alive", now=10.0, until=25.0)
    assert table.lapse(14.9) == ()
    assert table.lapse(15.0) == ("a",)
    slot = table.get("a")
    assert slot is not None
    assert set(slot.holders) == {"alive"}


def test_a_model_goes_when_its_time_is_up_and_not_while_it_is_used() -> None:
    table = slots(ready("a", keep_alive_s=10.0, used_at=0.0), ready("for-ever", used_at=0.0))
    assert table.expired(9.9) == ()
    table.claim("a", "gateway", now=9.0, until=99.0)
    assert table.expired(50.0) == ()
    table.release("a", "gateway", now=50.0)
    assert table.expired(59.9) == ()
    assert table.expired(60.0) == ("a",)


def test_a_keep_alive_of_0_is_over_with_the_last_request() -> None:
    table = slots(ready("a"))
    table.claim("a", "gateway", now=1.0, until=9.0)
    table.release("a", "gateway", now=2.0, keep_alive_s=0.0)
    assert table.expired(2.0) == ("a",)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.1, 4), st.integers(0, 99)), max_size=8),
    st.integers(1, 5),
    st.floats(0.5, 12),
    st.floats(0.1, 6),
)
def test_whatever_is_loaded_no_used_or_pinned_model_goes_and_what_is_promised_fits(
    loaded: list[tuple[bool, bool, float, int]], most: int, memory_gib: float, wanted_gib: float
) -> None:
    table = Slots(most=most, memory_gib=memory_gib)
    for number, (used, pinned, gib, used_at) in enumerate(loaded):
        table.put(ready(f"m{number}", pinned=pinned, gib=gib, used_at=float(used_at)))
        if used:
            table.claim(f"m{number}", "gateway", now=float(used_at), until=1e9)
    room = table.room(wanted_gib)
    by_name = {slot.name: slot for slot in table.all()}
    for name in (*room.first, *table.surplus(), *table.expired(1e6)):
        assert not by_name[name].holders
        assert not by_name[name].pinned
    if room.wait is None and room.never is None:
        left = sum(slot.memory_gib for slot in table.all() if slot.name not in room.first)
        assert left + wanted_gib <= memory_gib + 1e-6


def test_models_share_a_gpu_until_it_is_full_then_the_idle_ones_that_have_a_part_of_it_go() -> None:
    table = slots(ready("cpu", used_at=1), ready("old", used_at=2, gpus=0.5), most=9, gpus=1.0)
    assert table.room(1.0, 0.5).first == ()
    assert table.room(1.0, 0.6).first == ("old",)
    table.put(ready("new", used_at=3, gpus=0.5))
    assert table.room(1.0, 1.0).first == ("old", "new")
    assert table.room(1.0).first == ()  # it needs none
    table.claim("old", "gateway", now=4.0, until=9.0)
    assert table.room(1.0, 1.0).wait == "the GPUs are in use"


def test_what_needs_more_gpus_than_there_are_never_loads() -> None:
    assert slots(gpus=1.0).room(1.0, 2.0).never == "it takes 2 GPUs, and 1 can be made free for it"
    table = slots(ready("fixed", fixed=True, gpus=0.75), gpus=1.0)
    assert table.room(1.0, 0.5).never == "it takes 0.5 GPUs, and 0.25 can be made free for it"
    assert slots().room(1.0, 2.0).never is None  # nobody counts them


def test_tenths_of_a_gpu_add_up_to_a_whole_one() -> None:
    table = slots(*(ready(str(number), gpus=0.1) for number in range(9)), most=99, gpus=1.0)
    assert table.room(0.0, 0.1).first == ()


def test_what_is_needed_of_both_goes_once() -> None:
    one, two = ready("a", used_at=1, gib=2, gpus=0.5), ready("b", used_at=2, gib=2, gpus=0.5)
    table = slots(one, two, most=9, memory_gib=5, gpus=1.0)
    assert table.room(2.0, 0.5).first == ("a",)
    assert table.room(4.0, 0.5).first == ("a", "b")


def test_what_leaves_is_counted_until_it_is_gone() -> None:
    leaving = [Slot(name=name, state=ModelState.UNLOADING) for name in ("a", "b")]
    table = slots(*leaving, ready("c"), ready("d"), ready("e"), most=4, at_once=2)
    assert table.room(0.0).wait is None
    table.put(ready("f"))
    assert table.room(0.0).wait == "models that went for others are not gone yet"
    table.drop("a")
    assert table.room(0.0).wait is None
