"""The breaker's promises, for any order of requests and ends."""

from hypothesis import settings as tuned
from hypothesis import strategies as some
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from deployments.gateway.routing.breaker import PROBE_WAIT_S, Breaker, Change, Permit, State

COOLDOWN_S = 60.0


def breaker_after(failures: int, *, now: float = 0.0) -> Breaker:
    breaker = Breaker(failures=5, cooldown_s=COOLDOWN_S)
    for _ in range(failures):
        breaker.failed(taken(breaker, now), now)
    return breaker


def taken(breaker: Breaker, now: float) -> Permit:
    permit = breaker.enter(now)
    assert permit is not None
    return permit


def test_it_opens_with_the_last_of_its_failures_and_not_before() -> None:
    assert breaker_after(4).state is State.CLOSED
    assert breaker_after(5).state is State.OPEN


def test_a_whole_answer_between_failures_starts_the_count_anew() -> None:
    breaker = breaker_after(4)
    breaker.succeeded(taken(breaker, 0.0))
    breaker.failed(taken(breaker, 0.0), 0.0)
    assert (breaker.state, breaker.failures) == (State.CLOSED, 1)


def test_an_open_one_refuses_until_its_cooldown_is_over_and_says_for_how_long() -> None:
    breaker = breaker_after(5, now=100.0)
    assert breaker.enter(130.0) is None
    assert breaker.refused_for(130.0) == 30.0
    assert breaker.enter(160.0) is not None


def test_half_open_lets_one_through_and_says_to_the_others_to_come_soon() -> None:
    breaker = breaker_after(5)
    assert taken(breaker, 60.0).probe
    assert breaker.enter(60.0) is None
    assert breaker.refused_for(60.0) == PROBE_WAIT_S


def test_a_probes_first_byte_closes_it_and_one_more_failure_opens_it_again() -> None:
    breaker = breaker_after(5)
    probe = taken(breaker, 60.0)
    breaker.answered(probe)
    assert breaker.state is State.CLOSED
    breaker.failed(probe, 61.0)
    assert (breaker.state, breaker.refused_for(61.0)) == (State.OPEN, COOLDOWN_S)


def test_a_probe_that_ends_well_forgets_all_failures() -> None:
    breaker = breaker_after(5)
    breaker.succeeded(taken(breaker, 60.0))
    assert (breaker.state, breaker.failures) == (State.CLOSED, 0)


def test_a_probe_that_fails_opens_it_for_another_cooldown() -> None:
    breaker = breaker_after(5)
    breaker.failed(taken(breaker, 60.0), 70.0)
    assert (breaker.state, breaker.refused_for(70.0)) == (State.OPEN, COOLDOWN_S)


def test_after_an_abandoned_probe_the_next_request_probes() -> None:
    breaker = breaker_after(5)
    breaker.abandoned(taken(breaker, 60.0))
    assert taken(breaker, 60.0).probe


def test_a_probe_that_hangs_is_given_up_after_another_cooldown() -> None:
    breaker = breaker_after(5)
    hanging = taken(breaker, 60.0)
    second = taken(breaker, 120.0)
    assert second.probe
    breaker.failed(hanging, 121.0)
    assert breaker.state is State.HALF_OPEN
    breaker.succeeded(second)
    assert breaker.state is State.CLOSED


def test_what_was_asked_before_it_opened_counts_no_more() -> None:
    breaker = Breaker(failures=1, cooldown_s=COOLDOWN_S)
    early, late = taken(breaker, 0.0), taken(breaker, 0.0)
    breaker.failed(early, 0.0)
    probe = taken(breaker, 60.0)
    breaker.failed(late, 60.0)
    breaker.succeeded(late)
    assert breaker.state is State.HALF_OPEN
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED


def test_every_change_is_told_with_the_failures_behind_it() -> None:
    told: list[Change] = []
    breaker = Breaker(failures=1, cooldown_s=1.0, changed=told.append)
    breaker.failed(taken(breaker, 0.0), 0.0)
    breaker.succeeded(taken(breaker, 1.0))
    assert [(one.before, one.after, one.failures) for one in told] == [
        (State.CLOSED, State.OPEN, 1),
        (State.OPEN, State.HALF_OPEN, 1),
        (State.HALF_OPEN, State.CLOSED, 1),
    ]


class AnyOrder(RuleBasedStateMachine):
    """Requests that begin and end in any order, against the simplest account of what must hold."""

    permits: Bundle[Permit] = Bundle("permits")

    @initialize(failures=some.integers(1, 4))
    def start(self, failures: int) -> None:
        self.now = 0.0
        self.limit = failures
        self.changes: list[Change] = []
        self.breaker = Breaker(failures=failures, cooldown_s=10.0, changed=self.changes.append)
        self.opened = 0.0
        self.probing: Permit | None = None

    @rule(seconds=some.floats(0.0, 15.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits)
    def enter(self) -> Permit:
        before, refused_s = self.breaker.state, self.breaker.refused_for(self.now)
        permit = self.breaker.enter(self.now)
        assert (permit is None) == (refused_s > 0), "what it says it will do is what it does"
        if before is State.CLOSED:
            assert permit is not None
            assert not permit.probe
        if permit is None:
            return Permit(epoch=-1)  # nobody's
        if permit.probe:
            assert self.now >= self.opened + 10.0 - 1e-6, "no probe before the cooldown is over"
            self.probing = permit
        return permit

    @rule(permit=permits)
    def first_byte(self, permit: Permit) -> None:
        self.breaker.answered(permit)

    @rule(permit=consumes(permits))
    def succeed(self, permit: Permit) -> None:
        self.breaker.succeeded(permit)

    @rule(permit=consumes(permits))
    def fail(self, permit: Permit) -> None:
        before = self.breaker.state
        self.breaker.failed(permit, self.now)
        if self.breaker.state is State.OPEN and before is not State.OPEN:
            self.opened = self.now

    @rule(permit=consumes(permits))
    def abandon(self, permit: Permit) -> None:
        before = self.breaker.state
        self.breaker.abandoned(permit)
        assert self.breaker.state is before

    @precondition(lambda self: self.breaker.state is not State.CLOSED)
    @rule()
    def recover(self) -> None:
        """Whatever happened, it tries again and closes."""
        self.now += 25.0
        self.breaker.succeeded(taken(self.breaker, self.now))
        assert self.breaker.state is State.CLOSED

    @invariant()
    def closed_ones_are_below_their_limit(self) -> None:
        if self.breaker.state is State.CLOSED:
            assert self.breaker.failures < self.limit

    @invariant()
    def only_the_three_arrows_are_taken(self) -> None:
        allowed = {
            (State.CLOSED, State.OPEN),
            (State.OPEN, State.HALF_OPEN),
            (State.HALF_OPEN, State.CLOSED),
            (State.HALF_OPEN, State.OPEN),
        }
        assert all((one.before, one.after) in allowed for one in self.changes)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = tuned(max_examples=30, stateful_step_count=30, deadline=None)
