"""A machine whose clock is wrong: `since` is by Function Compute's."""

from __future__ import annotations

import json
import re
from email.utils import formatdate
from typing import Any

import pytest
from command_process import SLOWLY, Pipeline

from redis_backup import timestamps
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from redis_backup_cli.client import FunctionClient
from redis_backup_cli.clocks import Timekeeper, WrongClockError
from simulator import Cloud, Fleet, FunctionConfig, Instance, SimulatedClock

SINCE = re.compile(r"backups since (\S+)")
WRONG = re.compile(
    r"This machine's clock is about (.+) (behind|ahead of) Function Compute's\. Function Compute's is used: backups "
    r"since (\S+) count\.\n"
)
NOW = 1_795_485_600.0


@pytest.mark.parametrize(
    ("ahead", "sent", "written", "received", "verdict"),
    [
        (0, 0, 1.5, 1.6, False),
        (0, 0, 1.0, 4.9, True),  # a slow network, or a machine that is fast
        (0, 0, 1.0, 200.0, True),
        (2, 0, 1.0, 1.1, False),  # what a header in whole seconds cannot tell
        (4, 0, 1.0, 1.1, "behind"),
        (600, 0, 30.0, 75.0, "behind"),
        (-4, 0, 0.9, 1.0, "ahead"),
        (-600, 0, 30.0, 75.0, "ahead"),
        (-10, 0, 10.1, 10.2, True),  # the function has waited until `since`
    ],
)
def test_what_an_answers_date_tells(
    ahead: float, sent: float, written: float, received: float, verdict: bool | str
) -> None:
    """`ahead`: how far Function Compute's clock is; the moments are by this machine's."""
    timekeeper = Timekeeper(SimulatedClock(NOW + received))
    date = formatdate(int(NOW + written + ahead), usegmt=True)
    if isinstance(verdict, bool):
        assert timekeeper.is_uncertain(date, NOW + sent) is verdict
        assert timekeeper.is_settled is not verdict
    else:
        with pytest.raises(WrongClockError) as raised:
            timekeeper.is_uncertain(date, NOW + sent)
        assert (raised.value.ahead > 0) is (verdict == "behind")
        assert raised.value.ahead <= ahead


@pytest.mark.parametrize("date", ["", "soon", "Tue, 24 Foo 2026 02:00:00 GMT"])
def test_an_answer_without_a_date_tells_nothing(date: str) -> None:
    timekeeper = Timekeeper(SimulatedClock(NOW))
    assert (timekeeper.is_uncertain(date, NOW), timekeeper.is_settled) == (False, False)


def test_once_the_clock_was_right_it_may_be_set() -> None:
    timekeeper = Timekeeper(SimulatedClock(NOW))
    assert timekeeper.is_uncertain(formatdate(NOW, usegmt=True), NOW) is False
    assert timekeeper.is_uncertain(formatdate(NOW + 600, usegmt=True), NOW) is False


class FastClock(SimulatedClock):
    """This machine's: ahead of the cloud's, which goes on by itself."""

    def __init__(self, cloud: Cloud, ahead: float) -> None:
        self._cloud, self.ahead = cloud, ahead

    def time(self) -> float:
        return self._cloud.clock.time() + self.ahead

    monotonic = time


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize(("ahead", "asked"), [(0.0, 1), (10.0, 2)])
def test_a_machine_that_is_a_little_fast_is_told_from_a_function_that_takes_its_time(
    ahead: float, asked: int, generation: int
) -> None:
    """The function waits until `since` has come, so that the first answer alone cannot tell."""
    requests: list[dict[str, Any]] = []

    def handler(event: bytes, _: object, runtime: Any) -> object:
        requests.append(json.loads(event))
        since = timestamps.parse(requests[-1]["since"]).timestamp()
        runtime.clock.sleep(max(0.0, since - runtime.clock.time()) + 1)
        return {"instances": [{"instance_id": "r-a", "region": "cn-hangzhou", "state": "running", "job_ids": ["7"]}]}

    function = FunctionConfig(generation=generation)
    with Cloud(Fleet([]), handler=handler, function=function) as cloud:
        user, clock = cloud.credentials.user, FastClock(cloud, ahead)
        name = FunctionName(
            function.region, function.account, function.name, function.service if generation == 2 else ""
        )
        keys = Credentials(user.access_key_id, user.access_key_secret, "")
        caller = FunctionClient(name, cloud.endpoint, lambda: keys, Timekeeper(clock))
        since = timestamps.render(timestamps.from_epoch(int(clock.time())))
        payload = json.dumps({"tags": {"app": "shop"}, "since": since}).encode()
        deadline = Deadline(clock, clock.monotonic() + 600)
        if ahead:
            with pytest.raises(WrongClockError) as raised:
                caller.send(payload, deadline)
            assert -ahead - 1 <= raised.value.ahead <= -ahead
            assert requests[1] == {"instance_ids": ["cn-hangzhou/r-a"], "since": since, "dry_run": True}
        else:
            assert len(caller.send(payload, deadline).outcomes) == 1
        assert len(requests) == asked


@pytest.mark.parametrize("generation", [2, 3])
def test_a_slow_machine_takes_no_backup_from_before_the_command(generation: int) -> None:
    with Pipeline(Instance("r-a", duration=30), generation=generation, speed=SLOWLY, ahead=-600).running() as pipeline:
        now = pipeline.cloud.clock.time()
        older = pipeline.cloud.kvstore.instance("r-a").add_backup(now - 300, now - 200, mode="Manual")
        ended = pipeline.run("r-a", "--wait", "30m", "--json")
        [told] = json.loads(ended.out)["instances"]
        assert (ended.code, told["state"], pipeline.backups()) == (0, "succeeded", {"r-a": 2})
        assert told["job_ids"] != list(older.job_ids)
        difference, how, since = WRONG.search(ended.err).groups()
        assert difference.startswith(("9 min 5", "10 min 0"))
        assert how == "behind"
        assert now - 2 <= timestamps.parse(since).timestamp() <= now + 20 * SLOWLY
        assert json.loads(ended.out)["since"] == SINCE.findall(ended.err)[-1] == since
        assert [fields["since"] == since for fields in pipeline.requests()][:2] == [False, True]
        assert "jobs" not in pipeline.requests()[1]


@pytest.mark.parametrize(
    "generation",
    [3, 2],
)
def test_a_fast_machine_is_not_refused(generation: int) -> None:
    with Pipeline(Instance("r-a", duration=600), generation=generation, speed=1, ahead=600).running() as pipeline:
        now = pipeline.cloud.clock.time()
        ended = pipeline.run("r-a")
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 1})
        difference, how, since = WRONG.fullmatch(ended.err).groups()
        assert (difference, how) in [("10 min 0 s", "ahead of"), ("10 min 1 s", "ahead of")]
        assert now - 3 <= timestamps.parse(since).timestamp() <= now + 20
        assert f"--since {since} --wait 30m" in ended.out


def test_what_a_corrected_run_says_joins_it() -> None:
    with Pipeline(Instance("r-a", duration=600), speed=1, ahead=-600).running() as pipeline:
        ended = pipeline.run("r-a")
        since = WRONG.search(ended.err)[3]
        again = pipeline.run("r-a", "--since", since, "--json")
        assert (again.code, json.loads(again.out)["since"], pipeline.backups()) == (0, since, {"r-a": 1})
        assert "clock" not in again.err


@pytest.mark.parametrize("ahead", [-600, 600])
def test_a_moment_that_was_given_is_never_corrected(ahead: float) -> None:
    with Pipeline(Instance("r-a", duration=600), speed=1, ahead=ahead).running() as pipeline:
        since = timestamps.render(timestamps.from_epoch(int(pipeline.cloud.clock.time())))
        ended = pipeline.run("r-a", "--since", since, "--json")
        assert json.loads(ended.out)["since"] == since
        assert [fields["since"] for fields in pipeline.requests()] == [since]
        assert "clock" not in ended.err
