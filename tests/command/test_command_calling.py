"""What the function's and the platform's answers mean, and durations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click
import pytest

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from redis_backup.errors import BackupFailed, BackupPending, InvalidRequest, InvalidSetting
from redis_backup.states import ErrorKind, Problem
from redis_backup_cli.client import FunctionClient
from redis_backup_cli.clocks import Timekeeper
from redis_backup_cli.durations import Duration, format_duration
from redis_backup_cli.errors import CommandError, FunctionBrokenError, NoAnswerError, RefusedError, from_api_error
from redis_backup_cli.report import read_answer
from simulator import Cloud, Fleet, FunctionConfig

NAME = FunctionName("cn-hangzhou", "1234567890123456", "redis-backup")
SECRET = "PLANTEDSECRET" * 4


def raising(error: BaseException) -> Any:
    def handler(*_: object) -> None:
        raise error

    return handler


def outcome(handler: Any, generation: int = 3, name: FunctionName = NAME, **keys_changed: str) -> Exception:
    """What the command's caller raises for what that function does."""
    with Cloud(Fleet([]), handler=handler, function=FunctionConfig(generation=generation)) as cloud:
        user = cloud.credentials.user
        keys = replace(Credentials(user.access_key_id, user.access_key_secret, ""), **keys_changed)
        caller = FunctionClient(name, cloud.endpoint, lambda: keys, Timekeeper(cloud.clock))
        with pytest.raises((CommandError, NoAnswerError)) as raised:
            caller.send(b"{}", Deadline(cloud.clock, cloud.clock.monotonic() + 60))
        return raised.value


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize(
    ("handler", "kind", "text"),
    [
        (raising(InvalidRequest(["tags are wrong"])), RefusedError, "tags are wrong. Nothing was started."),
        (
            raising(InvalidSetting("BACKUP_ALLOW is wrong")),
            FunctionBrokenError,
            "InvalidSetting: BACKUP_ALLOW is wrong",
        ),
        (raising(BackupFailed("no list")), FunctionBrokenError, "BackupFailed: no list"),
        (
            raising(BackupPending("throttled")),
            NoAnswerError,
            "the function ended without a report: BackupPending: throttled",
        ),
        (raising(ImportError(SECRET)), FunctionBrokenError, "the function raised ImportError: ***"),
        (
            raising(SystemExit(1)),
            NoAnswerError,
            "the function ended without a report: FunctionProcessExited: Process exited: 1",
        ),
        (lambda *_: "hello", RefusedError, "the answer of the function redis-backup is not a backup report"),
        (lambda *_: {"hello": 1}, RefusedError, "the answer of the function redis-backup is not a backup report"),
        (
            lambda *_: {"instances": [1]},
            RefusedError,
            "the answer of the function redis-backup is not a backup report",
        ),
        (lambda *_: '{"instances": [', NoAnswerError, "the answer could not be read"),
        (lambda *_: "<html>502</html>", NoAnswerError, "the answer could not be read"),
    ],
)
def test_an_answer_that_is_no_report(handler: Any, kind: type[Exception], text: str, generation: int) -> None:
    service = "backup-service" if generation == 2 else ""
    error = outcome(handler, generation, FunctionName("cn-hangzhou", "1234567890123456", "redis-backup", service))
    assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize(
    ("generation", "name", "text", "hint"),
    [
        (
            3,
            FunctionName("cn-hangzhou", "1", "other"),
            "there is no function other in cn-hangzhou",
            "check --function and --region; a function of FC 2.0 needs --service as well",
        ),
        (
            2,
            FunctionName("cn-hangzhou", "1", "other", "backup-service"),
            "there is no function other in cn-hangzhou",
            "check --function and --region; check --service",
        ),
        (
            3,
            FunctionName("cn-hangzhou", "1", "redis-backup", "backup-service"),
            "there is no service backup-service in cn-hangzhou",
            "check --service and --region; a function of FC 3.0 has no service, so leave --service out for it",
        ),
    ],
)
def test_a_function_that_there_is_not(generation: int, name: FunctionName, text: str, hint: str) -> None:
    error = outcome(lambda *_: None, generation, name)
    assert (type(error), str(error), error.hint) == (RefusedError, text, hint)


@pytest.mark.parametrize("service", ["", "backup-service"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"access_key_secret": "wrong"}, "SignatureNotMatch"),
        ({"access_key_id": "LTAInobody"}, "InvalidAccessKeyID"),
    ],
)
def test_credentials_that_function_compute_refuses(change: dict[str, str], code: str, service: str) -> None:
    error = outcome(lambda *_: None, 2 if service else 3, replace(NAME, service=service), **change)
    assert (type(error), str(error)) == (RefusedError, f"Function Compute refused the credentials ({code})")
    assert error.hint == "check the access key, its token and this machine's clock"


@pytest.mark.parametrize(
    ("code", "status", "kind", "text"),
    [
        ("ResourceThrottled", 429, NoAnswerError, "m (ResourceThrottled)"),
        ("InvalidArgument", 400, RefusedError, "m (InvalidArgument)"),
        ("SomethingNew", 503, NoAnswerError, "m (SomethingNew)"),
    ],
)
def test_an_error_of_the_platform(code: str, status: int, kind: type[Exception], text: str) -> None:
    error = from_api_error(ApiError(Problem(code, "m", ErrorKind.PERMANENT), status=status), NAME)
    assert (type(error), str(error)) == (kind, text)


def test_whatever_else_the_platform_answers_in_json_is_never_shown_with_a_secret() -> None:
    error = outcome(raising(InvalidSetting(json.dumps({"x": 1}))))
    assert str(error) == 'InvalidSetting: {"x": 1}'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400), (" 5m ", 300), ("0m", 0)],
)
def test_a_duration(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", " ", "15", "m", "15 m", "1.5h", "-5m", "15M", "30m1h", "99999d", "\u0665m"])
def test_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(("seconds", "text"), [(42.9, "42 s"), (185, "3 min 5 s"), (7260, "2 h 1 min")])
def test_a_duration_in_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "change",
    [
        {"instance_id": 5},
        {"job_ids": "1"},
        {"attempts": 1e999},
        {"progress": float("nan")},
        {"progress": "\x1b[2J"},
        {"error": {"code": "X", "message": "m", "kind": "permanent", "hint": ["x"]}},
        {"error": {"code": "X", "message": 5, "kind": "permanent"}},
    ],
)
def test_a_report_with_other_types_is_not_a_report(change: dict[str, object]) -> None:
    item = {"instance_id": "r-a", "region": "cn-hangzhou", "state": "running", "job_ids": ["1"], **change}
    with pytest.raises(LookupError):
        read_answer(json.dumps({"instances": [item]}).encode())
    with pytest.raises(LookupError):
        read_answer(b'{"instances": [], "shards": [{"instances": "3", "sent": "new"}]}')
