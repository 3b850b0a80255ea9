"""How people see logs and results: no line is longer than the console is wide, and nothing is said twice."""

import io
import json
import re

import pytest
from rich.console import Console

from simulator import Cloud, Fleet, console
from simulator.fc.invocation import Invocation
from simulator.logstore import Log

ARN = "acs:kvstore:cn-hangzhou:1234567890123456:instance"
DENIED = {
    "error_code": "Forbidden.RAM",
    "error_message": f"RAM does not allow kvstore:DescribeBackupTasks on {ARN}/r-bp1notyours00001",
    "hint": f"grant kvstore:DescribeBackupTasks on {ARN}/* to the function's role",
}
REFUSED = f"{', '.join(f'key{number}' for number in range(30))} are not fields of a request"
RECORDS = (
    {"event": "backup_started", "instance_id": "r-bp1cluster2shards", "job_ids": "10000,10001", "attempts": 1},
    {
        "event": "backup_pending",
        "instance_id": "r-bp1zxszhcgatnx01",
        "error_code": "Watching",
        "hint": "none is needed",
    },
    {"event": "backup_failed", "instance_id": "r-bp1notyours00001", **DENIED},
    {"event": "backup_failed", "instance_id": "r-bp1notyours00002", **DENIED, "job_ids": "10002", "attempts": 2},
    {"event": "warning", "trigger": "timer", "error_message": "each is asked by itself", "hint": "grant it"},
    {"event": "report", "trigger": "timer", "running": 1, "pending": 1, "failed": 2},
    {"event": "backup_started", "instance_id": "r-bp1zxszhcgatnx01", "job_ids": "10003", "progress": 5},
    {"event": "backup_succeeded", "instance_id": "r-bp1zxszhcgatnx01", "duration_seconds": 95, "backup_size": 10485760},
    {"event": "request_finished", "trigger": "timer", "instances": 1, "succeeded": 1, "duration_seconds": 95},
    {"event": "event_refused", "trigger": "timer", "trigger_id": "t-1", "error_message": REFUSED},
)
WIDTHS = (60, 80, 100, 160)
AT_100 = f"""\
02:00:00  started    r-bp1cluster2shards  jobs 10000,10001
02:00:00  pending    r-bp1zxszhcgatnx01   Watching
02:00:00  failed     r-bp1notyours00001   Forbidden.RAM: RAM does not allow kvstore:DescribeBackupT…
02:00:00  failed     r-bp1notyours00002   job 10002  Forbidden.RAM: RAM does not allow kvstore:Desc…
02:00:00  warning    timer                each is asked by itself
02:00:00  report     timer                2 failed, 1 pending, 1 running
02:00:00  started    r-bp1zxszhcgatnx01   job 10003  5 %
02:00:00  succeeded  r-bp1zxszhcgatnx01   95 s  10.0 MiB
02:00:00  finished   timer                1 instance: 1 succeeded in 95 s
02:00:00  refused    timer                key0, key1, key2, key3, key4, key5, key6, key7, key8, key…

instance             region       state      job IDs, error
r-bp1notyours00001   cn-hangzhou  failed     Forbidden.RAM: RAM does not allow kvstore:DescribeBack…
r-bp1notyours00002   cn-hangzhou  failed     10002  2 attempts  Forbidden.RAM: RAM does not allow k…
r-bp1cluster2shards  cn-hangzhou  running    10000,10001
r-bp1zxszhcgatnx01   cn-hangzhou  succeeded  10003
4 instances: 2 failed, 1 running, 1 succeeded

Hints
→ grant it
→ grant kvstore:DescribeBackupTasks on {ARN}/* to the
  function's role
  for cn-hangzhou/r-bp1notyours00001, cn-hangzhou/r-bp1notyours00002
→ key0, key1, key2, key3, key4, key5, key6, key7, key8, key9, key10, key11, key12, key13, key14,
  key15, key16, key17, key18, key19, key20, key21, key22, key23, key24, key25, key26, key27, key28,
  key29 are not fields of a request
  for t-1
"""


def log(message: str | dict) -> Log:
    if isinstance(message, dict):
        region = {"region": "cn-hangzhou"} if "instance_id" in message else {}
        message = json.dumps({"time": "2026-11-24T02:00:00.000Z", **region, **message})
    return Log(1795485600, "redis-backup", "LATEST", "c-1", message)


def shown(width: int, *messages: str | dict, table: bool = False, **how: bool) -> str:
    """What people see of logs on a console of this width."""
    out = Console(file=io.StringIO(), width=width, highlight=False)
    listing = console.Listing(out, **how)
    for message in messages:
        listing.log(log(message))
    if table:
        out.print()
        console.show_last_states(out, console.last_states(log(message).record for message in messages))
    if not how.get("at_once"):
        listing.conclude()
    return re.sub(" +$", "", out.file.getvalue(), flags=re.MULTILINE)


def test_a_line_for_each_log_a_table_and_each_hint_once() -> None:
    assert shown(100, *RECORDS, table=True) == AT_100


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_longer_than_the_console_is_wide(width: int) -> None:
    text = shown(width, *RECORDS, table=True)
    assert max(map(len, text.splitlines())) <= width
    rows, table, hints = text.split("\n\n")
    assert [line.split()[1] for line in rows.splitlines()] == [
        record["event"].removeprefix("backup_").removeprefix("request_").removeprefix("event_") for record in RECORDS
    ]
    assert [line.split()[0] for line in table.splitlines()[1:-1]] == [
        "r-bp1notyours00001",
        "r-bp1notyours00002",
        "r-bp1cluster2shards",
        "r-bp1zxszhcgatnx01",
    ]
    assert hints.count("grant kvstore:DescribeBackupTasks") == 1


def test_a_list_without_end_shows_a_hint_below_the_first_line_that_it_is_for() -> None:
    assert shown(100, *RECORDS[1:4], at_once=True).splitlines() == [
        "02:00:00  pending    r-bp1zxszhcgatnx01   Watching",
        "→ none is needed",
        "02:00:00  failed     r-bp1notyours00001   Forbidden.RAM: RAM does not allow kvstore:DescribeBackupT…",
        f"→ grant kvstore:DescribeBackupTasks on {ARN}/* to the",
        "  function's role",
        "02:00:00  failed     r-bp1notyours00002   job 10002  Forbidden.RAM: RAM does not allow kvstore:Desc…",
    ]


def test_a_hint_names_ten_instances_and_counts_the_rest() -> None:
    failed = [{"event": "backup_failed", "instance_id": f"r-{number:02}", "hint": "wait"} for number in range(12)]
    assert shown(160, *failed).splitlines()[-1].endswith("cn-hangzhou/r-08, cn-hangzhou/r-09 and 2 more")


def test_what_is_no_record_is_shown_where_it_is_alarming_or_asked_for() -> None:
    messages = ["FC Invoke Start RequestId: 1", "a [ERROR] of\tsome\x1b[31m kind", "a line of text " * 9]
    assert shown(60, *messages) == "02:00:00 a [ERROR] of some [31m kind\n"
    assert len(shown(60, *messages, verbose=True).splitlines()) == 2 + 3


@pytest.mark.parametrize(
    ("error", "attempt", "line"),
    [
        (None, 0, ""),
        ({"errorType": "BackupFailed", "errorMessage": "1 failed:\n[…]"}, 0, "raised BackupFailed: 1 failed"),
        ({"errorType": "BackupFailed", "errorMessage": "1 failed:\n[…]"}, 1, "raised BackupFailed: 1 failed"),
        ({"errorType": "InvalidRequest", "errorMessage": REFUSED}, 0, "raised InvalidRequest"),
        ({"errorType": "InvalidRequest", "errorMessage": REFUSED}, 1, "raised InvalidRequest again, delivery 2"),
        ({"errorType": "FunctionTimedOut", "errorMessage": ""}, 0, "raised FunctionTimedOut"),
    ],
)
def test_why_an_invocation_failed_is_not_said_twice(error: dict | None, attempt: int, line: str) -> None:
    out = Console(file=io.StringIO(), width=100)
    listing = console.Listing(out)
    listing.log(log(RECORDS[-1]))
    listing.invocation(Invocation("1-a", b"", True, attempt, None, "key", 1795485600.0, error=error))
    expected = [f"02:00:00  invocation {line}"] if line else []
    assert [text.rstrip() for text in out.file.getvalue().splitlines()[1:]] == expected


class Terminal(io.StringIO):
    """A terminal as standard output."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdout", "environment", "is_plain"),
    [
        (Terminal, {}, False),
        (Terminal, {"NO_COLOR": "1"}, True),
        (Terminal, {"CI": "true"}, True),
        (io.StringIO, {}, True),
    ],
)
def test_it_is_plain_text_unless_it_is_for_a_terminal(monkeypatch, stdout, environment, is_plain) -> None:
    for name in ("NO_COLOR", "CI", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", stdout())
    out = console.console()
    console.Listing(out).log(log(RECORDS[2]))
    assert ("\x1b" not in out.file.getvalue()) == is_plain
    assert out.width == 100 or stdout is Terminal


def test_a_real_event_s_hints_hold_still_and_its_table_is_whole() -> None:
    out = Console(file=io.StringIO(), width=100)
    with Cloud(Fleet.load(), settings={"BACKUP_CONCURRENCY": "1"}) as cloud:
        listing = console.Listing(out)
        cloud.logs.listeners.append(listing.log)
        cloud.invoke({"instance_ids": [each.id for each in cloud.fleet]})
        cloud.platform.drain()
        listing.conclude()
        console.show_last_states(out, console.last_states(cloud.logs.records))
    text = out.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    hints = text.partition("Hints\n")[2]
    assert re.findall(r"→ grant (\S+)", hints) == ["kvstore:DescribeInstanceAttribute", "kvstore:DescribeBackupTasks"]
    assert "its status is Normal again" not in hints  # it is over
    assert hints.splitlines()[-1] == "5 instances: 1 failed, 4 succeeded"
