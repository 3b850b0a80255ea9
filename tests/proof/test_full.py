"""`verify: full`: every byte is read, in invocations of the instance's own; a receipt says so for ever."""

from __future__ import annotations

import json
from typing import Any

import anycrc
import pytest

from simulator import Cloud, Instance, SimulatedClock
from simulator.downloads.files import File
from simulator.faults import Fault, Faults
from simulator.fc.config import FunctionConfig
from simulator.kvstore.behaviour import Behaviour
from tests.proof.cases import FOLDER, STORE, downloads, ensure, event, first, last, names, states, stored

MIB = 1 << 20


def bytes_sent(cloud: Cloud) -> int:
    """How many bytes of files were sent."""
    return sum(call.bytes_sent for call in cloud.calls if call.operation == "Download")


def test_every_byte_is_read_and_a_receipt_says_so(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    records = ensure(cloud, verify="full")
    assert states(records) == ["started", "verifying", "succeeded"]
    backup = cloud.kvstore.instance("r-1").backups[0]
    verifying, succeeded = first(records, "backup_verifying"), first(records, "backup_succeeded")
    size = verifying["backup_size"]
    assert (verifying["job_ids"], verifying["level"]) == ("10000", "INFO")
    assert (succeeded["verified"], succeeded["bytes_read"]) == ("full", size + 36)
    assert names(cloud.store) == ["full.json", "progress.json"]
    receipt = stored(cloud.store, "full.json")
    [file] = receipt.pop("files")
    assert receipt == {
        "version": 1,
        "account": "1234567890123456",
        "region": "cn-hangzhou",
        "instance_id": "r-1",
        "job_ids": ["10000"],
        "begin": "2026-11-24T02:00:00Z",
        "end": "2026-11-24T02:01:00Z",
        "verified": "full",
    }
    assert (file["bytes"], file["node"], file["rdb_version"]) == (size, "r-1-db-0", 9)
    content = cloud.kvstore.instance("r-1").content(backup, backup.jobs[0], 0)
    assert file["crc64"] == f"{anycrc.Model('CRC64-REDIS').calc(b''.join(content.read(0, size - 8))):016x}"


def test_a_receipt_that_is_found_spares_the_reading(make_cloud) -> None:
    """A repeat, a poll, an audit: at most four calls for an instance."""
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    ensure(cloud, verify="full")
    read, before = downloads(cloud), len(cloud.calls)
    report = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "verify": "full"}).result
    [instance] = report["instances"]
    assert (instance["state"], instance["verified"], instance["copies"]) == ("succeeded", "full", None)
    assert len(cloud.calls) - before <= 4
    assert downloads(cloud) == read


def test_each_instance_is_read_in_an_invocation_of_its_own(make_cloud) -> None:
    cloud = make_cloud(*(Instance(f"r-{number}") for number in range(1, 4)), settings=STORE)
    records = ensure(cloud, "r-1 r-2 r-3", verify="full")
    assert all(states(records, f"r-{number}") == ["started", "verifying", "succeeded"] for number in range(1, 4))
    readers = {
        call.request_id: {
            each.instance for each in cloud.calls if each.operation == "Download" and each.request_id == call.request_id
        }
        for call in cloud.calls
        if call.operation == "Download"
    }
    assert [len(instances) for instances in readers.values()] == [1, 1, 1]
    finished = {
        (each.get("shard", ""), each["instances"], each["succeeded"])
        for each in records
        if each["event"] == "request_finished"
    }
    assert finished == {(f"1/1/r-{number}", 1, 1) for number in range(1, 4)}


def test_the_reading_of_the_only_instance_is_the_whole_request(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    records = ensure(cloud, verify="full")
    assert {
        (each.get("shard"), each["instances"], each["succeeded"], each["attempts"])
        for each in records
        if each["event"] == "request_finished"
    } == {(None, 1, 1, 1)}


def test_what_failed_beside_a_reading_is_reported_by_itself(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2", outcomes=("failed",)), settings=STORE)
    records = ensure(cloud, "r-1 r-2", verify="full", most=80)
    assert states(records, "r-1")[-1] == "succeeded"
    assert states(records, "r-2")[-1] == "failed"
    finished = {
        each.get("shard", ""): (each["instances"], each["succeeded"], each["failed"])
        for each in records
        if each["event"] == "request_finished"
    }
    assert finished == {"1/1/r-1": (1, 1, 0), "": (1, 0, 1)}


def test_the_next_follow_up_is_sent_before_the_reading(make_cloud) -> None:
    """So a reading that is killed is taken up."""
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    ensure(cloud, verify="full")
    operations = [
        call.operation for call in cloud.calls if call.operation in ("InvokeFunction", "PutObject", "Download")
    ]
    assert operations[:4] == ["InvokeFunction", "InvokeFunction", "PutObject", "Download"]


@pytest.mark.parametrize("file", [File(flip=500), File(flip=-1), File(flip=9), File(cut=20)])
def test_a_corrupt_backup_is_a_failed_attempt(make_cloud, file: File) -> None:
    cloud = make_cloud(Instance("r-1", files=(file, File())), settings=STORE)
    records = ensure(cloud, verify="full")
    assert "BackupCorrupt" in {each.get("error_code") for each in records}
    succeeded = last(records, "backup_succeeded")
    assert (succeeded["job_ids"], succeeded["attempts"], succeeded["verified"]) == ("10001", 2, "full")
    assert len(cloud.kvstore.instance("r-1").backups) == 2
    assert names(cloud.store) == ["progress.json"]  # no receipt without a sound file


def test_it_is_read_twice_before_it_is_called_corrupt(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(flip=500), File())), settings=STORE)
    ensure(cloud, verify="full")
    ranges = [call.range for call in cloud.calls if call.operation == "Download"]
    whole = [text for text in ranges if text.startswith("bytes=0-") and text != "bytes=0-8"]
    assert len(whole) == 3  # twice the first backup, once the second


def test_all_attempts_corrupt(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(flip=500),)), settings=STORE)
    records = ensure(cloud, verify="full")
    failed = last(records, "backup_failed")
    assert (failed["error_code"], failed["attempts"], failed["level"]) == ("BackupCorrupt", 2, "ERROR")
    assert "job 10000, node r-1-db-0, file hins" in failed["error_message"]
    assert "job 10001, node r-1-db-0, file hins" in failed["error_message"]
    assert "does not have the CRC-64" in failed["error_message"] or "do not have the CRC-64" in failed["error_message"]
    assert len(cloud.kvstore.instance("r-1").backups) == 2


def test_a_failure_is_raised_by_the_last_invocation_alone(make_cloud) -> None:
    """The one that has read the files returns: the follow-up that it has sent before is still to come."""
    cloud = make_cloud(
        Instance("r-1", files=(File(flip=500),)), settings=STORE, function=FunctionConfig(max_async_retry_attempts=0)
    )
    ensure(cloud, verify="full")
    raised = [each.error["errorType"] for each in cloud.platform.invocations if each.error]
    assert raised == ["BackupFailed"]
    assert cloud.platform.invocations[-1].error


def test_what_is_corrupt_in_a_bucket_with_a_retention_policy_is_not_read_for_ever(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(flip=500),)), settings={"BACKUP_STORE": "oss://kept/redis"})
    cloud.oss._buckets.pop("kept")
    bucket = cloud.oss.bucket("kept", worm=True)
    records = ensure(cloud, verify="full", most=25)
    assert last(records, "backup_failed")["error_code"] == "BackupCorrupt"
    assert bytes_sent(cloud) < 7 * last(records, "backup_verifying")["backup_size"]  # each of the two backups twice
    written = sorted(key.rpartition("/")[2] for key in bucket.objects)
    assert written == ["corrupt.json", "corrupt.json", "progress.json", "progress.json"]


@pytest.mark.parametrize("missing", [1, 2])
def test_a_cluster_whose_files_are_not_all_listed_is_not_verified(make_cloud, missing: int) -> None:
    files = tuple(File(missing=number < missing) for number in range(2))
    cloud = make_cloud(
        Instance("r-1", kind="cloud-native", shards=2, files=(files,)),
        settings={**STORE, "BACKUP_FOLLOW_HOURS": "0.1"},
    )
    for fields in ({"verify": "quick"}, {"verify": "full"}):
        records = ensure(cloud, most=80, **fields)
        verifying = last(records, "backup_verifying")
        assert (verifying["error_code"], "console" in verifying["hint"]) == ("DownloadFailed", True)
        assert last(records, "backup_failed")["error_code"] == "FollowUpExpired"
    assert not any(key.endswith("full.json") for key in cloud.store.objects)


class BrokenClock(SimulatedClock):
    """A clock that cannot give random numbers, which a pause before another try needs."""

    def uniform(self, low: float, high: float) -> float:
        raise ArithmeticError(f"SECRET {low} {high}")


def test_an_internal_error_while_reading_loses_no_record_and_no_answer(make_cloud) -> None:
    faults = Faults()
    faults.plan("Download", [*[None] * 4, Fault("reset")])
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults, clock=BrokenClock(grace=0))
    records = ensure(cloud, verify="full")
    assert not any(each.error for each in cloud.platform.invocations)
    errors = [each["error_message"] for each in records if each.get("error_code") == "UnexpectedError"]
    assert errors == ["internal error (ArithmeticError)"]
    assert states(records) == ["started", "verifying", "succeeded"]


def test_a_new_request_learns_from_the_note_that_a_backup_is_corrupt(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(flip=500),)), settings=STORE)
    ensure(cloud, verify="full")
    read = bytes_sent(cloud)
    report = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "verify": "full"}).result
    assert report["instances"][0]["error"]["code"] == "BackupCorrupt"
    assert bytes_sent(cloud) == read


def test_bytes_that_change_on_their_way_are_not_held_against_the_file(make_cloud) -> None:
    faults = Faults()
    faults.plan("Download", [None, None, Fault("flip")])
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults)
    assert states(ensure(cloud, verify="full")) == ["started", "verifying", "succeeded"]


@pytest.mark.parametrize(
    ("file", "verified", "reads_all"),
    [
        (File(checksum=False), "quick", True),
        (File(version=4), "quick", True),
        (File(empty=True), "full", True),
        (File(encrypted=True), "unknown-format", False),
    ],
)
def test_what_is_said_of_each_kind_of_file(make_cloud, file: File, verified: str, reads_all: bool) -> None:
    cloud = make_cloud(Instance("r-1", files=(file,)), settings=STORE)
    records = ensure(cloud, verify="full")
    succeeded = first(records, "backup_succeeded")
    assert succeeded["verified"] == verified
    assert succeeded["bytes_read"] == 36 + (succeeded["backup_size"] if reads_all else 0)
    assert stored(cloud.store, "full.json")["verified"] == verified
    report = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "verify": "full"}).result
    assert report["instances"][0]["verified"] == verified  # the receipt is believed, whatever it says


def test_one_corrupt_shard_makes_the_backup_corrupt(make_cloud) -> None:
    cloud = make_cloud(
        Instance("r-1", kind="classic-cluster", shards=2, files=((File(), File(flip=99)), File())), settings=STORE
    )
    records = ensure(cloud, verify="full")
    corrupt = first(records, "warning")
    assert corrupt["error_code"] == "BackupCorrupt"
    assert "node r-1-db-1" in corrupt["error_message"]
    assert last(records, "backup_succeeded")["attempts"] == 2


@pytest.mark.parametrize("kind", ["reset", "5xx", "cut", "whole", "denied", "hang", "slow", "redirect-307"])
def test_faults_of_downloads_do_not_matter(make_cloud, kind: str) -> None:
    faults = Faults()
    faults.plan("Download", [None, None, Fault(kind), Fault(kind)])
    cloud = make_cloud(Instance("r-1", files=(File(size=200_000),)), settings=STORE, faults=faults)
    records = ensure(cloud, verify="full")
    assert states(records) == ["started", "verifying", "succeeded"]
    assert "verifying" not in states(records)[2:]


@pytest.mark.parametrize("lifetime", [{"address_uses": 1}, {"address_lifetime": 0.5}])
def test_addresses_that_expire_are_asked_for_anew(make_cloud, lifetime: dict[str, Any]) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(size=9 * MIB),)), settings=STORE, behaviour=Behaviour(**lifetime))
    assert states(ensure(cloud, verify="full")) == ["started", "verifying", "succeeded"]


STORE_FAULTS = [Fault("reset"), Fault("5xx"), Fault("reset", after=True), Fault("throttle-503")]


@pytest.mark.parametrize(
    ("operation", "fault"),
    [("GetObject", Fault("cut")), *((name, fault) for name in ("GetObject", "PutObject") for fault in STORE_FAULTS)],
)
def test_faults_of_the_store_do_not_matter(make_cloud, operation: str, fault: Fault) -> None:
    faults = Faults()
    faults.plan(operation, [fault] * 3)
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults)
    assert states(ensure(cloud, verify="full")) == ["started", "verifying", "succeeded"]
    assert stored(cloud.store, "full.json")["verified"] == "full"


def test_the_answer_to_ones_own_receipt_can_be_that_it_exists(make_cloud) -> None:
    faults = Faults()
    faults.plan("PutObject", [None, Fault("reset", after=True)])
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults)
    assert states(ensure(cloud, verify="full")) == ["started", "verifying", "succeeded"]
    assert 409 in [call.status for call in cloud.calls if call.operation == "PutObject"]


def test_a_receipt_of_something_else_in_the_way(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings={**STORE, "BACKUP_FOLLOW_HOURS": "0.1"})
    cloud.store.put(f"{FOLDER}full.json", b"{}")
    records = ensure(cloud, verify="full")
    assert last(records, "backup_verifying")["error_code"] == "ReceiptInTheWay"
    assert f"oss://backups/{FOLDER}full.json" in last(records, "backup_verifying")["error_message"]
    assert last(records, "backup_failed")["error_code"] == "FollowUpExpired"


def test_a_store_that_denies_is_named_and_the_backup_is_kept(make_cloud) -> None:
    from simulator import ram

    cloud = make_cloud(
        Instance("r-1"),
        settings={**STORE, "BACKUP_FOLLOW_HOURS": "0.1"},
        policy=ram.allow(["kvstore:*", "fc:*"], ["*"]),
    )
    records = ensure(cloud, verify="full")
    assert states(records) == ["started", "verifying", "failed"]
    verifying = last(records, "backup_verifying")
    assert verifying["error_code"] == "AccessDenied"
    assert "oss:GetObject on acs:oss:*:1234567890123456:backups/redis/" in verifying["error_message"]


def test_a_bucket_that_is_not_there(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings={"BACKUP_FOLLOW_HOURS": "0.1", **STORE})
    cloud.oss._buckets.pop("backups")
    verifying = last(ensure(cloud, verify="full"), "backup_verifying")
    assert verifying["error_code"] == "NoSuchBucket"
    assert "BACKUP_STORE" in verifying["hint"]


# A file that takes more than one invocation


def reading_cloud(make_cloud: Any, size: int, **options: Any) -> Cloud:
    """A function whose time-out is too short for the file: each call takes a second."""
    settings = {**STORE, **options.pop("settings", {})}
    return make_cloud(
        Instance("r-1", files=(File(size=size),)),
        settings=settings,
        function=FunctionConfig(timeout=options.pop("timeout", 32)),
        latency=1.0,
        **options,
    )


def test_a_file_passes_through_a_short_function(make_cloud) -> None:
    size = 90 * MIB
    cloud = reading_cloud(make_cloud, size)
    records = ensure(cloud, verify="full", most=40)
    assert last(records, "backup_succeeded")["verified"] == "full"
    assert not any(each.timed_out for each in cloud.platform.invocations)  # it stops by itself
    ranges = [call.range for call in cloud.calls if call.operation == "Download"]
    readers = {call.request_id for call in cloud.calls if call.operation == "Download"}
    assert len(readers) > 1
    # Nothing is read again but the parts that were being read when the time was over.
    assert len(ranges) - len(set(ranges)) <= 8 * (len(readers) - 1)
    assert size < first(records, "backup_succeeded")["bytes_read"] <= bytes_sent(cloud)


@pytest.mark.parametrize("kill_after", range(16, 44, 4))
def test_a_reading_that_is_killed_is_taken_up(make_cloud, kill_after: int) -> None:
    cloud = reading_cloud(make_cloud, 40 * MIB, timeout=120)
    cloud.platform.plan_kills([None, kill_after])
    cloud.invoke_async(event(verify="full"))
    cloud.platform.run_due()
    reading = cloud.platform.run_due()
    assert reading.killed
    cloud.platform.drain(40)
    assert states(cloud.logs.records)[-1] == "succeeded"
    assert [json.loads(each.read())["verified"] for key, each in cloud.store.objects.items() if "full" in key] == [
        "full"
    ]


def test_progress_is_reported_from_the_note(make_cloud) -> None:
    cloud = reading_cloud(make_cloud, 90 * MIB)
    cloud.invoke_async(event(verify="full"))
    for _ in range(2):
        cloud.platform.run_due()
    report = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "verify": "full"}).result
    [instance] = report["instances"]
    assert instance["state"] == "verifying"
    assert 0 < instance["progress"] < 100


def test_a_fresh_note_of_another_reader_is_respected(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    cloud.invoke_async(event(verify="full"))
    cloud.platform.run_due()
    note = {"version": 1, "corrupt": "", "bytes_read": 0, "paused": False, "files": []}
    cloud.clock.sleep(50)
    cloud.store.put(f"{FOLDER}progress.json", json.dumps(note).encode())
    cloud.platform.run_due()
    assert downloads(cloud) == 0
    assert states(cloud.logs.records) == ["started", "verifying"]
    cloud.platform.drain(20)
    assert states(cloud.logs.records) == ["started", "verifying", "succeeded"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"version":1,"files":[{"name":"x"}]}', b"\xff" * 50])
def test_a_note_that_cannot_be_read_does_not_matter(make_cloud, content: bytes) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    cloud.invoke_async(event(verify="full"))
    cloud.platform.run_due()
    cloud.store.put(f"{FOLDER}progress.json", content)
    cloud.clock.sleep(40)
    cloud.platform.drain(20)
    assert states(cloud.logs.records) == ["started", "verifying", "succeeded"]


# Requests


def test_full_and_copy_need_a_store(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"))
    for fields in ({"verify": "full"}, {"copy": True}):
        invocation = cloud.invoke({"instance_ids": "r-1", **fields})
        assert invocation.error["errorType"] == "InvalidRequest"
        assert "BACKUP_STORE" in invocation.error["errorMessage"]
    assert cloud.calls == []
    default = make_cloud(Instance("r-1"), settings={"BACKUP_VERIFY": "full"})
    assert "BACKUP_STORE" in default.invoke("r-1").error["errorMessage"]


@pytest.mark.parametrize("field", ["store", "bucket", "backup_store", "store_region", "download"])
def test_no_event_chooses_where_data_goes(make_cloud, field: str) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    invocation = cloud.invoke({"instance_ids": "r-1", "copy": True, field: "oss://elsewhere/x"})
    assert f"unknown field: {field}" in invocation.error["errorMessage"]


def test_the_reading_goes_on_elsewhere_while_a_caller_waits(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    request = {"instance_ids": "r-1", "verify": "full", "since": "2026-11-24T02:00:00Z"}
    cloud.invoke({**request, "verify": "none"})
    cloud.clock.sleep(70)
    before = cloud.clock.time()
    report = cloud.invoke({**request, "wait_seconds": 100}).result  # nothing else runs meanwhile, in this test
    assert [instance["state"] for instance in report["instances"]] == ["verifying"]
    assert cloud.clock.time() - before >= 100
    sent = [call.time - before for call in cloud.calls if call.operation == "InvokeFunction" and call.time >= before]
    assert sent == [0.0]
    cloud.platform.drain(20)
    report = cloud.invoke(request).result
    assert (report["done"], report["ok"]) == (True, True)


def test_a_caller_who_waits_where_nothing_follows_up_is_told_the_end(make_cloud) -> None:
    cloud = make_cloud(
        Instance("r-1", files=(File(flip=500), File())), settings={**STORE, "BACKUP_FOLLOW_SECONDS": "0"}
    )
    request = {"instance_ids": "r-1", "verify": "full", "since": "2026-11-24T02:00:00Z"}
    report = cloud.invoke({**request, "wait_seconds": 270}).result
    assert [(instance["state"], instance["attempts"]) for instance in report["instances"]] == [("succeeded", 2)]
    assert len(cloud.platform.invocations) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"settings": {"BACKUP_FOLLOW_SECONDS": "0"}},
        {"policy": "without fc"},
    ],
)
def test_where_nothing_follows_up_the_invocation_reads(make_cloud, options: dict[str, Any]) -> None:
    from simulator import ram

    settings = {**STORE, **options.get("settings", {})}
    extra = {"policy": ram.allow(["kvstore:*", "oss:*"], ["*"])} if "policy" in options else {}
    cloud = make_cloud(Instance("r-1"), settings=settings, **extra)
    invocation = cloud.invoke(event(verify="full"))
    assert invocation.error["errorType"] == "BackupPending"  # it runs, and nobody would see its end
    cloud.clock.sleep(60)
    again = cloud.invoke(event(verify="full"))
    assert again.error is None
    assert states(cloud.logs.records)[-1] == "succeeded"


def test_an_event_of_a_batch_that_asks_for_more_gets_it(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"), settings=STORE)

    def cloud_event(number: int, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"e-{number}",
            "source": "test",
            "specversion": "1.0",
            "type": "t",
            "time": f"2026-11-24T02:00:0{number}Z",
            "data": data,
        }

    cloud.clock.sleep(5)
    cloud.invoke_async(
        [
            cloud_event(1, {"instance_ids": "r-1", "verify": "full"}),
            cloud_event(2, {"instance_ids": "r-1 r-2"}),  # the stricter one: its time is later
        ]
    )
    cloud.platform.drain(40)
    records = cloud.logs.records
    assert states(records, "r-2")[-1] == "succeeded"
    verified = {each["instance_id"]: each.get("verified") for each in records if each["event"] == "backup_succeeded"}
    assert verified == {"r-1": "full", "r-2": None}


def test_proof_makes_another_request(make_cloud) -> None:
    """The task ID of a follow-up depends on what has to be shown."""
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    for fields in ({}, {"verify": "quick"}, {"verify": "full"}, {"copy": True}, {"verify": "full", "copy": True}):
        cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", **fields})
    statuses = [call.status for call in cloud.calls if call.operation == "InvokeFunction"]
    assert statuses == [202, 202, 202, 202, 409]


# The audit


def test_an_audit_says_which_instances_have_no_backup_that_was_read_back(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), Instance("r-2"), settings=STORE)
    ensure(cloud, "r-1", verify="full")
    ensure(cloud, "r-2")
    before, read = len(cloud.calls), downloads(cloud)
    request = {"instance_ids": "r-1 r-2", "since": "2026-11-24T02:00:00Z", "dry_run": True}
    report = cloud.invoke({**request, "verify": "full"}).result
    assert [(each["instance_id"], each["state"]) for each in report["instances"]] == [
        ("r-1", "succeeded"),
        ("r-2", "planned"),
    ]
    assert downloads(cloud) == read
    assert not any(call.operation in ("PutObject", "InvokeFunction", "CreateBackup") for call in cloud.calls[before:])
    report = cloud.invoke({**request, "verify": "quick"}).result
    assert {each["state"] for each in report["instances"]} == {"succeeded"}
    assert downloads(cloud) == read + 4


def test_an_audit_looks_at_the_newest_good_backup(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    ensure(cloud, verify="full")
    cloud.clock.sleep(600)
    cloud.invoke({"instance_ids": "r-1"})
    cloud.platform.drain(10)
    report = cloud.invoke(
        {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", "dry_run": True, "verify": "full"}
    ).result
    assert [(each["state"], each["job_ids"]) for each in report["instances"]] == [("planned", ["10001"])]
