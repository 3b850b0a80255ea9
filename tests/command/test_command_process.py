"""The command as a process against the cloud over HTTP. Whatever is lost, an instance has one backup in the end."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import time

import pytest
from command_process import PROJECT, SLOWLY, TIMEOUT, Pipeline, run

from redis_backup import timestamps
from simulator import Fault, Instance, ram
from simulator.downloads.files import File
from simulator.fc.invocation import load_project

LONG = 100_000.0  # seconds
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def without_times(text: str) -> list[str]:
    """The lines of an output, times as T and job IDs as N."""
    return re.sub(r"\b1000\d\b", "N", re.sub(TIME, "T", text)).splitlines()


def changes(text: str) -> list[str]:
    """The lines of an output, whether or not the command was so quick that the function had no need to watch first."""
    lines = [line for line in without_times(text) if " pending Watching: " not in line]
    return [line.removesuffix(" adopted") for line in lines]


@pytest.mark.parametrize("generation", [2, 3])
def test_waits_for_every_backup_and_writes_a_line_per_change(generation: int) -> None:
    shards = Instance("r-b", kind="classic-cluster", shards=2, duration=120)
    with Pipeline(Instance("r-a", duration=150), shards, generation=generation).running() as pipeline:
        ended = pipeline.run("r-a", "r-b", "--wait", "30m", "--reason", "release 42")
        first, *lines, last = changes(ended.out)
        assert first == "T redis-backup in cn-hangzhou, backups since T"
        assert sorted(lines) == [
            "T cn-hangzhou/r-a running job_ids=N attempts=1",
            "T cn-hangzhou/r-a succeeded job_ids=N attempts=1",
            "T cn-hangzhou/r-b running job_ids=N,N attempts=1",
            "T cn-hangzhou/r-b succeeded job_ids=N,N attempts=1",
        ]
        assert re.fullmatch(r"T 2 instances after (\d+ min )?\d+ s: 2 succeeded", last)
        assert (ended.code, ended.err, pipeline.backups()) == (0, "", {"r-a": 1, "r-b": 1})


def test_without_wait_it_ends_when_the_backups_are_under_way_and_says_how_to_join_them() -> None:
    with Pipeline(Instance("r-a", duration=LONG), speed=1).running() as pipeline:
        ended = pipeline.run("r-a")
        assert (ended.code, ended.err) == (0, "")
        assert re.fullmatch(r"  python -m redis_backup r-a .* --since T --wait 30m", without_times(ended.out)[-1])


def test_a_failed_backup_is_1_and_says_what_to_do() -> None:
    with Pipeline(
        Instance("r-a", duration=20, outcomes=("failed",)), Instance("r-b", duration=20)
    ).running() as pipeline:
        ended = pipeline.run("r-a", "r-b", "--wait", "30m")
        assert ended.code == 1
        assert re.search(r"cn-hangzhou/r-a failed job_ids=\d+,\d+ attempts=2 BackupJobFailed: ", ended.out)
        assert re.search(r" hint for BackupJobFailed \(cn-hangzhou/r-a\): check ", ended.out)
        assert pipeline.backups() == {"r-a": 2, "r-b": 1}


def test_time_that_runs_out_is_3_and_another_run_joins_the_same_backup() -> None:
    with Pipeline(Instance("r-a", duration=150)).running() as pipeline:
        ended = pipeline.run("r-a", "--wait", "100s")
        assert ended.code == 3
        assert without_times(ended.err) == [
            "Time ran out. The backups that have started go on. To wait for them again:",
            "  python -m redis_backup r-a --wait 100s --function redis-backup --region cn-hangzhou --since T",
        ]
        since = re.findall(TIME, ended.err)[-1]
        assert pipeline.run("r-a", "--wait", "30m", "--since", since).code == 0
        assert pipeline.backups() == {"r-a": 1}


def test_the_command_that_joins_has_its_options_before_two_dashes() -> None:
    with Pipeline(Instance("r-a", duration=LONG), speed=1).running() as pipeline:
        ended = run([*pipeline.command(), "--", "r-a"], pipeline.environ())
    options = "--function redis-backup --region cn-hangzhou --since T --wait 30m"
    assert without_times(ended.out)[-1] == f"  python -m redis_backup {options} -- r-a"


def test_json_is_all_that_stdout_gets() -> None:
    with Pipeline(
        Instance("r-a", duration=20), Instance("r-b", region="cn-beijing", duration=20)
    ).running() as pipeline:
        ended = pipeline.run("r-a", "cn-beijing/r-b", "r-gone", "--wait", "30m", "--json", "--reason", "release 42")
        report = json.loads(ended.out)
        since = re.findall(TIME, ended.err)[1]
        assert [(item["region"], item["instance_id"], item["state"]) for item in report.pop("instances")] == [
            ("cn-hangzhou", "r-a", "succeeded"),
            ("cn-beijing", "r-b", "succeeded"),
            ("cn-hangzhou", "r-gone", "failed"),
        ]
        assert report == {
            "since": since,
            "reason": "release 42",
            "dry_run": False,
            "ok": False,
            "done": True,
            "counts": {"succeeded": 2, "failed": 1},
            "error": None,
        }
        assert ended.code == 1
        assert "T cn-beijing/r-b succeeded job_ids=N attempts=1" in changes(ended.err)


def test_a_dry_run_starts_nothing() -> None:
    with Pipeline(Instance("r-a")).running() as pipeline:
        ended = pipeline.run("r-a", "--dry-run")
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 0})
        assert "T cn-hangzhou/r-a planned" in without_times(ended.out)


def test_a_dry_run_beside_an_older_backup_says_so_and_is_0() -> None:
    with Pipeline(Instance("r-a", duration=900)).running() as pipeline:
        pipeline.cloud.invoke({"instance_ids": ["r-a"]})
        ended = pipeline.run("r-a", "--dry-run")
        assert (ended.code, ended.err, pipeline.backups()) == (0, "", {"r-a": 1})
        assert "r-a pending BackupJobExists: an older backup of the instance is still running" in ended.out


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_gets_a_live_table(colour: bool) -> None:
    with Pipeline(
        Instance("r-a", duration=60), Instance("r-b", duration=20, outcomes=("failed",))
    ).running() as pipeline:
        ended = pipeline.on_terminal("r-a", "r-b", "--wait", "30m", **({} if colour else {"NO_COLOR": "1"}))
        last = ended.out.rpartition("Instance")[2]
        assert ended.code == 1
        assert [
            name for name in ("r-a", "r-b", "succeeded", "failed", "BackupJobFailed", "Hint: check") if name not in last
        ] == []
        assert bool(re.search(r"\x1b\[(\d+;)*3[0-7]m", ended.out)) is colour
        assert ended.out.count("Instance") > 2, "the table is drawn again as it changes"


def test_lost_requests_and_answers_are_sent_again_and_one_backup_exists() -> None:
    with Pipeline(Instance("r-a", duration=80), Instance("r-b", duration=30)).running() as pipeline:
        lost = [Fault(kind, after=True) for kind in ("reset", "truncated", "page502", "5xx")]
        pipeline.cloud.faults.plan("InvokeFunction", [Fault("throttle-hint"), Fault("reset"), *lost])
        ended = pipeline.run("r-a", "r-b", "--wait", "30m")
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 1, "r-b": 1})
        assert ended.out.count("the same request is sent again") >= 3, "the others struck the function's own follow-ups"


def test_a_function_that_answers_late_is_waited_for() -> None:
    def late(event: bytes, context: object, runtime: object) -> object:
        runtime.clock.sleep(30)
        return load_project()(event, context, runtime)

    with Pipeline(Instance("r-a", duration=20), handler=late).running() as pipeline:
        ended = pipeline.run("r-a", "--wait", "30m")
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 1})


def test_a_function_that_answers_too_late_is_3() -> None:
    with Pipeline(Instance("r-a"), handler=lambda *_: time.sleep(10), speed=1).running() as pipeline:
        ended = pipeline.run("r-a", "--wait", "2s")
        assert (ended.code, ended.out.count("did not answer in time")) == (3, 1)
        assert "cn-hangzhou/r-a" not in ended.out, "nothing is known of it, so nothing is said of it"


def test_ctrl_c_leaves_the_backup_running_and_what_it_says_joins_it() -> None:
    with Pipeline(Instance("r-a", duration=300)).running() as pipeline:
        command = pipeline.command("r-a", "--wait", "30m")
        process = subprocess.Popen(
            command, cwd=PROJECT, env=pipeline.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for line in process.stdout:
            if " running " in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, err.splitlines()[0]) == (
            130,
            "Stopped. The backups that have started go on. To wait for them again:",
        )
        again = shlex.split(err.splitlines()[1])
        assert again[:3] == ["python", "-m", "redis_backup"]
        pipeline.to_function = ()
        assert (pipeline.run(*again[3:]).code, pipeline.backups()) == (0, {"r-a": 1})


def test_ctrl_c_does_not_wait_for_an_answer_that_is_far_away() -> None:
    with Pipeline(Instance("r-a"), handler=lambda *_: time.sleep(10)).running() as pipeline:
        process = subprocess.Popen(
            pipeline.command("r-a"), cwd=PROJECT, env=pipeline.environ(), stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None and not pipeline.cloud.faults._counts:  # until the call has arrived
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, err.splitlines()[0][:8]) == (130, "Stopped.")
        assert time.monotonic() - began < 3


def test_tags_select_and_the_report_names_what_they_selected() -> None:
    shop = {"app": "shop"}
    fleet = (
        Instance("r-a", tags=shop, duration=20),
        Instance("r-b", tags=shop, type="Tair", duration=20),
        Instance("r-c"),
    )
    with Pipeline(*fleet).running() as pipeline:
        ended = pipeline.run("--tag", "app=shop", "--wait", "30m", "--json")
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 1, "r-b": 1, "r-c": 0})
        assert sorted(item["instance_id"] for item in json.loads(ended.out)["instances"]) == ["r-a", "r-b"]


def test_a_split_request_is_sent_once_and_then_only_looked_at() -> None:
    fleet = [Instance(f"r-{number}", tags={"app": "shop"}, duration=20) for number in range(5)]
    with Pipeline(*fleet, speed=SLOWLY, settings={"BACKUP_SHARD_SIZE": "2"}).running() as pipeline:
        ended = pipeline.run("--tag", "app=shop", "--wait", "30m", "--json")
        assert (ended.code, json.loads(ended.out)["counts"]) == (0, {"succeeded": 5})
        assert set(pipeline.backups().values()) == {1}
        first, *looks = pipeline.requests()
        assert first.get("dry_run", False) is False
        assert [look["dry_run"] for look in looks] == [True] * len(looks)
        assert max(len(look["instance_ids"]) for look in looks) == 2


def test_without_wait_a_part_that_could_not_be_sent_is_3() -> None:
    def handler(*_: object) -> object:
        items = [
            {"instance_id": name, "region": "cn-hangzhou", "state": "pending", "job_ids": []} for name in ("r-a", "r-b")
        ]
        shards = [{"task_id": f"backup-{sent}", "instances": 1, "sent": sent} for sent in ("new", "failed")]
        return {"instances": items, "jobs": {}, "shards": shards, "ok": True, "done": False}

    with Pipeline(Instance("r-a"), Instance("r-b"), handler=handler).running() as pipeline:
        ended = pipeline.run("r-a", "r-b")
        assert (ended.code, ended.err.splitlines()[0]) == (3, "Some backups have not started. To wait for them:")
        assert "the function could not start shards for 1 instance; see its log" in ended.out


def test_while_an_instance_is_watched_the_function_is_asked_to_stay_with_it() -> None:
    with Pipeline(Instance("r-a", duration=20)).running() as pipeline:
        since = timestamps.render(timestamps.from_epoch(int(pipeline.cloud.clock.time()) - 100))
        ended = pipeline.run("r-a", "--since", since, "--wait", "30m")
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 1})
        watching = "T cn-hangzhou/r-a pending Watching: watched until T at least, because a backup that another "
        assert without_times(ended.out)[1].startswith(watching)
        assert [fields.get("wait_seconds") for fields in pipeline.requests()][:2] == [None, 75]


def test_job_ids_that_cannot_be_had_are_said_to_be_in_the_log_store() -> None:
    note = "job IDs: not listed by R-KVStore; see backup_started in the log store"
    with Pipeline(Instance("r-a", kind="cloud-native")).running() as pipeline:
        now = pipeline.cloud.clock.time()
        pipeline.cloud.kvstore.instance("r-a").add_backup(now - 90, now - 60, mode="Manual")
        since = timestamps.render(timestamps.from_epoch(int(now) - 100))
        ended = pipeline.run("r-a", "--since", since, "--json")
        [told] = json.loads(ended.out)["instances"]
        assert (ended.code, told["job_ids"], told["note"]) == (0, [], note)
        assert f"T cn-hangzhou/r-a succeeded attempts=1 adopted; {note}" in without_times(ended.err)
        assert "not listed by" in pipeline.on_terminal("r-a", "--since", since).out


def test_instances_that_were_not_listed_are_1_though_all_that_were_have_succeeded() -> None:
    item = {"instance_id": "r-a", "region": "cn-hangzhou", "state": "succeeded", "job_ids": ["7"]}
    error = {"code": "IncompleteListing", "message": "2 were not listed", "kind": "unknown", "hint": "name them"}
    report = {"instances": [item], "jobs": {}, "ok": False, "done": True, "error": error}
    with Pipeline(Instance("r-a"), handler=lambda *_: report).running() as pipeline:
        ended = pipeline.run("--tag", "app=shop", "--wait", "30m", "--json")
        assert (ended.code, ended.err.splitlines()[-2:]) == (
            1,
            ["Error: 2 were not listed (IncompleteListing)", "  name them"],
        )
        told = json.loads(ended.out)
        assert (told["ok"], told["counts"]) == (False, {"succeeded": 1})


STORE = {"BACKUP_STORE": "oss://backups/redis"}
FOLDER = r"oss://backups/redis/1234567890123456/cn-hangzhou/r-a/\w+-N/"


def test_backups_are_read_back_and_copied_before_they_have_succeeded() -> None:
    encrypted = Instance("r-b", duration=20, files=(File(encrypted=True),))
    with Pipeline(Instance("r-a", duration=20), encrypted, settings=STORE).running() as pipeline:
        ended = pipeline.run("r-a", "r-b", "--copy", "--wait", "30m", "--json")
        lines = changes(ended.err)
        assert (ended.code, pipeline.backups()) == (0, {"r-a": 1, "r-b": 1})
        [line] = [line for line in lines if " r-a succeeded " in line.replace("/", " ")]
        assert re.fullmatch(rf"T \S+ succeeded job_ids=N attempts=1 verified=full copies={FOLDER}", line)
        told = {item["instance_id"]: item for item in json.loads(ended.out)["instances"]}
        assert [told[name]["verified"] for name in ("r-a", "r-b")] == ["full", "unknown-format"]
        assert told["r-a"]["copies"] in ended.err
        assert "only a restore proves this backup" in told["r-b"]["note"]
        assert {(each["copy"], "verify" in each) for each in pipeline.requests()} == {(True, False)}


def test_a_corrupt_backup_is_1_and_names_what_was_found() -> None:
    corrupt = Instance("r-a", duration=20, files=(File(cut=100),))
    with Pipeline(corrupt, settings={"BACKUP_MAX_ATTEMPTS": "1"}).running() as pipeline:
        ended = pipeline.run("r-a", "--verify", "quick", "--wait", "30m")
        assert ended.code == 1
        assert re.search(r"r-a failed job_ids=\d+ attempts=1 BackupCorrupt: 1 of at most 1 .*; job \d+, ", ended.out)
        assert " hint for BackupCorrupt (cn-hangzhou/r-a): keep the backup for Alibaba Cloud's support" in ended.out


def test_backups_that_are_being_read_are_0_without_wait_3_where_time_runs_out_and_the_same_command_joins() -> None:
    item = {"instance_id": "r-a", "region": "cn-hangzhou", "state": "verifying", "job_ids": ["7"], "progress": 43}
    report = {"instances": [item], "jobs": {}, "ok": True, "done": False}
    with Pipeline(Instance("r-a"), handler=lambda *_: report, speed=SLOWLY).running() as pipeline:
        ended = pipeline.run("r-a", "--verify", "full", "--no-copy")
        assert (ended.code, ended.err) == (0, "")
        goes_on, again = without_times(ended.out)[-2:]
        assert "T cn-hangzhou/r-a verifying 43% job_ids=7" in without_times(ended.out)
        assert goes_on == "The function goes on reading the backups. To wait for them:"
        options = "--verify full --no-copy --function redis-backup --region cn-hangzhou --since T"
        assert again == f"  python -m redis_backup r-a {options} --wait 30m"
        ended = pipeline.run("r-a", "--wait", "45s")
        assert (ended.code, ended.err.splitlines()[0]) == (
            3,
            "Time ran out. The function goes on reading the backups. To wait for them again:",
        )


def test_an_audit_is_3_until_each_instance_has_a_backup_that_was_read_back() -> None:
    with Pipeline(Instance("r-a"), Instance("r-b"), settings=STORE).running() as pipeline:
        now = pipeline.cloud.clock.time()
        for name, started in (("r-a", now - 600), ("r-b", now - 200_000)):
            pipeline.cloud.kvstore.instance(name).add_backup(started, started + 60)
        audit = ("r-a", "r-b", "--max-age", "1d", "--verify", "full", "--dry-run")
        ended = pipeline.run(*audit)
        assert (ended.code, pipeline.backups()) == (3, {"r-a": 1, "r-b": 1})
        assert without_times(ended.err) == [
            "2 instances have no backup since T that was read back as asked.",
            "  Without --dry-run, the function starts the backups that are missing, and reads what has not been read.",
        ]
        a, b = sorted(without_times(ended.out)[1:-1])
        assert a == "T cn-hangzhou/r-a planned job_ids=N adopted; its newest backup has not been read back as asked"
        assert b == "T cn-hangzhou/r-b planned no good backup has started since T"
        assert pipeline.run("r-a", "--max-age", "1d", "--verify", "full", "--wait", "30m").code == 0
        ended = pipeline.run("r-a", "--max-age", "1d", "--verify", "full", "--dry-run")
        assert (ended.code, ended.err, pipeline.backups()["r-a"]) == (0, "", 1)
        assert "T cn-hangzhou/r-a succeeded job_ids=N verified=full adopted" in without_times(ended.out)


def test_proof_for_which_the_function_has_no_store_is_2_and_names_the_setting() -> None:
    with Pipeline(Instance("r-a")).running() as pipeline:
        ended = pipeline.run("r-a", "--verify", "full")
        assert (ended.code, pipeline.backups()) == (2, {"r-a": 0})
        assert "set BACKUP_STORE to oss://BUCKET/PREFIX in the function's environment" in ended.err


def test_a_request_that_the_function_refuses_is_2_with_its_text() -> None:
    with Pipeline(Instance("r-a"), settings={"BACKUP_MAX_INSTANCES": "1"}).running() as pipeline:
        ended = pipeline.run("r-a", "r-b", "--json")
        assert ended.code == 2
        assert ended.err.splitlines()[-1] == (
            "Error: the request names 2 instances but must name at most 1; raise BACKUP_MAX_INSTANCES in the "
            "function's environment, or split the request. Nothing was started."
        )
        assert json.loads(ended.out)["error"]["message"] in ended.err


@pytest.mark.parametrize("generation", [2, 3])
def test_a_caller_without_permission_is_told_the_action_and_the_resource(generation: int) -> None:
    nothing = ram.allow([], [])
    with Pipeline(Instance("r-a"), generation=generation, user_policy=nothing).running() as pipeline:
        ended = pipeline.run("r-a")
        assert (ended.code, ended.err.splitlines()[0]) == (
            2,
            f"Error: RAM does not allow you fc:InvokeFunction on {pipeline.cloud.function.resource}",
        )


@pytest.mark.parametrize("generation", [2, 3])
def test_credentials_that_are_refused_are_never_shown(generation: int) -> None:
    planted = {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "PLANTEDSECRET", "ALIBABA_CLOUD_SECURITY_TOKEN": "PLANTEDTOKEN"}
    with Pipeline(Instance("r-a"), generation=generation).running() as pipeline:
        ended = pipeline.run("r-a", **planted, DEBUG="sdk")
        assert (ended.code, ended.err.splitlines()[0][:43]) == (2, "Error: Function Compute refused the credent")
        assert [secret for secret in planted.values() if secret in ended.out + ended.err] == []
