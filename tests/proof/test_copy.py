"""`copy`: each file lies in the store, byte for byte, and outlives its instance."""

from __future__ import annotations

import json
from typing import Any

import anycrc
import pytest

from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.downloads import BackupFile, backup_files
from redis_backup.proof.reading import unique_names
from simulator import Cloud, Instance, ram
from simulator.downloads.files import File
from simulator.faults import Fault, Faults
from simulator.fc.config import FunctionConfig
from tests.proof.cases import FOLDER, STORE, downloads, ensure, event, first, last, names, states, stored

MIB = 1 << 20


def copies(cloud: Cloud) -> dict[str, bytes]:
    """The copies in the store by their names."""
    return {
        key.rpartition("/")[2]: each.read() for key, each in cloud.store.objects.items() if not key.endswith(".json")
    }


def originals(cloud: Cloud, number: int = 0) -> list[bytes]:
    """The files of a backup of `r-1`."""
    state = cloud.kvstore.instance("r-1")
    backup = state.backups[number]
    nodes = [(job, node) for node, job in enumerate(backup.jobs)]
    if state.config.kind == "cloud-native":
        nodes = [(backup.jobs[0], node) for node in range(state.config.shards)]
    contents = [state.content(backup, job, node) for job, node in nodes]
    return [b"".join(each.read(0, each.size)) for each in contents]


@pytest.mark.parametrize(("kind", "shards"), [("standard", 1), ("classic-cluster", 3), ("cloud-native", 2)])
def test_each_file_is_copied_and_a_receipt_names_its_copy(make_cloud, kind: str, shards: int) -> None:
    cloud = make_cloud(Instance("r-1", kind=kind, shards=shards), settings=STORE)
    records = ensure(cloud, copy=True)
    assert states(records) == ["started", "verifying", "succeeded"]
    assert sorted(copies(cloud).values()) == sorted(originals(cloud))
    succeeded = first(records, "backup_succeeded")
    folder = FOLDER.replace("-10000/", "-cb-510000/") if kind == "cloud-native" else FOLDER
    assert (succeeded["verified"], succeeded["copies"]) == ("full", f"oss://backups/{folder}")
    receipt = json.loads(cloud.store.get(f"{folder}copy.json").read())
    assert {each["copy"] for each in receipt["files"]} == set(copies(cloud))
    for each in receipt["files"]:
        content = copies(cloud)[each["copy"]]
        assert each["bytes"] == len(content)
        assert each["copy_crc64"] == str(anycrc.Model("CRC64-XZ").calc(content))
        assert each["crc64"] == f"{anycrc.Model('CRC64-REDIS').calc(content[:-8]):016x}"
    assert cloud.store.uploads == {}


def test_a_receipt_with_copies_is_believed_after_a_look_at_each(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", kind="classic-cluster", shards=2), settings=STORE)
    ensure(cloud, copy=True)
    for fields, most in (({"copy": True}, 6), ({"verify": "full"}, 5)):
        before, read = len(cloud.calls), downloads(cloud)
        report = cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z", **fields}).result
        assert (report["instances"][0]["state"], report["instances"][0]["verified"]) == ("succeeded", "full")
        assert report["instances"][0]["copies"] == (f"oss://backups/{FOLDER}" if "copy" in fields else None)
        assert downloads(cloud) == read
        assert len(cloud.calls) - before <= most  # four, one for each copy; `full` asks for its own receipt first


@pytest.mark.parametrize("damage", ["gone", "shorter", "other"])
def test_a_copy_that_is_gone_is_made_again_and_another_object_is_not_taken_for_it(make_cloud, damage: str) -> None:
    cloud = make_cloud(Instance("r-1"), settings={**STORE, "BACKUP_FOLLOW_HOURS": "0.1"})
    ensure(cloud, copy=True)
    [name] = copies(cloud)
    content = copies(cloud)[name]
    cloud.store.delete(FOLDER + name)
    if damage != "gone":
        cloud.store.put(FOLDER + name, content[:-1] if damage == "shorter" else b"\x00" + content[1:])
    records = ensure(cloud, copy=True)
    if damage == "gone":
        assert states(records)[-1] == "succeeded"
        assert copies(cloud) == {name: content}
    else:
        warnings = [each for each in records if each["event"] == "backup_verifying" and each["level"] == "WARNING"]
        assert {each["error_code"] for each in warnings} == {"CopyDiffers"}
        assert f"oss://backups/{FOLDER}{name}" in warnings[0]["error_message"]
        assert len(warnings) <= 2  # it is not recorded again at each follow-up
        assert last(records, "backup_failed")["error_code"] == "FollowUpExpired"
        assert "last error CopyDiffers" in last(records, "backup_failed")["error_message"]


def test_a_copy_alone_is_read_in_full(make_cloud) -> None:
    """A receipt for `full` does not do for a copy."""
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    ensure(cloud, verify="full")
    records = ensure(cloud, copy=True)
    assert states(records)[-1] == "succeeded"
    assert names(cloud.store)[:2] == ["copy.json", "full.json"]


@pytest.mark.parametrize(
    ("before", "then", "timeout"),
    [({"verify": "full"}, {"copy": True}, 34), ({"copy": True}, {"verify": "full"}, 56)],
)
def test_a_reading_takes_up_the_note_of_one_that_asked_for_something_else(
    make_cloud, before: dict[str, Any], then: dict[str, Any], timeout: int
) -> None:
    """What was read without being copied is no copy, and what was copied is kept."""
    cloud = make_cloud(
        Instance("r-1", kind="classic-cluster", shards=2, files=((File(), File(size=90 * MIB)),)),
        settings={**STORE, "BACKUP_FOLLOW_SECONDS": "0"},
        function=FunctionConfig(timeout=timeout),
        latency=1.0,
    )
    cloud.invoke({"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"})
    cloud.clock.sleep(70)
    request = {"instance_ids": "r-1", "since": "2026-11-24T02:00:00Z"}
    report = cloud.invoke({**request, **before}).result
    assert (report["instances"][0]["state"], report["instances"][0]["error"]) == ("verifying", None)
    assert 0 < report["instances"][0]["progress"] < 100
    for _ in range(9):
        report = cloud.invoke({**request, **then}).result
        if report["done"]:
            break
    assert report["instances"][0]["state"] == "succeeded"
    if "copy" in then:
        assert sorted(copies(cloud).values()) == sorted(originals(cloud))
        return
    for _ in range(6):
        report = cloud.invoke({**request, **before}).result
        if report["done"]:
            break
    assert sorted(copies(cloud).values()) == sorted(originals(cloud))
    assert len([call for call in cloud.calls if call.operation == "InitiateMultipartUpload"]) == 2


def test_a_corrupt_file_is_not_copied_and_leaves_nothing(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(flip=500), File())), settings=STORE)
    records = ensure(cloud, copy=True)
    assert last(records, "backup_succeeded")["attempts"] == 2
    assert list(copies(cloud).values()) == originals(cloud, 1)
    assert names(cloud.store) == ["progress.json"]
    assert cloud.store.uploads == {}


@pytest.mark.parametrize(
    ("file", "verified"),
    [(File(encrypted=True), "unknown-format"), (File(checksum=False), "quick"), (File(empty=True), "full")],
)
def test_what_cannot_be_verified_is_copied_all_the_same(make_cloud, file: File, verified: str) -> None:
    cloud = make_cloud(Instance("r-1", files=(file,)), settings=STORE)
    records = ensure(cloud, copy=True)
    assert first(records, "backup_succeeded")["verified"] == verified
    assert list(copies(cloud).values()) == originals(cloud)
    assert stored(cloud.store, "copy.json")["verified"] == verified


def test_large_files_are_copied_in_parts_and_taken_up_after_a_time_out(make_cloud) -> None:
    cloud = make_cloud(
        Instance("r-1", files=(File(size=50 * MIB),)),
        settings=STORE,
        function=FunctionConfig(timeout=50),
        latency=1.5,
    )
    records = ensure(cloud, copy=True, most=60)
    assert last(records, "backup_succeeded")["verified"] == "full"
    assert list(copies(cloud).values()) == originals(cloud)
    assert len({call.request_id for call in cloud.calls if call.operation == "UploadPart"}) > 1
    assert len([call for call in cloud.calls if call.operation == "InitiateMultipartUpload"]) == 1
    assert cloud.store.uploads == {}


@pytest.mark.parametrize("kill_after", range(14, 60, 3))
def test_a_copy_that_is_killed_anywhere_is_completed(make_cloud, kill_after: int) -> None:
    cloud = make_cloud(Instance("r-1", files=(File(size=9 * MIB),)), settings=STORE)
    cloud.platform.plan_kills([None, kill_after])
    cloud.invoke_async(event(copy=True))
    cloud.platform.drain(20)
    assert states(cloud.logs.records)[-1] == "succeeded"
    assert list(copies(cloud).values()) == originals(cloud)
    assert cloud.store.uploads == {}
    assert len(cloud.kvstore.instance("r-1").backups) == 1


STORE_FAULTS = [Fault("reset"), Fault("5xx"), Fault("reset", after=True), Fault("throttle-503"), Fault("page502")]


@pytest.mark.parametrize(
    "operation",
    ["InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListMultipartUploads", "PutObject"],
)
@pytest.mark.parametrize("fault", STORE_FAULTS, ids=lambda fault: f"{fault.kind}{'-after' * fault.after}")
def test_faults_of_the_store_do_not_matter(make_cloud, operation: str, fault: Fault) -> None:
    faults = Faults()
    faults.plan(operation, [fault] * 2)
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults)
    assert states(ensure(cloud, copy=True)) == ["started", "verifying", "succeeded"]
    assert list(copies(cloud).values()) == originals(cloud)
    assert cloud.store.uploads == {}


@pytest.mark.parametrize("operation", ["ListMultipartUploads", "AbortMultipartUpload"])
def test_a_copy_does_not_depend_on_permissions_that_only_tidy_up(make_cloud, operation: str) -> None:
    policy = ram.allow(["kvstore:*", "fc:*", "oss:*"], ["*"])
    policy["Statement"].append({"Effect": "Deny", "Action": [f"oss:{operation}"], "Resource": ["*"]})
    cloud = make_cloud(Instance("r-1", files=(File(flip=500), File())), settings=STORE, policy=policy)
    assert states(ensure(cloud, copy=True))[-1] == "succeeded"
    assert list(copies(cloud).values()) == originals(cloud, 1)
    assert len(cloud.store.uploads) == (1 if operation == "AbortMultipartUpload" else 0)


def test_a_part_that_does_not_come_whole_is_read_and_sent_again(make_cloud) -> None:
    faults = Faults()
    faults.plan("Download", [None, None, Fault("cut"), Fault("reset"), Fault("flip")])
    cloud = make_cloud(Instance("r-1"), settings=STORE, faults=faults)
    assert states(ensure(cloud, copy=True)) == ["started", "verifying", "succeeded"]
    assert list(copies(cloud).values()) == originals(cloud)


@pytest.mark.parametrize("file", [File(checksum=False), File(encrypted=True)])
def test_a_file_without_a_checksum_is_compared_with_what_oss_states_of_it(make_cloud, file: File) -> None:
    faults = Faults()
    faults.plan("Download", [*[None] * 4, Fault("flip")])
    cloud = make_cloud(Instance("r-1", files=(file,)), settings=STORE, faults=faults)
    assert "succeeded" in states(ensure(cloud, copy=True))
    assert list(copies(cloud).values()) == originals(cloud)


def test_an_upload_that_somebody_aborts_begins_anew(make_cloud) -> None:
    cloud = make_cloud(
        Instance("r-1", files=(File(size=50 * MIB),)), settings=STORE, function=FunctionConfig(timeout=40), latency=1.0
    )
    cloud.invoke_async(event(copy=True))
    for _ in range(2):
        cloud.platform.run_due()
    for upload in list(cloud.store.uploads.values()):
        cloud.store.abort(upload)
    cloud.platform.drain(40)
    assert states(cloud.logs.records)[-1] == "succeeded"
    assert list(copies(cloud).values()) == originals(cloud)


@pytest.mark.parametrize("kind", ["versioned", "worm"])
def test_versioned_buckets_and_retention_policies(make_cloud, kind: str) -> None:
    cloud = make_cloud(
        Instance("r-1", files=(File(flip=500), File())), settings={**STORE, "BACKUP_STORE": "oss://kept/redis"}
    )
    cloud.oss._buckets.pop("kept")
    bucket = cloud.oss.bucket("kept", versioned=kind == "versioned", worm=kind == "worm")
    records = ensure(cloud, copy=True, most=80)
    assert states(records)[-1] == "succeeded"
    content = [each.read() for key, each in bucket.objects.items() if key.endswith(".rdb")]
    assert content == originals(cloud, 1)
    ensure(cloud, copy=True)
    assert len(cloud.kvstore.instance("r-1").backups) == 2


def test_another_region_s_bucket_is_named(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings={**STORE, "BACKUP_STORE_REGION": "cn-beijing"})
    assert states(ensure(cloud, copy=True))[-1] == "succeeded"
    assert cloud.store.region == "cn-beijing"


def test_the_copies_outlive_the_instance(make_cloud) -> None:
    cloud = make_cloud(Instance("r-1"), settings=STORE)
    ensure(cloud, copy=True)
    content = originals(cloud)
    assert list(copies(cloud).values()) == content


def test_two_files_of_one_name_and_names_that_are_taken() -> None:
    files = [BackupFile(name, "", "", "") for name in ("a.rdb", "full.json", "b.rdb", "a.rdb")]
    assert unique_names(files) == ["1-a.rdb", "2-full.json", "b.rdb", "4-a.rdb"]
    files = [BackupFile(name, "", "", "") for name in ("d.rdb", "d.rdb", "1-d.rdb", "1-1-d.rdb", "1-1-d.rdb")]
    assert len(set(unique_names(files))) == 5
    with pytest.raises(ApiError, match="lists no intranet address"):
        backup_files([{"BackupIntranetDownloadURL": "http://[::1/a.rdb"}], "intranet")
    url = "http://oss.example/a/%2e"
    assert [file.name for file in backup_files([{"BackupIntranetDownloadURL": url}], "intranet")] == ["backup.rdb"]


@pytest.mark.parametrize("fields", [{"verify": "quick"}, {"verify": "full"}, {"copy": True}])
@pytest.mark.parametrize("faulty", [False, True])
def test_no_address_and_no_secret_is_ever_shown(make_cloud, fields: dict[str, Any], faulty: bool) -> None:
    faults = Faults()
    if faulty:
        kinds = ["reset", "5xx", "cut", "whole", "denied", "redirect-302", "page502", "hang"]
        faults.plan("Download", [Fault(kind) for kind in kinds] * 3)
        faults.plan("UploadPart", [Fault("reset"), Fault("5xx")])
        faults.plan("GetObject", [Fault("page502"), Fault("5xx")])
    cloud = make_cloud(Instance("r-1", files=(File(flip=77), File())), settings=STORE, faults=faults)
    ensure(cloud, most=80, **fields)
    shown = "".join(
        [
            *(text for each in cloud.platform.invocations for text in (*each.stdout, each.stderr, *each.logged)),
            *(str(each.error) + str(each.result) + each.event.decode() for each in cloud.platform.invocations),
            *(each.read().decode("latin-1") for key, each in cloud.store.objects.items() if key.endswith(".json")),
        ]
    )
    assert cloud.addresses.secrets
    for signature in cloud.addresses.secrets:
        assert signature not in shown
    for text in ("Signature", "OSSAccessKeyId", "security-token", "http://127.0.0.1", "/intranet/"):
        assert text not in shown
