"""Clocks: moved by hand, by sleepers, or faster than real time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator import ScaledClock, SimulatedClock


def test_sleeping_takes_simulated_time_alone():
    clock, real = SimulatedClock(start=1000.0), time.monotonic()
    clock.sleep(3600)
    assert (clock.time(), clock.monotonic()) == (4600.0, 4600.0)
    assert time.monotonic() - real < 1


def test_sleepers_in_several_threads_overlap():
    clock = SimulatedClock(start=0.0, grace=0.05)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(clock.sleep, [10.0, 20.0, 30.0, 5.0, 30.0, 1.0, 2.0, 3.0]))
    assert clock.time() == 30.0


def test_without_grace_sleeps_of_one_thread_add_up_at_once():
    clock = SimulatedClock(start=0.0, grace=0.0)
    for _ in range(1000):
        clock.sleep(1)
    assert clock.time() == 1000.0


def test_advancing_wakes_whoever_sleeps_until_then():
    clock = SimulatedClock(start=0.0, grace=60.0)
    woken = threading.Event()
    threading.Thread(target=lambda: (clock.sleep(10), woken.set()), daemon=True).start()
    while not woken.wait(0.01):
        clock.advance(10)
    assert woken.is_set()


def test_chance_replays_with_the_seed():
    first, second, other = (SimulatedClock(seed=seed) for seed in (1, 1, 2))
    drawn = [[clock.uniform(0, 1) for _ in range(5)] for clock in (first, second, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_scaled_clock_runs_faster():
    clock, real = ScaledClock(speed=3600, start=0.0), time.monotonic()
    clock.sleep(36)
    assert clock.time() >= 36
    assert time.monotonic() - real < 5


def test_a_scaled_clock_does_not_stand_still():
    with pytest.raises(ValueError, match="above 0"):
        ScaledClock(speed=0)
