"""The health of hosts, in simulated time: who is paused, put off, given up, and who is not."""

import pytest

from facerefs.stages.web.host_health import Failure, HostHealth

LIMIT, PATIENCE_S, PAUSE_S = 8, 90.0, 1.0


class Clock:
    """A clock that tests move."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> HostHealth:
    return HostHealth(LIMIT, PATIENCE_S, PAUSE_S, clock)


def fails(health: HostHealth, clock: Clock, failure: Failure) -> float:
    """One request after the other: the host is asked when its pause is over."""
    pause_s = health.record_failure("h", clock.now_s, "HTTP 503", failure)
    clock.now_s += max(pause_s, 0.01)
    return pause_s


@pytest.mark.parametrize("failure", [Failure.BUSY, Failure.ERROR])
def test_answers_in_a_row_are_no_sign_of_a_dead_host(
    health: HostHealth, clock: Clock, failure: Failure
) -> None:
    for _ in range(LIMIT):
        health.record_failure("h", clock.now_s, "HTTP 503", failure)
        assert health.block_reason("h") is None


def test_failed_connections_in_a_row_put_a_host_off_until_a_trial(health: HostHealth, clock: Clock) -> None:
    for _ in range(LIMIT):
        assert health.block_reason("h") is None
        fails(health, clock, Failure.UNANSWERED)
    assert "no answer" in (health.block_reason("h") or "")
    clock.now_s += PATIENCE_S
    assert health.block_reason("h") is None
    fails(health, clock, Failure.UNANSWERED)  # the trial
    assert health.block_reason("h") is not None
    clock.now_s += PATIENCE_S
    health.record_answer("h")
    fails(health, clock, Failure.UNANSWERED)
    assert health.block_reason("h") is None


def test_an_answer_between_failed_connections_shows_that_the_host_lives(
    health: HostHealth, clock: Clock
) -> None:
    for number in range(4 * LIMIT):
        fails(health, clock, Failure.BUSY if number % LIMIT == 0 else Failure.UNANSWERED)
        if clock.now_s < PATIENCE_S:
            assert health.block_reason("h") is None


def test_pauses_grow_with_failures_and_shrink_with_answers(health: HostHealth, clock: Clock) -> None:
    pauses = [fails(health, clock, Failure.BUSY) for _ in range(7)]
    assert pauses == [1, 2, 4, 6, 6, 6, 6]
    for _ in range(2):
        health.record_answer("h")
    assert fails(health, clock, Failure.BUSY) == 1


def test_requests_that_failed_together_lengthen_the_pause_once(health: HostHealth, clock: Clock) -> None:
    assert [health.record_failure("h", 0.0, "HTTP 503", Failure.BUSY) for _ in range(3)] == [1, 1, 1]
    clock.now_s = 1.5
    assert fails(health, clock, Failure.BUSY) == 2


def test_a_single_500_does_not_pause_the_host_but_several_in_a_row_do(
    health: HostHealth, clock: Clock
) -> None:
    assert fails(health, clock, Failure.ERROR) == 0
    health.record_answer("h")
    assert fails(health, clock, Failure.ERROR) == 0
    assert fails(health, clock, Failure.ERROR) > 0


def test_a_host_that_fails_everything_is_given_up_after_its_patience(
    health: HostHealth, clock: Clock
) -> None:
    requests = 0
    while health.block_reason("h") is None:
        fails(health, clock, Failure.BUSY)
        requests += 1
    assert PATIENCE_S <= clock.now_s < PATIENCE_S + 20
    assert LIMIT <= requests <= 20  # nobody is hammered


def test_a_host_that_fails_nearly_everything_is_given_up_though_some_answers_come(
    health: HostHealth, clock: Clock
) -> None:
    for number in range(200):
        if number % 20 == 19:
            health.record_answer("h")
        else:
            fails(health, clock, Failure.BUSY)
        if health.block_reason("h"):
            return
    pytest.fail("it goes on for ever")


@pytest.mark.parametrize("one_in", [2, 3, 20])
def test_a_host_that_fails_often_but_not_nearly_always_is_never_given_up(
    health: HostHealth, clock: Clock, one_in: int
) -> None:
    for number in range(1000):
        if number % one_in:
            health.record_answer("h")
            clock.now_s += 0.1
        else:
            fails(health, clock, Failure.BUSY)
        assert health.block_reason("h") is None


def test_at_the_last_chance_a_host_that_was_put_off_has_a_minute_to_come_back(
    health: HostHealth, clock: Clock
) -> None:
    for _ in range(LIMIT):
        health.record_failure("h", clock.now_s, "refused", Failure.UNANSWERED)
    health.begin_last_chance(tries=3, longest_wait_s=300.0)
    asked_s = []
    while clock.now_s < 61:
        assert health.block_reason("h") is None
        asked_s.append(clock.now_s)
        assert fails(health, clock, Failure.UNANSWERED) > 0
    assert len(asked_s) < 15
    health.record_answer("h")
    assert health.block_reason("h") is None
    assert not health.is_failing("h")


def test_a_host_that_wants_to_be_left_alone_for_long_is(health: HostHealth, clock: Clock) -> None:
    health.block("h", 3600, "HTTP 429")
    health.block("soon", 120, "HTTP 429")
    health.begin_last_chance(tries=3, longest_wait_s=300.0)
    assert health.block_reason("h") == "HTTP 429"
    assert health.block_reason("soon") is None  # the rate limiter makes its requests wait
