"""`redis-backup --check`: a row for each result, what to do, and the exit code."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from typing import Any

import pytest
from command_process import TO_FUNCTION, Pipeline, run

from redis_backup.alibaba.function_compute import FunctionName
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from redis_backup.errors import InvalidRequest
from redis_backup.request.events import TriggerKind
from redis_backup.states import CheckResult
from redis_backup_cli.__main__ import main
from redis_backup_cli.batches import render_check
from redis_backup_cli.checking import CheckReport, read_check_report, show_results
from redis_backup_cli.client import FunctionClient
from redis_backup_cli.clocks import Timekeeper
from redis_backup_cli.errors import NoAnswerError, RefusedError
from redis_backup_cli.request import CommandRequest
from simulator import Cloud, Fleet, Instance
from simulator.ram import allow

FINE = CheckResult("memory", True, "512 MB")
LOOK = CheckResult("log store", None, "the function cannot read it", "search for message.request_id")
WRONG = CheckResult("instance cn-hangzhou/r-1", False, "no such instance (NotFound) " + "x" * 80, "check the ID")


def test_a_check_shows_each_result_and_starts_nothing() -> None:
    with Pipeline(Instance("r-1"), api_clock_offset=0.0).running() as pipeline:
        ended = pipeline.run("--check", "r-1")
        assert pipeline.cloud.kvstore.instance("r-1").backups == []
        (event, *_) = [json.loads(each.event) for each in pipeline.cloud.platform.invocations]
    assert (ended.code, ended.err) == (0, "")
    assert event == {"check": True, "instance_ids": ["cn-hangzhou/r-1"], "region": "cn-hangzhou"}
    assert "✓ kvstore:CreateBackup cn-hangzhou" in ended.out
    assert "\n    → in the log store, search for message.request_id: " in ended.out
    assert ended.out.endswith("No backup was started. Look at what is marked with !.\n")


def test_what_is_wrong_is_exit_code_1_and_comes_as_json_too() -> None:
    with Pipeline(Instance("r-1"), policy=allow(["kvstore:*"], ["*"])).running() as pipeline:
        ended = pipeline.run("--check", "--json")
    answer = json.loads(ended.out)
    assert (ended.code, answer["ok"]) == (1, False)
    (wrong,) = [each for each in answer["checks"] if each["ok"] is False]
    assert wrong["name"] == "fc:InvokeFunction"
    assert f"✗ {wrong['name']}" in ended.err
    assert f"→ {wrong['hint']}".split(" on ")[0] in ended.err
    assert "1 wrong (✗)" in ended.err


def test_a_caller_that_may_not_invoke_is_told_so() -> None:
    with Pipeline(Instance("r-1"), user_policy=allow(["fc:GetFunction"], ["*"])).running() as pipeline:
        ended = pipeline.run("--check")
    assert ended.code == 2
    assert "RAM does not allow you fc:InvokeFunction" in ended.err


def test_a_failure_is_json_too() -> None:
    with Pipeline(Instance("r-1"), user_policy=allow(["fc:GetFunction"], ["*"])).running() as pipeline:
        ended = pipeline.run("--check", "--json")
    answer = json.loads(ended.out)
    assert (ended.code, answer["ok"], answer["checks"]) == (2, False, [])
    assert "RAM does not allow you fc:InvokeFunction" in answer["error"]["message"]


def ask(handler: Any) -> CheckReport:
    """Let a client check a function that answers so."""
    with Cloud(Fleet([]), handler=handler) as cloud:
        user = cloud.credentials.user
        keys = Credentials(user.access_key_id, user.access_key_secret, "")
        name = FunctionName("cn-hangzhou", "1234567890123456", "redis-backup")
        client = FunctionClient(name, cloud.endpoint, lambda: keys, Timekeeper(cloud.clock))
        return client.check(b"{}", Deadline(cloud.clock, cloud.clock.monotonic() + 60))


def old_version(*_: object) -> None:
    raise InvalidRequest(["instance_ids is missing", "unknown field: check. Known fields: instance_ids"])


def test_an_older_version_of_the_function_has_no_check() -> None:
    with pytest.raises(RefusedError, match="this version of the function has no check"):
        ask(old_version)


@pytest.mark.parametrize("answer", [b"<html>", b'{"ok": true, "checks": [', b"", b"[" * 100_000])
def test_an_answer_that_was_cut_off_is_no_answer(answer: bytes) -> None:
    with pytest.raises(NoAnswerError):
        ask(lambda *_: answer)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--wait", "3m"], "--wait"),
        (["--since", "2026-11-24T02:00:00Z", "--dry-run"], "--since, --dry-run"),
        (["--max-age", "1h", "--retention-days", "9"], "--max-age, --retention-days"),
    ],
)
def test_options_that_start_or_wait_do_not_go_with_it(
    arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--check", *arguments, *TO_FUNCTION])
    assert ended.value.code == 2
    assert f"--check starts nothing, so leave out {names}\n" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("verify", "copy", "sent"),
    [
        (None, None, {}),
        ("full", None, {"verify": "full"}),
        (None, False, {"copy": False}),
        (None, True, {"copy": True}),
    ],
)
def test_what_is_asked_of_the_files_of_backups_goes_with_it(
    verify: str | None, copy: bool | None, sent: dict[str, object]
) -> None:
    since = datetime(2026, 11, 24, tzinfo=timezone.utc)
    request = CommandRequest(TriggerKind.MANUAL, "", since, verify=verify, copy=copy)
    assert json.loads(render_check(request)) == {"check": True, **sent}


def test_rows_and_what_does_not_fit_into_one() -> None:
    out = io.StringIO()
    show_results([FINE, LOOK, WRONG], out, in_colour=False)
    assert out.getvalue().splitlines() == [
        "✓ memory                    512 MB",
        "! log store                 the function cannot read it",
        "    → search for message.request_id",
        "✗ instance cn-hangzhou/r-1",
        "    no such instance (NotFound)",
        "    " + "x" * 80,
        "    → check the ID",
    ]


def test_no_text_of_an_answer_controls_the_terminal() -> None:
    out = io.StringIO()
    show_results([CheckResult("a\x1b[31mb", False, "c\nd", "e\x07f")], out, in_colour=True)
    assert out.getvalue().split() == ["✗", "ab", "c", "d", "→", "ef"]


def test_the_summary_counts_and_says_what_to_do() -> None:
    assert CheckReport(True, (FINE,)).summary == "0 wrong (✗), 0 to look at (!), 1 fine (✓). No backup was started."
    wrong = CheckReport(False, (WRONG, LOOK)).summary
    assert wrong.startswith("1 wrong (✗), 1 to look at (!), 0 fine (✓). Backups would fail")


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": True},
        {"ok": True, "checks": 1},
        {"ok": True, "checks": []},
        {"ok": True, "checks": [{"name": "a", "detail": "b"}]},
        {"ok": True, "checks": [{"name": "a", "ok": 1, "detail": "b"}]},
        {"ok": True, "checks": [{"name": "a", "ok": "yes", "detail": "b"}]},
        {"ok": True, "checks": [{"name": 1, "ok": True, "detail": "b"}]},
        {"ok": "yes", "checks": []},
        [],
    ],
)
def test_another_answer_is_not_taken_for_a_check_s(answer: object) -> None:
    with pytest.raises(LookupError):
        read_check_report(json.dumps(answer).encode())
    with pytest.raises(RefusedError, match="not that of a check"):
        ask(lambda *_: answer)


@pytest.mark.parametrize(
    ("arguments", "environ", "text"),
    [
        (
            ["--check"],
            {"BACKUP_FC_ENDPOINT": "http://no-such-host.invalid"},
            "http://no-such-host.invalid has no address",
        ),
        (
            ["r-1", "--wait", "30m"],
            {"BACKUP_FC_ENDPOINT": "no-such-host.invalid"},
            "no-such-host.invalid has no address",
        ),
        (
            ["--check"],
            {"BACKUP_FC_ENDPOINT": "http://127.0.0.1:1"},
            "Function Compute is asked at http://127.0.0.1:1, by",
        ),
        (["--check"], {"ALIBABA_CLOUD_ACCOUNT_ID": "my-account"}, "--account is not an account's ID"),
    ],
)
def test_a_wrong_place_is_named_and_not_waited_for(arguments: list[str], environ: dict[str, str], text: str) -> None:
    pipeline = Pipeline()
    ended = run(pipeline.command(*arguments), pipeline.environ(**environ))
    assert ended.code == (1 if "127.0.0.1" in text else 2)
    assert text in ended.err
    assert "check --region (cn-hangzhou), --account" in ended.err or "has no address" not in text
