"""The breaker opens after failures in a row, lets one probe through, closes after a success."""

from sidecar.models.breaker import Breaker

FAILURES = 3
LONGEST_PAUSE_S = 30.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(clock=Clock())
    for _ in range(FAILURES - 1):
        breaker.fail()
    breaker.succeed()
    for _ in range(FAILURES - 1):
        breaker.fail()
    assert breaker.allow()
    breaker.fail()
    assert breaker.is_open
    assert not breaker.allow()


def test_one_probe_after_each_pause_and_longer_pauses() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    for _ in range(FAILURES):
        breaker.fail()
    pauses = []
    for _ in range(8):
        start = clock.now
        while not breaker.allow():
            clock.now += 0.5
        assert not breaker.allow(), "a second call beside the probe"
        pauses.append(clock.now - start)
        breaker.fail()
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    clock.now += LONGEST_PAUSE_S
    assert breaker.allow()
    breaker.succeed()
    assert not breaker.is_open
    assert breaker.allow()


def test_a_caller_without_time_lets_the_next_one_probe() -> None:
    clock = Clock()
    breaker = Breaker(1, 5, 5, clock)
    breaker.give_up()
    assert not breaker.is_open
    breaker.fail()
    clock.now += 5
    assert breaker.allow()
    breaker.give_up()
    assert breaker.allow()
    assert not breaker.allow()


def test_a_constant_pause() -> None:
    clock = Clock()
    breaker = Breaker(1, 5, 5, clock)
    breaker.fail()
    for _ in range(3):
        assert not breaker.allow()
        clock.now += 5
        assert breaker.allow()
        breaker.fail()
