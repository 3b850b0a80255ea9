"""What people see of progress: the table on a terminal, the lines everywhere else."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from redis_backup import timestamps
from redis_backup.request.instances import InstanceRef
from redis_backup.states import ErrorKind, Outcome, Problem, State
from redis_backup_cli import batches
from redis_backup_cli.hints import printable, shared_hints
from redis_backup_cli.progress import LineProgress, can_redraw, totals
from redis_backup_cli.report import NO_JOB_IDS, Answer, MergedReport
from redis_backup_cli.table import LiveTable, Picture
from simulator import SimulatedClock

WIDTHS = [60, 80, 100, 160]
HEADING = "redis-backup in cn-hangzhou, backups since 2026-11-24T02:00:00Z"
JOBS = tuple(str(number) for number in range(10001, 10033))
BUSY = Problem(
    "BackupJobExists",
    "an older backup of the instance still runs",
    ErrorKind.BUSY,
    hint="an older backup of the instance still runs; this request starts its own when that has ended",
)
FAILED = Problem(
    "BackupJobFailed",
    "2 of at most 2 backups of this request failed",
    ErrorKind.PERMANENT,
    hint="look at the backup jobs in the instance's console; then ask again with a new `since`",
)
Outcomes = Mapping[InstanceRef, Outcome]


def ref(name: str) -> InstanceRef:
    """`"r-1"` or `"cn-beijing/r-1"`."""
    region, _, instance_id = name.rpartition("/")
    return InstanceRef(region or "cn-hangzhou", instance_id)


def denied(name: str, account: str = "1234567890123456", action: str = "CreateBackup") -> Outcome:
    """What RAM does not allow, as the function reports it."""
    instance = ref(name)
    on = f"kvstore:{action} on acs:kvstore:{instance.region}:{account}:instance/{instance.instance_id}"
    hint = f"grant {on} to the function's role"
    return failed(Problem("Forbidden.RAM", f"RAM does not allow {on}", ErrorKind.PERMANENT, hint=hint))


def failed(problem: Problem, *job_ids: str) -> Outcome:
    return Outcome(State.FAILED, job_ids, attempts=len(job_ids), error=problem)


def pending(code: str = "", message: str = "", hint: str | None = None) -> Outcome:
    error = Problem(code, message, ErrorKind.UNKNOWN, hint=hint) if code else None
    return Outcome(State.PENDING, error=error)


def draw(outcomes: Mapping[str, Outcome], width: int, *, height: int = 40, encoding: str = "utf-8", **kw: Any) -> str:
    """Return what a terminal shows, without colours; the final picture by default."""
    known = {ref(name): outcome for name, outcome in outcomes.items()}
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=file, width=width, height=height, color_system=None, force_terminal=True, _environ={})
    fields = {"heading": HEADING, "totals": totals(known.values(), "42 s"), "is_final": True} | kw
    console.print(Picture(known, **fields), end="")
    file.seek(0)
    return re.sub(r"\x1b\[[\d;]*m", "", file.read())


def in_one_line(text: str) -> str:
    return " ".join(text.split())


NIGHT = {
    "r-bp1zxszhcgatnx00": Outcome(State.SUCCEEDED, ("10040",), attempts=1),
    "r-bp1zxszhcgatnx01": Outcome(State.RUNNING, ("10041",), attempts=1, progress=45),
    "r-bp1clusterclust0": Outcome(State.SUCCEEDED, JOBS, attempts=1),
    "r-bp1denied0000000": denied("r-bp1denied0000000"),
    "r-bp1zxszhcgatnx02": pending(),
    "r-bp1zxszhcgatnx03": Outcome(State.PENDING, error=BUSY),
    "r-bp1ffffffffffff0": failed(FAILED, "10050", "10051"),
    "r-bp1denied0000001": denied("r-bp1denied0000001"),
    "r-bp1zxszhcgatnx04": Outcome(State.RUNNING, ("10061",), attempts=2),
}


def test_a_night_on_80_columns() -> None:
    assert draw(NIGHT, 80) == (
        """\
redis-backup in cn-hangzhou, backups since 2026-11-24T02:00:00Z
Instance            State        Job IDs    Note
r-bp1denied0000000  failed                  Forbidden.RAM: RAM does not allow k…
r-bp1denied0000001  failed                  Forbidden.RAM
r-bp1ffffffffffff0  failed       10050 +1   BackupJobFailed: 2 of at most 2 bac…
r-bp1zxszhcgatnx03  pending                 BackupJobExists: an older backup of…
r-bp1zxszhcgatnx02  pending
r-bp1zxszhcgatnx01  running 45%  10041
r-bp1zxszhcgatnx04  running      10061      attempt 2
r-bp1zxszhcgatnx00  succeeded    10040
r-bp1clusterclust0  succeeded    10001 +31

Forbidden.RAM: r-bp1denied0000000, r-bp1denied0000001
  Hint: grant kvstore:CreateBackup on
  acs:kvstore:cn-hangzhou:1234567890123456:instance/INSTANCE to the function's
  role
BackupJobFailed: r-bp1ffffffffffff0
  2 of at most 2 backups of this request failed
  Hint: look at the backup jobs in the instance's console; then ask again with a
  new `since`
BackupJobExists: r-bp1zxszhcgatnx03
  Hint: an older backup of the instance still runs; this request starts its own
  when that has ended
9 instances after 42 s: 3 failed, 2 pending, 2 running, 2 succeeded
"""
    )


def test_two_regions_have_a_column_where_there_is_room() -> None:
    outcomes = {
        "r-bp1zxszhcgatnx00": Outcome(State.SUCCEEDED, JOBS),
        "cn-beijing/r-2zezxszhcgatnx0": denied("cn-beijing/r-2zezxszhcgatnx0"),
    }
    assert draw(outcomes, 100) == (
        """\
redis-backup in cn-hangzhou, backups since 2026-11-24T02:00:00Z
Instance            Region       State      Job IDs    Note
r-2zezxszhcgatnx0   cn-beijing   failed                Forbidden.RAM: RAM does not allow kvstore:Cr…
r-bp1zxszhcgatnx00  cn-hangzhou  succeeded  10001 +31

Forbidden.RAM: cn-beijing/r-2zezxszhcgatnx0
  Hint: grant kvstore:CreateBackup on
  acs:kvstore:cn-beijing:1234567890123456:instance/r-2zezxszhcgatnx0 to the function's role
2 instances after 42 s: 1 failed, 1 succeeded
"""
    )
    assert draw(outcomes, 60).splitlines()[2:5] == [
        "Instance            State      Job IDs    Note",
        "r-2zezxszhcgatnx0   failed                Forbidden.RAM: RA…",
        "r-bp1zxszhcgatnx00  succeeded  10001 +31",
    ]


LONG = "r-" + "bp1long" * 9
HOSTILE: dict[str, dict[str, Outcome]] = {
    "one night": NIGHT,
    "an ARN of 200 characters": {
        "r-bp1zxszhcgatnx00": denied("r-bp1zxszhcgatnx00", account="1" * 154),
        "r-bp1zxszhcgatnx01": denied("r-bp1zxszhcgatnx01", account="1" * 154),
    },
    "32 job IDs": {"r-bp1clusterclust0": Outcome(State.RUNNING, JOBS, attempts=1, progress=7)},
    "long IDs": {f"{LONG}{number}": denied(f"{LONG}{number}") for number in range(3)},
    "two regions": {
        f"{region}/r-bp1{region[3:]}": denied(f"{region}/r-bp1{region[3:]}") for region in ("cn-a", "us-b")
    },
    "300 instances": {
        f"r-{number:03}": failed(FAILED) if number % 3 == 0 else pending("Watching", f"until {number}", "wait")
        for number in range(300)
    },
    "Chinese characters": {
        f"r-bp1cjk{number}": failed(
            Problem("错误" * 9, "实例当前的状态不支持此操作。" * 9, ErrorKind.UNKNOWN, hint="请稍后" * 40)
        )
        for number in range(2)
    },
    "escape sequences": {
        "r-bp1escape": failed(
            Problem("A\x1b[2J", "b\x1b]0;title\x07c\r\nd\x9b31m\t\x00e", ErrorKind.UNKNOWN, hint="\x1b[1Af")
        )
    },
    "different messages": {
        f"r-bp1{number}": failed(
            Problem("Odd", "long " * 30 + f"odd message number-{number}", ErrorKind.UNKNOWN, hint="h i n t")
        )
        for number in range(9)
    },
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("fleet", HOSTILE)
def test_whatever_comes_each_instance_has_one_line_that_fits_and_each_hint_is_there_once(
    fleet: str, width: int
) -> None:
    outcomes = HOSTILE[fleet]
    picture = draw(outcomes, width, height=400)
    lines = picture.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert re.findall(r"[^\x20-\x7e\n\u2026\u3000-\uffef]", picture) == []  # as the terminal would read them
    [head] = [number for number, line in enumerate(lines) if line.startswith("Instance")]
    rows = lines[head + 1 : head + 1 + len(outcomes)]
    states = re.findall(r"  (failed|pending|running|succeeded)", "\n".join(rows))
    assert states == sorted(each.state.value for each in outcomes.values())  # failed, pending, running, succeeded
    shown = [row.split()[0].removesuffix("…") for row in rows]
    names = sorted(ref(name).instance_id for name in outcomes)
    assert all(any(name.startswith(part) for name in names) for part in shown)
    hints = {f"Hint: {shared.hint}" for shared in shared_hints((ref(name), each) for name, each in outcomes.items())}
    squeezed = re.sub(r"\s", "", "\n".join(lines[head + 1 + len(outcomes) :]))
    assert [squeezed.count(re.sub(r"\s", "", printable(hint))) for hint in hints] == [1] * len(hints)
    assert in_one_line(picture).endswith(totals(outcomes.values(), "42 s"))


@pytest.mark.parametrize("width", WIDTHS)
def test_ids_and_states_are_whole_however_narrow_it_is(width: int) -> None:
    rows = [line.split("  ") for line in draw(NIGHT, width).splitlines()]
    assert {"r-bp1clusterclust0", "succeeded", "10001 +31"} <= {cell.strip() for row in rows for cell in row}
    assert sum(row[0] in NIGHT for row in rows) == len(NIGHT)


def test_a_message_that_had_to_be_cut_stands_in_full_below_unless_the_hint_has_its_words() -> None:
    full = failed(Problem("DiskFull", "no room is left on the disk of it, for now.", ErrorKind.UNKNOWN))
    told = failed(
        Problem(
            "Busy",
            "it runs another job at this very moment",
            ErrorKind.UNKNOWN,
            hint="this very moment runs another job at it",
        )
    )
    assert draw({"r-1": full, "r-2": told}, 50).splitlines()[2:-1] == [
        "Instance  State   Note",
        "r-1       failed  DiskFull: no room is left on th…",
        "r-2       failed  Busy: it runs another job at th…",
        "",
        "DiskFull: r-1",
        "  no room is left on the disk of it, for now",
        "Busy: r-2",
        "  Hint: this very moment runs another job at it",
    ]
    assert "disk" not in draw({"r-1": full}, 80).partition("\n\n")[2]


@pytest.mark.parametrize("width", WIDTHS)
def test_an_arn_stands_below_once_in_the_hint(width: int) -> None:
    rows, _, below = draw(NIGHT, width).partition("\n\n")
    assert (below.count("acs:"), below.count("RAM does not allow")) == (1, 0)
    if width == 60:
        assert rows.splitlines()[3].endswith("  Forbidden.RAM…")


def test_wide_and_control_characters_in_any_column_keep_the_columns_straight() -> None:
    message = "备份" * 5
    outcomes = {"r-备\x1b[1m份": failed(Problem("A", message, ErrorKind.UNKNOWN), "7"), "r-1": Outcome(State.SUCCEEDED)}
    assert draw(outcomes, 45).splitlines()[2:5] == [
        "Instance  State      Job IDs  Note",
        "r-备份    failed     7        A: 备份备份备…",
        "r-1       succeeded",
    ]


def test_messages_that_differ_in_their_times_are_one() -> None:
    watched = {
        f"r-{number}": pending(
            "Watching", f"watched until 2026-11-24T02:0{number}:05Z, another may start", "none is needed"
        )
        for number in range(3)
    }
    assert draw(watched, 60).splitlines()[2:-1] == [
        "Instance  State    Note",
        "r-0       pending  Watching: watched until 2026-11-24T02:00…",
        "r-1       pending  Watching",
        "r-2       pending  Watching",
        "",
        "Watching: r-0, r-1, r-2",
        "  watched until TIME, another may start",
        "  Hint: none is needed",
    ]
    below = ["Watching: r-0", "  watched until 2026-11-24T02:00:05Z, another may start", "  Hint: none is needed"]
    assert draw({"r-0": watched["r-0"]}, 60).splitlines()[-4:-1] == below
    assert draw({"r-0": watched["r-0"]}, 100).splitlines()[-3:-1] == [below[0], below[2]]


@pytest.mark.parametrize("height", [15, 24, 40])
def test_a_fleet_that_is_larger_than_the_screen_is_cut_and_what_failed_comes_first(height: int) -> None:
    fleet = {f"r-{number:03}": pending("Watching", f"until {number}", "wait") for number in range(297)}
    fleet |= {f"r-{number}": denied(f"r-{number}") for number in range(297, 300)}
    lines = draw(fleet, 80, height=height, is_final=False, note="no answer yet").splitlines()
    assert len(lines) < height
    assert [line.split()[0] for line in lines[2:5]] == ["r-297", "r-298", "r-299"]
    [more] = [line for line in lines if re.fullmatch(r"and \d+ more", line)]
    rows = [line for line in lines if re.match(r"r-\d", line)]
    assert more == f"and {300 - len(rows)} more"
    assert lines[-2:] == ["no answer yet", "300 instances after 42 s: 3 failed, 297 pending"]


def test_hints_for_which_the_screen_has_no_lines_are_counted() -> None:
    fleet = {
        f"r-{number}": failed(Problem(f"C{number}", "m", ErrorKind.UNKNOWN, hint=f"h{number}")) for number in range(9)
    }
    lines = draw(fleet, 80, height=24, is_final=False).splitlines()
    assert len(lines) < 24
    assert lines[lines.index("") + 1 :] == [
        *(line for number in range(4) for line in (f"C{number}: r-{number}", f"  Hint: h{number}")),
        "and 5 more hints",
        "9 instances after 42 s: 9 failed",
    ]


def test_the_last_picture_leaves_out_nothing_that_failed() -> None:
    fleet = {f"r-{number:03}": failed(FAILED) if number % 2 else pending() for number in range(300)}
    picture = draw(fleet, 80, height=24)
    assert len(re.findall(r"^r-\d+ +failed", picture, re.M)) == 150
    assert "\nand 150 more\n" in picture
    assert len(re.findall(r"^r-\d+ +failed", draw(fleet, 80, height=24, is_final=False), re.M)) == 13


@pytest.mark.parametrize(
    ("outcome", "note"),
    [
        (Outcome(State.SUCCEEDED, adopted=True, attempts=1), "adopted"),
        (Outcome(State.RUNNING, attempts=2), "attempt 2"),
        (Outcome(State.RUNNING, adopted=True, attempts=3), "attempt 3, adopted"),
        (Outcome(State.SUCCEEDED, adopted=True, verified="full"), "adopted, verified: full"),
        (failed(Problem("A", "实例不存在。", ErrorKind.UNKNOWN)), "A: 实例不存在。"),
        (failed(Problem("A", "b\x1b[31mc\r\nd\x07", ErrorKind.UNKNOWN)), "A: bc d"),
        (failed(Problem("A", "b.", ErrorKind.UNKNOWN)), "A: b"),
    ],
)
def test_the_note_of_a_row(outcome: Outcome, note: str) -> None:
    assert draw({"r-1": outcome}, 80).splitlines()[1:3] == [
        "Instance  State" + " " * (len(outcome.state.value) - 5) + "  Note",
        f"r-1       {outcome.state.value}  {note}",
    ]


FOLDER = "oss://backups/redis/1234567890123456/cn-hangzhou/r-1/20261124T020005Z-7/"
UNREACHABLE = Problem(
    "DownloadFailed",
    "its file dump.rdb could not be read: no answer from the address of the VPC",
    ErrorKind.TRANSIENT,
    hint="set the function's vpcConfig, or BACKUP_DOWNLOAD to internet",
)
PROOF = {
    "r-1": Outcome(State.SUCCEEDED, ("7",), attempts=1, verified="full", copies=FOLDER),
    "r-2": Outcome(State.VERIFYING, ("8",), attempts=2, progress=43),
    "r-3": Outcome(State.VERIFYING, ("9",), error=UNREACHABLE),
    "r-4": failed(Problem("BackupCorrupt", "job 5, node 1: it is cut short", ErrorKind.PERMANENT), "5", "6"),
    "r-5": Outcome(State.RUNNING, ("10",), progress=80),
}


def test_what_is_read_has_its_progress_and_what_was_read_its_proof_and_its_copies() -> None:
    assert draw(PROOF, 90).splitlines()[1:] == [
        "Instance  State          Job IDs  Note",
        "r-4       failed         5 +1     BackupCorrupt: job 5, node 1: it is cut short",
        "r-5       running 80%    10",
        "r-3       verifying      9        DownloadFailed: its file dump.rdb could not be read: no…",
        "r-2       verifying 43%  8        attempt 2",
        "r-1       succeeded      7        verified: full",
        "",
        "DownloadFailed: r-3",
        "  its file dump.rdb could not be read: no answer from the address of the VPC",
        "  Hint: set the function's vpcConfig, or BACKUP_DOWNLOAD to internet",
        "Copies: r-1",
        f"  {FOLDER}",
        "5 instances after 42 s: 1 failed, 1 running, 2 verifying, 1 succeeded",
    ]
    assert FOLDER not in draw(PROOF, 90, is_final=False)


def test_a_line_tells_each_tenth_that_is_read_and_the_proof() -> None:
    lines = Lines({"r-2": PROOF["r-2"]})
    lines.progress.show()
    for progress in (49, 50, 58, 93):
        lines.report.add(Answer({ref("r-2"): replace(PROOF["r-2"], progress=progress)}))
        lines.progress.show()
    lines.report.add(Answer({ref("r-2"): PROOF["r-1"], ref("r-3"): PROOF["r-3"]}))
    lines.progress.show()
    assert lines.read() == [
        *(f"cn-hangzhou/r-2 verifying {percent}% job_ids=8 attempts=2" for percent in (43, 50, 93)),
        f"cn-hangzhou/r-2 succeeded job_ids=7 attempts=1 verified=full copies={FOLDER}",
        f"cn-hangzhou/r-3 verifying job_ids=9 DownloadFailed: {UNREACHABLE.message}",
    ]


def test_columns_that_are_empty_are_left_out() -> None:
    assert draw({"r-1": pending(), "r-2": pending()}, 80) == (
        f"{HEADING}\nInstance  State\nr-1       pending\nr-2       pending\n2 instances after 42 s: 2 pending\n"
    )


def test_before_it_is_known_what_the_tags_select_there_is_no_table() -> None:
    assert draw({}, 80) == f"{HEADING}\n0 instances after 42 s: none is known yet\n"


def test_a_note_that_is_no_error_stands_below_once() -> None:
    picture = draw({f"r-{number}": Outcome(State.SUCCEEDED, note=NO_JOB_IDS) for number in (1, 2)}, 80)
    assert picture.splitlines()[1:] == [
        "Instance  State",
        "r-1       succeeded",
        "r-2       succeeded",
        "",
        "Note: r-1, r-2",
        f"  {NO_JOB_IDS}",
        "2 instances after 42 s: 2 succeeded",
    ]


def test_many_instances_of_a_hint_are_the_first_few_and_how_many_more() -> None:
    fleet = {f"r-{number:04}": failed(FAILED) for number in range(50)}
    [heading] = [line for line in draw(fleet, 60).splitlines() if line.startswith("BackupJobFailed")]
    assert heading == "BackupJobFailed: r-0000, r-0001, r-0002, r-0003 and 46 more"


def test_many_messages_of_a_hint_are_five_and_how_many_more() -> None:
    below = in_one_line(draw(HOSTILE["different messages"], 80).partition("\n\n")[2])
    assert [f"odd message number-{number} " in below for number in range(9)] == [True] * 5 + [False] * 4
    assert "and 4 more messages Hint: h i n t 9 instances" in below


@pytest.mark.parametrize(
    ("encoding", "row", "hint"),
    [
        ("ascii", "r-1       failed  ????: ?????????????, ??????? ??? ??? ??...", "  Hint: ???"),
        ("latin-1", "r-1       failed  ????: ?????????????, ??????? ??? ??? ??...", "  Hint: ???"),
        ("gbk", "r-1       failed  备份错误: 实例当前的状态不支持此操作,...", "  Hint: 请稍后"),
        ("utf-8", "r-1       failed  备份错误: 实例当前的状态不支持此操作, 请…", "  Hint: 请稍后"),
    ],
)
def test_a_terminal_whose_encoding_is_not_utf_8_gets_what_it_can_show(encoding: str, row: str, hint: str) -> None:
    problem = Problem(
        "备份错误", "实例当前的状态不支持此操作, 请稍后再次尝试" + " 请稍后" * 4, ErrorKind.UNKNOWN, hint="请稍后"
    )
    lines = draw({"r-1": failed(problem)}, 60, encoding=encoding).splitlines()
    assert (lines[3], lines[-2]) == (row, hint)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def some_report(outcomes: Mapping[str, Outcome]) -> MergedReport:
    now = timestamps.parse("2026-11-24T02:00:00Z")
    request = batches.read_fields({"instance_ids": list(outcomes), "since": "2026-11-24T02:00:00Z"}, "cn-hangzhou", now)
    report = MergedReport(request)
    report.add(Answer({ref(name): outcome for name, outcome in outcomes.items()}))
    return report


def test_a_live_table_is_drawn_anew_and_its_last_picture_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream, outcomes = Terminal(), {f"r-{number}": failed(FAILED) for number in range(60)}
    with LiveTable(some_report(outcomes), stream, lambda: HEADING, lambda: "42 s") as table:
        assert "r-59" not in stream.getvalue()
        table.note("no answer yet")
        table.show()
        assert "no answer yet" in stream.getvalue()
    assert stream.getvalue().count("Instance") == 3
    assert len(re.findall(r"r-\d+ +\S*failed", stream.getvalue().rpartition("Instance")[2])) == 60
    assert stream.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


class Lines:
    """The lines of `LineProgress`, without their times."""

    def __init__(self, outcomes: Mapping[str, Outcome], stream: io.TextIOBase | None = None) -> None:
        self.stream = stream or io.StringIO()
        self.report = some_report(outcomes)
        self.progress = LineProgress(self.report, self.stream, SimulatedClock(), lambda: HEADING, lambda: "42 s")

    def read(self) -> list[str]:
        self.stream.seek(0)
        return [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in self.stream.read().splitlines()]


def test_lines_tell_each_change_and_each_hint_once() -> None:
    outcomes = {name: NIGHT[name] for name in list(NIGHT)[3:8]}
    lines = Lines(outcomes)
    with lines.progress:
        lines.progress.show()
        lines.progress.show()
        lines.progress.note("no answer yet")
    role, both = "to the function's role", "cn-hangzhou/r-bp1denied0000000, cn-hangzhou/r-bp1denied0000001"
    arn = "acs:kvstore:cn-hangzhou:1234567890123456:instance"
    denial = "failed Forbidden.RAM: RAM does not allow kvstore:CreateBackup on"
    assert lines.read() == [
        HEADING,
        f"cn-hangzhou/r-bp1denied0000000 {denial} {arn}/r-bp1denied0000000",
        "cn-hangzhou/r-bp1zxszhcgatnx02 pending",
        "cn-hangzhou/r-bp1zxszhcgatnx03 pending BackupJobExists: an older backup of the instance still runs",
        f"cn-hangzhou/r-bp1ffffffffffff0 failed job_ids=10050,10051 attempts=2 BackupJobFailed: {FAILED.message}",
        f"cn-hangzhou/r-bp1denied0000001 {denial} {arn}/r-bp1denied0000001",
        "no answer yet",
        f"hint for Forbidden.RAM ({both}): grant kvstore:CreateBackup on {arn}/INSTANCE {role}",
        f"hint for BackupJobExists (cn-hangzhou/r-bp1zxszhcgatnx03): {BUSY.hint}",
        f"hint for BackupJobFailed (cn-hangzhou/r-bp1ffffffffffff0): {FAILED.hint}",
        "5 instances after 42 s: 3 failed, 2 pending",
    ]


def test_the_lines_of_a_command_that_was_stopped_end_without_totals() -> None:
    lines = Lines({"r-1": failed(FAILED)})
    with pytest.raises(KeyboardInterrupt), lines.progress:
        raise KeyboardInterrupt
    assert lines.read() == [HEADING, f"hint for BackupJobFailed (cn-hangzhou/r-1): {FAILED.hint}"]


def test_a_hint_of_many_instances_names_five_in_a_line() -> None:
    lines = Lines({f"r-{number}": failed(FAILED) for number in range(50)})
    with lines.progress:
        pass
    names = ", ".join(f"cn-hangzhou/r-{number}" for number in range(5))
    assert lines.read()[1] == f"hint for BackupJobFailed ({names} and 45 more): {FAILED.hint}"


def test_a_change_is_one_line_whatever_its_text_and_the_encoding() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1")
    lines = Lines({"r-1": failed(Problem("错误", "b\r\n\x1b[2Jc é", ErrorKind.UNKNOWN))}, stream)
    with lines.progress:
        lines.progress.show()
    assert lines.read()[1:-1] == ["cn-hangzhou/r-1 failed ??: b c é"]


@pytest.mark.parametrize(
    ("environ", "redraws"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
        ({"TERM": "xterm-256color", "CI": "false"}, True),
        ({"TERM": "xterm-256color", "CI": "true"}, False),
        ({"TERM": "xterm-256color", "CI": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_a_terminal_gets_a_table_but_for_a_dumb_one_and_for_ci(environ: dict[str, str], redraws: bool) -> None:
    assert can_redraw(Terminal(), environ) is redraws
    assert can_redraw(io.StringIO(), environ) is False


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ([], "0 instances after 42 s: none is known yet"),
        ([State.SUCCEEDED], "1 instance after 42 s: 1 succeeded"),
        (list(State), "6 instances after 42 s: 1 failed, 1 pending, 1 running, 1 verifying, 1 planned, 1 succeeded"),
    ],
)
def test_totals(states: list[State], text: str) -> None:
    assert totals(map(Outcome, states), "42 s") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, as it is", "plain, as it is"),
        ("a\x1b[1;31mb\x1b[0m", "ab"),
        ("a\x1b]8;;https://example.com\x1b\\b\x1b]8;;\x07", "ab"),
        ("a\x9b31mb\x1bMc\x1b", "abc"),
        ("a\tb\r\nc\u2028d\x00\x7f", "a b c d"),
        ("a\u202eb\u200bc", "abc"),
        ("备份 é", "备份 é"),
        ("a\udcffb", "a?b"),
    ],
)
def test_what_a_terminal_would_obey_is_left_out(text: str, shown: str) -> None:
    assert printable(text) == shown
