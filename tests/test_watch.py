"""Clear moments: when an invocation is prompt, and when a watch is whole."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from redis_backup.reconcile.watch import WATCH_LENGTH, Watch, is_prompt, window_end
from redis_backup.request.events import TriggerKind
from redis_backup.request.instances import InstanceRef
from redis_backup.request.request import FollowUpInfo, Request

SINCE = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


def request(instances: int = 1, follow_up: FollowUpInfo | None = None) -> Request:
    named = tuple(InstanceRef("cn-hangzhou", f"r-{number}") for number in range(instances))
    return Request(TriggerKind.TIMER, "t", SINCE, named, follow_up=follow_up)


def follow_up(**more: object) -> FollowUpInfo:
    return FollowUpInfo(**{"first": SINCE, "due": at(60), "kind": TriggerKind.TIMER, "trigger_id": "t", **more})


@pytest.mark.parametrize(("began", "prompt"), [(0, True), (12, True), (12.1, False), (-30, True)])
def test_an_invocation_is_prompt_within_12_s_of_the_event(began: float, prompt: bool) -> None:
    assert is_prompt(request(), at(began)) is prompt


@pytest.mark.parametrize(("sent", "began", "prompt"), [(20, 31, True), (20, 33, False), (None, 0, False)])
def test_a_shard_is_prompt_within_12_s_of_being_sent(sent: float | None, began: float, prompt: bool) -> None:
    shard = request(follow_up=follow_up(due=SINCE, sent_at=None if sent is None else at(sent)))
    assert is_prompt(shard, at(began)) is prompt


@pytest.mark.parametrize(
    ("instances", "total", "seconds"), [(1, 0, 60.5), (100, 0, 110), (5, 1000, 560), (1, 9999, 600)]
)
def test_prompt_invocations_start_for_so_long(instances: int, total: int, seconds: float) -> None:
    assert window_end(request(instances, follow_up(total=total))) == at(seconds)


def watched(*looks: float) -> Watch:
    watch = Watch()
    for moment in looks:
        watch.note_look(at(moment))
    return watch


@pytest.mark.parametrize(
    ("looks", "whole"),
    [
        ((100,), False),
        ((100, 112, 124, 136, 148, 160), False),
        ((100, 112, 124, 136, 148, 160, 163), True),
        ((100, 112, 124.5, 136, 148, 160, 163), False),  # a gap of more than 12 s begins it anew
        ((0, 12, 24, 36, 48, 60, 60.4), False),  # not before W
        ((0, 12, 24, 36, 48, 60, 63), True),
    ],
)
def test_a_watch_is_whole(looks: tuple[float, ...], whole: bool) -> None:
    assert watched(*looks).is_complete(request()) is whole


def test_a_watch_is_longer_than_lists_lag() -> None:
    assert timedelta(seconds=62) <= WATCH_LENGTH


@pytest.mark.parametrize(
    ("looks", "following"), [((100,), 108), ((100, 108, 116), 124), ((100, 110, 120, 130, 140, 150, 158), 163)]
)
def test_looks_are_8_s_apart_and_the_last_one_is_at_the_end(looks: tuple[float, ...], following: float) -> None:
    assert watched(*looks).next_look(request()) == at(following)


def test_a_watch_that_is_given_up_begins_anew() -> None:
    watch = watched(100, 108)
    watch.reset()
    assert (watch.end(request()), watch.is_complete(request())) == (None, False)
