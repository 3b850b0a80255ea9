"""Answers that no API gives: what is no list is never read as an empty one, and none lasts longer than the time-out."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

import handler
from redis_backup.alibaba.api_clock import ApiClock
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.alibaba.rkvstore import RKVStore
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.credentials import Credentials
from redis_backup.runtime import Runtime, SystemClock
from redis_backup.settings import Settings
from redis_backup.states import ErrorKind
from simulator import Behaviour, Cloud, Fault, FunctionConfig, Instance
from simulator.faults import ODD_ANSWERS, SHORT_PAGES
from simulator.server import Request, Response, Server

NIGHTLY = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": "r-1"}


@contextmanager
def server(answer: bytes, drip: bool = False) -> Iterator[str]:
    """A server that gives every request this answer; `drip`: and then a byte now and then, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(answer)
                while drip and not stopped.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                pass

    def accept() -> None:
        while not stopped.is_set():
            try:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.close()


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("body", [b"", b"already there"])
def test_a_409_is_a_success_whatever_its_body(make_cloud, generation: int, body: bytes) -> None:
    answer = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with server(answer) as url:
        cloud: Cloud = make_cloud(function=FunctionConfig(generation=generation), settings={"BACKUP_FC_ENDPOINT": url})
        assert cloud.invoke(NIGHTLY).error is None


class Lines(list[str]):
    def write(self, text: str) -> None:
        self.append(text)

    def flush(self) -> None:
        pass


def invoke(cloud: Cloud, event: bytes, timeout: float, **settings: str) -> tuple[Any, float, list[str]]:
    """Invoke by the machine's own clock; the answer or the error, seconds, and the records."""
    credential = cloud.credentials.issue()
    keys = SimpleNamespace(
        access_key_id=credential.access_key_id,
        access_key_secret=credential.access_key_secret,
        security_token=credential.security_token,
    )
    context = SimpleNamespace(
        request_id="1-x",
        credentials=keys,
        region="cn-hangzhou",
        account_id="1234567890123456",
        function=SimpleNamespace(name="redis-backup", timeout=timeout),
    )
    began, lines = time.monotonic(), Lines()
    try:
        answer = handler.handler(event, context, Runtime({**cloud.endpoints(), **settings}, SystemClock(), lines))
    except Exception as error:  # noqa: BLE001 - what it raised is the answer
        answer = error
    return answer, time.monotonic() - began, lines


DRIP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    ("setting", "event", "answer"),
    [
        ("BACKUP_ENDPOINT", b"r-1", "dict"),
        ("BACKUP_ENDPOINT", b'{"tags": {"a": "b"}}', "BackupPending"),
        ("BACKUP_FC_ENDPOINT", b"r-1", "dict"),
    ],
)
def test_an_answer_that_drips_in_does_not_outlast_the_time_out(setting: str, event: bytes, answer: str) -> None:
    with Cloud() as cloud, server(DRIP, drip=True) as url:
        result, seconds, lines = invoke(cloud, event, 5, **{setting: url})
    assert (type(result).__name__, seconds < 5) == (answer, True)
    time.sleep(0.5)  # the connection is closed by now, so that what was given up comes to its end
    assert '"event":"report"' in lines[-1]  # after which nothing is written any more


def test_a_server_that_hangs_does_not_outlast_the_time_out() -> None:
    """By the machine's own clock, so with a time-out that leaves a busy machine room."""
    fleet = [Instance(f"r-{number}") for number in range(210)]
    ids = ",".join(instance.id for instance in fleet).encode()
    with Cloud() as cloud, server(b"", drip=True) as url:
        shards = invoke(cloud, ids, 12, BACKUP_FC_ENDPOINT=url)
        looks = invoke(cloud, ids, 12, BACKUP_ENDPOINT=url, BACKUP_SHARD_SIZE="1000")
    for result, seconds, lines in (shards, looks):
        assert seconds < 12
        assert result["counts"] == {"pending": 210}
        assert len([line for line in lines if '"backup_pending"' in line]) == 210


SINCE = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
OPERATIONS: dict[str, Callable[[RKVStore], Any]] = {
    "CreateBackup": lambda store: store.create_backup("r-1", None),
    "DescribeBackupTasks": lambda store: store.backup_tasks("r-1"),
    "DescribeBackups": lambda store: store.backup_sets("r-1", SINCE),
    "DescribeClusterBackupList": lambda store: store.cluster_backups("r-1", SINCE),
    "DescribeInstances": lambda store: store.describe(["r-1"]),
    "DescribeInstances by tags": lambda store: store.tagged({"a": "b"}, None),
    "DescribeInstanceAttribute": lambda store: store.describe_one("r-1"),
}
UNREADABLE = {
    **ODD_ANSWERS,
    "200-null": b"null",
    "200-number": b"17",
    "200-nothing": b"",
    "200-half": b'{"RequestId":"1","BackupJobs":[',
    "200-lists-of-no-objects": b'{"BackupJobs":[7],"Backups":{"Backup":["x"]},"ClusterBackups":[[]],"BackupJobID":[],'
    b'"Instances":{"KVStoreInstance":[null],"DBInstanceAttribute":["r-1"]}}',
    "200-lists-at-other-places": b'{"BackupJobs":{},"Backups":[],"ClusterBackups":null,"BackupJobID":"",'
    b'"Instances":[],"TotalCount":0}',
    "200-lists-of-null": b'{"BackupJobs":null,"Backups":{"Backup":null},"Instances":{"KVStoreInstance":null,'
    b'"DBInstanceAttribute":null},"ClusterBackups":null,"BackupJobID":null,"TotalCount":0}',
}


@contextmanager
def store_of(answer: Callable[[Request], bytes]) -> Iterator[RKVStore]:
    """The API's client, and a server that gives this JSON to each request."""
    clock = SystemClock()
    server = Server(lambda request: Response(200, answer(request), {"Content-Type": "application/json"}))
    server.start()
    context = Context("1-x", "cn-hangzhou", "1", "f", "", "", Credentials("i", "s", "t"), clock.monotonic(), 60)
    deadline = Deadline(clock, clock.monotonic() + 30)
    try:
        yield RKVStore("cn-hangzhou", context, Settings(endpoint=server.url), clock, deadline, ApiClock(clock))
    finally:
        server.stop()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("odd", UNREADABLE)
def test_what_is_no_list_is_unreadable_and_never_read_as_none(odd: str, operation: str) -> None:
    with store_of(lambda _: UNREADABLE[odd]) as store, pytest.raises(ApiError) as raised:
        OPERATIONS[operation](store)
    assert raised.value.kind is ErrorKind.UNKNOWN  # so that it is asked for again, and nothing is repeated blindly
    assert raised.value.problem.code == "NoAnswer"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Forbidden.RAM", ErrorKind.PERMANENT),
        ("Throttling.User", ErrorKind.THROTTLED),
        ("InternalError", ErrorKind.UNKNOWN),
        ("SomethingNew", ErrorKind.UNKNOWN),
    ],
)
def test_a_definite_refusal_in_a_200_counts_by_its_code(operation: str, code: str, kind: ErrorKind) -> None:
    body = json.dumps({"RequestId": "1", "Code": code, "Message": "m"}).encode()
    with store_of(lambda _: body) as store, pytest.raises(ApiError) as raised:
        OPERATIONS[operation](store)
    assert raised.value.kind is kind


def test_an_empty_list_is_read_as_none() -> None:
    empty = b'{"BackupJobs":[],"Backups":{"Backup":[]},"ClusterBackups":[],"Instances":{"KVStoreInstance":[]}'
    with store_of(lambda _: empty + b',"TotalCount":0}') as store:
        assert [OPERATIONS[each](store) for each in OPERATIONS if each.startswith("DescribeBackup")] == [[], []]
        assert OPERATIONS["DescribeClusterBackupList"](store) == []
        assert OPERATIONS["DescribeInstances by tags"](store) == ([], 0)


@pytest.mark.parametrize("entry", [b"{}", b'{"ClusterBackupStatus":""}', b'{"ClusterBackupStatus":null}'])
def test_a_cluster_s_backup_without_a_status_is_unreadable(entry: bytes) -> None:
    """It would count as one that failed, and another would be started."""
    with store_of(lambda _: b'{"ClusterBackups":[%s]}' % entry) as store, pytest.raises(ApiError):
        store.cluster_backups("r-1", SINCE)


LISTINGS = ("DescribeBackupTasks", "DescribeBackups", "DescribeClusterBackupList")


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_no_backup_starts_where_a_listing_cannot_be_read(make_cloud, odd: str, operation: str) -> None:
    """One runs, which only a list that can be read shows; a second one would be refused, and is not asked for."""
    cloud: Cloud = make_cloud(Instance("r-1", kind="cloud-native" if "Cluster" in operation else "standard"))
    cloud.faults.plan(operation, [Fault(odd)] * 100)
    [state] = cloud.invoke({"instance_ids": "r-1"}).result["instances"]
    assert (state["state"], state["error"]["kind"]) == ("pending", "unknown")
    assert operation in state["error"]["message"]
    assert [call for call in cloud.calls if call.operation == "CreateBackup"] == []


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_a_listing_that_cannot_be_read_is_asked_for_again(make_cloud, odd: str, operation: str) -> None:
    cloud: Cloud = make_cloud(Instance("r-1", kind="cloud-native" if "Cluster" in operation else "standard"))
    cloud.faults.plan(operation, [Fault(odd)])
    assert cloud.invoke({"instance_ids": "r-1"}).result["counts"] == {"running": 1}
    cloud.platform.drain()
    assert len(cloud.kvstore.instance("r-1").backups) == 1


@pytest.mark.parametrize("odd", [*ODD_ANSWERS, *SHORT_PAGES])
def test_a_backup_that_the_list_has_is_not_started_once_more_for_an_odd_answer(make_cloud, odd: str) -> None:
    """With one entry, an empty page and half of one are the same: TotalCount tells that something is missing."""
    cloud: Cloud = make_cloud()
    began = cloud.clock.time() - 600
    cloud.kvstore.instance("r-1").add_backup(began, began + 60, mode="Manual")
    cloud.faults.plan("DescribeBackups", [Fault(odd)] * 3)
    [state] = cloud.invoke({"instance_ids": "r-1", "max_age_minutes": 60}).result["instances"]
    assert (state["state"], state["adopted"]) == ("succeeded", True)
    assert len(cloud.kvstore.instance("r-1").backups) == 1


def test_a_list_of_sets_that_stays_short_of_its_total_is_no_list(make_cloud) -> None:
    cloud: Cloud = make_cloud(behaviour=Behaviour(extra_total={"DescribeBackups": 1}))
    [state] = cloud.invoke({"instance_ids": "r-1"}).result["instances"]
    assert state["state"] == "pending"
    assert cloud.kvstore.instance("r-1").backups == []


@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_a_backup_whose_creation_is_answered_oddly_is_found_and_not_repeated(make_cloud, odd: str) -> None:
    cloud: Cloud = make_cloud()
    cloud.faults.plan("CreateBackup", [Fault(odd, after=True)])
    cloud.invoke_async({**NIGHTLY, "triggerTime": "2026-11-24T02:00:00Z"})
    cloud.platform.drain()
    assert len(cloud.kvstore.instance("r-1").backups) == 1
    assert [each["event"] for each in cloud.logs.records if each.get("instance_id")][-1] == "backup_succeeded"


TAGGED = {"tags": {"env": "production"}}


def tagged(count: int) -> list[Instance]:
    return [Instance(f"r-{number:03}", tags=TAGGED["tags"]) for number in range(count)]


@pytest.mark.parametrize("has_total", [True, False], ids=["with TotalCount", "without"])
@pytest.mark.parametrize("count", [50, 100, 120])
def test_tags_select_what_further_pages_list_as_well(make_cloud, count: int, has_total: bool) -> None:
    cloud: Cloud = make_cloud(*tagged(count), settings={"BACKUP_CONCURRENCY": "16"})
    genuine = cloud.kvstore.operations["DescribeInstances"]

    def listed(parameters: Any, region: str | None) -> dict[str, Any]:
        answer = genuine(parameters, region)
        return {name: value for name, value in answer.items() if has_total or name != "TotalCount"}

    cloud.kvstore.operations["DescribeInstances"] = listed
    report = cloud.invoke(TAGGED).result
    assert (report["counts"], report["ok"]) == ({"running": count}, True)


@pytest.mark.parametrize("kind", [*SHORT_PAGES, *ODD_ANSWERS])
def test_a_page_of_instances_that_was_cut_short_is_asked_for_again(make_cloud, kind: str) -> None:
    cloud: Cloud = make_cloud(*tagged(120), settings={"BACKUP_CONCURRENCY": "16"})
    cloud.faults.plan("DescribeInstances", [None, Fault(kind), None, None, Fault(kind)])
    report = cloud.invoke(TAGGED).result
    assert (report["counts"], report["ok"]) == ({"running": 120}, True)


def test_where_the_list_stays_short_those_found_are_backed_up_and_the_request_is_not_ok(make_cloud) -> None:
    cloud: Cloud = make_cloud(*tagged(3))
    genuine = cloud.kvstore.operations["DescribeInstances"]

    def short(parameters: Any, region: str | None) -> dict[str, Any]:
        answer = genuine(parameters, region)
        more = 0 if "InstanceType" in parameters or "InstanceIds" in parameters else 7
        return {**answer, "TotalCount": answer["TotalCount"] + more}

    cloud.kvstore.operations["DescribeInstances"] = short
    invocation = cloud.invoke(TAGGED)
    report = invocation.result
    assert (report["counts"], report["ok"], report["error"]["code"]) == ({"running": 3}, False, "IncompleteListing")
    [warning] = [each for each in invocation.records if each.get("error_code") == "IncompleteListing"]
    assert (warning["event"], warning["level"]) == ("warning", "WARNING")
    assert "at least 7 instances" in report["error"]["message"]
    timer = {"triggerTime": "2026-11-24T02:00:00Z", "triggerName": "t", "payload": TAGGED}
    assert cloud.invoke(timer).error is None  # nothing is raised while others are followed up, …
    cloud.platform.drain()
    errors = [each.error["errorType"] for each in cloud.platform.invocations if each.error]
    assert set(errors) == {"BackupFailed"}  # … and the last one tells
    finished = [each for each in cloud.logs.records if each.get("event") == "request_finished"]
    assert {each["level"] for each in finished} == {"ERROR"}


@pytest.mark.parametrize("kind", ["reset", "5xx", *ODD_ANSWERS])
def test_what_one_list_of_instances_shows_is_backed_up_whatever_becomes_of_the_other(make_cloud, kind: str) -> None:
    for first, counts, is_ok in ((0, {"running": 2}, False), (6, {"running": 3}, True)):
        tair = [Instance(f"r-t{number}", type="Tair", tags=TAGGED["tags"]) for number in range(2)]
        cloud: Cloud = make_cloud(*(tagged(3) if first else []), *tair)
        planned = [Fault(kind)] * 6 if not first else [None, *[Fault(kind)] * 6]
        cloud.faults.plan("DescribeInstances", planned)
        invocation = cloud.invoke(TAGGED)
        assert (invocation.result["counts"], invocation.result["ok"]) == (counts, is_ok)
        assert [each["level"] for each in invocation.records if "could not be listed" in each.get("error_message", "")]


@pytest.mark.parametrize("kind", ["reset", "5xx", *ODD_ANSWERS])
def test_what_instances_are_only_helps_to_know(make_cloud, kind: str) -> None:
    instances = [
        Instance("r-1"),
        Instance("r-n", kind="cloud-native"),
        Instance("r-c", kind="classic-cluster", shards=3),
    ]
    cloud: Cloud = make_cloud(*instances)
    for operation in ("DescribeInstances", "DescribeInstanceAttribute"):
        cloud.faults.plan(operation, [Fault(kind)] * 100)
    invocation = cloud.invoke({"instance_ids": [each.id for each in instances]})
    assert invocation.result["counts"] == {"running": 3}
    assert [each["error_code"] for each in invocation.records if each.get("event") == "warning"]
    cloud.platform.drain()
    assert [len(cloud.kvstore.instance(each.id).backups) for each in instances] == [1, 1, 1]
    assert cloud.logs.records[-1]["event"] == "report"
