"""The files of backups at their pre-signed addresses, over real sockets."""

import itertools
import socket

import anycrc
import pytest
import requests
from simulator_clients import KVStoreClient
from test_sim_kvstore import WINDOW, backup_sets

from simulator import Behaviour, Cloud, ExactClock, Fault, File, Fleet, Instance, SimulatedClock
from simulator.credentials import Credential
from simulator.downloads.files import content

REDIS, XZ = anycrc.Model("CRC64-REDIS"), anycrc.Model("CRC64-XZ")
WAYS = {"BackupDownloadURL": "internet", "BackupIntranetDownloadURL": "intranet"}


def cloud_of(*instances, **options):
    return Cloud(Fleet(instances or [Instance("r-1")]), **{"clock": SimulatedClock(grace=0), **options})


def backed_up(cloud, instance="r-1"):
    """Make a backup, and return its entries in the list."""
    client = KVStoreClient(cloud)
    client.create_backup(instance_id=instance)
    cloud.clock.advance(60)
    return listed(cloud, instance)


def listed(cloud, instance="r-1"):
    client = KVStoreClient(cloud)
    if cloud.kvstore.instance(instance).config.kind != "cloud-native":
        return client.describe_backups(instance_id=instance, **WINDOW)["Backups"]["Backup"]
    return client.describe_cluster_backup_list(region_id="cn-hangzhou", instance_id=instance, **WINDOW)[
        "ClusterBackups"
    ][0]["Backups"]


def get(url, wanted="", method="GET", **headers):
    return requests.request(method, url, headers={**({"Range": wanted} if wanted else {}), **headers}, timeout=10)


def is_sound(data):
    return data[:5] == b"REDIS" and data[-9] == 0xFF and REDIS.calc(data[:-8]) == int.from_bytes(data[-8:], "little")


@pytest.mark.parametrize(
    ("instance", "files"),
    [
        (Instance("r-1"), 1),
        (Instance("r-1", kind="classic-cluster", shards=3), 3),
        (Instance("r-1", kind="cloud-native", shards=2), 2),
    ],
    ids=lambda value: value.kind if isinstance(value, Instance) else None,
)
def test_every_node_has_a_sound_file_of_its_own_that_stays_the_same(instance, files):
    with cloud_of(instance) as cloud:
        entries = backed_up(cloud)
        assert len(entries) == files
        found = [get(entry[field]) for entry in entries for field in WAYS]
        assert {answer.status_code for answer in found} == {200}
        assert all(is_sound(answer.content) for answer in found)
        assert len({answer.content for answer in found}) == files
        assert [len(answer.content) for answer in found[::2]] == [entry["BackupSize"] for entry in entries]
        assert [int(answer.headers["x-oss-hash-crc64ecma"]) for answer in found] == [XZ.calc(a.content) for a in found]
        assert [get(entry["BackupDownloadURL"]).content for entry in listed(cloud)] == [a.content for a in found[::2]]
        state = cloud.kvstore.instance("r-1")
        stored = [state.content(state.backups[0], *node) for node in state.nodes(state.backups[0])]
        assert [b"".join(each.read(0, each.size)) for each in stored] == [answer.content for answer in found[::2]]


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("", 200, 0, 1000),
        ("bytes=0-8", 206, 0, 9),
        ("bytes=991-999", 206, 991, 1000),
        ("bytes=-9", 206, 991, 1000),
        ("bytes=500-", 206, 500, 1000),
        ("bytes=0-8,20-30", 206, 0, 9),
        ("bytes=0-1000", 200, 0, 1000),
        ("bytes=1000-2000", 200, 0, 1000),
        ("bytes=1000-", 200, 0, 1000),
        ("bytes=-2000", 200, 0, 1000),
        ("bytes=-0", 200, 0, 1000),
        ("bytes=-", 200, 0, 1000),
        ("bytes=8-2", 200, 0, 1000),
        ("byte=0-8", 200, 0, 1000),
    ],
)
def test_a_range_is_answered_as_oss_does(wanted, status, start, stop):
    with cloud_of(Instance("r-1", files=(File(size=1000),))) as cloud:
        url = backed_up(cloud)[0]["BackupIntranetDownloadURL"]
        whole = get(url)
        answer = get(url, wanted)
        assert (answer.status_code, answer.content) == (status, whole.content[start:stop])
        expected = f"bytes {start}-{stop - 1}/1000" if status == 206 else None
        assert answer.headers.get("Content-Range") == expected
        assert answer.headers["ETag"] == whole.headers["ETag"]
        assert answer.headers["x-oss-hash-crc64ecma"] == str(XZ.calc(whole.content))
        assert len(answer.headers["x-oss-request-id"]) == 24
        assert [(c.operation, c.instance, c.status, c.range, c.bytes_sent) for c in cloud.calls[-1:]] == [
            ("Download", "r-1", status, wanted, stop - start)
        ]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({}, 206, None),
        ({"method": "HEAD"}, 403, None),
        ({"x-oss-range-behavior": "standard"}, 403, "SignatureDoesNotMatch"),
        ({"Content-Type": "text/plain"}, 403, "SignatureDoesNotMatch"),
    ],
    ids=lambda how: next(iter(how), "GET") if isinstance(how, dict) else None,
)
def test_the_method_and_oss_s_headers_are_signed_and_the_range_is_not(how, status, code):
    with cloud_of() as cloud:
        url = backed_up(cloud)[0]["BackupDownloadURL"]
        answer = get(url, "bytes=0-8", **how)
        assert answer.status_code == status
        assert code is None or f"<Code>{code}</Code>" in answer.text
        for changed, error in (
            (url.replace("OSSAccessKeyId=", "OSSAccessKeyId=x"), "InvalidAccessKeyId"),
            (url.replace("security-token=", "security-token=x"), "InvalidSecurityToken"),
            (url.replace("&Signature=", "&Signature=x"), "SignatureDoesNotMatch"),
            (url.replace("Expires=1", "Expires=2"), "SignatureDoesNotMatch"),
            (url.partition("?")[0], "AccessDenied"),
        ):
            assert f"<Code>{error}</Code>" in get(changed).text
        assert (get(url.replace("hins", "hans")).status_code, cloud.calls[-1].code) == (404, "NoSuchKey")


def test_each_list_signs_new_addresses_that_expire():
    behaviour = Behaviour(address_lifetime=100)
    with cloud_of(behaviour=behaviour) as cloud:
        urls = [entry[field] for entry in backed_up(cloud) for field in WAYS]
        cloud.clock.advance(50)
        again = [entry[field] for entry in listed(cloud) for field in WAYS]
        assert len({*urls, *again}) == 4
        cloud.clock.advance(51)
        answer = get(urls[0], "bytes=0-8")
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/xml")
        assert "<Code>AccessDenied</Code><Message>Request has expired.</Message>" in answer.text
        assert (
            "<Expires>2026-11-24T02:02:40.000Z</Expires><ServerTime>2026-11-24T02:02:41.000Z</ServerTime>"
            in answer.text
        )
        assert get(again[0], "bytes=0-8").status_code == 206
        assert len(cloud.addresses.secrets) >= 4


def test_an_address_can_expire_after_some_downloads():
    with cloud_of(behaviour=Behaviour(address_uses=2)) as cloud:
        entry = backed_up(cloud)[0]
        assert [get(entry["BackupDownloadURL"], "bytes=0-8").status_code for _ in range(3)] == [206, 206, 403]
        assert get(entry["BackupIntranetDownloadURL"], "bytes=0-8").status_code == 206
        assert get(listed(cloud)[0]["BackupDownloadURL"], "bytes=0-8").status_code == 206


@pytest.mark.parametrize("field", WAYS)
def test_either_way_can_be_closed(field):
    behaviour = Behaviour(unreachable={WAYS[field]: "refused"})
    with cloud_of(behaviour=behaviour) as cloud:
        entry = backed_up(cloud)[0]
        with pytest.raises(requests.ConnectionError, match="refused"):
            get(entry.pop(field))
        other = next(iter(set(entry) & set(WAYS)))
        assert get(entry[other]).status_code == 200
        cloud.kvstore.behaviour = Behaviour(unreachable={WAYS[field]: "timeout"})
        entry, began = listed(cloud)[0], cloud.clock.time()
        with pytest.raises(requests.ConnectionError):
            get(entry[field])
        assert cloud.clock.time() - began == 10
        assert get(entry[other]).status_code == 200


FILES = {
    "zeros": (File(checksum=False), lambda d: d[:5] == b"REDIS" and d[-9:] == b"\xff" + bytes(8)),
    "cut": (File(size=5000, cut=100), lambda d: d[:9] == b"REDIS0009" and len(d) == 4900),
    "flip": (File(size=5000, flip=2500), lambda d: d[:5] == b"REDIS" and d[-9] == 0xFF and not is_sound(d)),
    "flip-end": (File(size=5000, flip=-1), lambda d: d[-9] == 0xFF and not is_sound(d)),
    "encrypted": (File(size=5000, encrypted=True), lambda d: d[:5] != b"REDIS" and len(d) == 5000),
    "empty-database": (File(empty=True), lambda d: is_sound(d) and len(d) < 100),
    "empty": (File(content=b""), lambda d: d == b""),
    "given": (File(content=b"REDIS0009"), lambda d: d == b"REDIS0009"),
    "path": (File(path=__file__), lambda d: d.startswith(b'"""The files of backups')),
    "version-4": (File(version=4), lambda d: d[:9] == b"REDIS0004" and d[-1] == 0xFF),
    "version-11": (File(version=11), lambda d: d[:9] == b"REDIS0011" and is_sound(d)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_a_test_says(name):
    file, is_right = FILES[name]
    with cloud_of(Instance("r-1", files=(File(), file))) as cloud:
        assert is_sound(get(backed_up(cloud)[0]["BackupDownloadURL"]).content)
        entry = backed_up(cloud)[0]
        answer = get(entry["BackupDownloadURL"])
        assert is_right(answer.content)
        assert entry["BackupSize"] == len(answer.content)
        assert int(answer.headers["x-oss-hash-crc64ecma"]) == XZ.calc(answer.content)


def test_a_node_can_have_another_file_and_a_list_can_lack_them():
    shards = Instance("r-1", kind="classic-cluster", shards=3, files=((File(), File(size=2000)), File(listed=False)))
    with cloud_of(shards, Instance("r-2")) as cloud:
        first = backed_up(cloud)
        assert [entry["BackupSize"] == 2000 for entry in first] == [False, True, True]
        second = backed_up(cloud)[:3]
        assert [set(entry) & set(WAYS) for entry in second] == [set()] * 3
        now = cloud.clock.time()
        cloud.kvstore.instance("r-2").add_backup(now - 60, now - 1, file=File(size=1234))
        assert [entry["BackupSize"] for entry in listed(cloud, "r-2")] == [1234]


def test_a_file_of_gigabytes_is_made_while_it_is_read():
    size = 20_000_000_000
    with cloud_of(Instance("r-1", files=(File(size=size),))) as cloud:
        entry = backed_up(cloud)[0]
        assert entry["BackupSize"] == size
        url, middle = entry["BackupDownloadURL"], size // 2
        part = get(url, f"bytes={middle}-{middle + 3_000_000}")
        assert part.headers["Content-Range"] == f"bytes {middle}-{middle + 3_000_000}/{size}"
        pieces = [
            get(url, f"bytes={middle + at}-{middle + at + 99_999}").content for at in range(0, 3_000_000, 100_000)
        ]
        assert part.content == b"".join(pieces) + part.content[-1:]
        assert get(url, "bytes=-9").content[:1] == b"\xff"


@pytest.mark.parametrize("size", [900, 1_048_576, 2_200_001])
def test_any_range_is_the_same_bytes_and_the_checksums_are_right(size):
    whole = content(File(size=size), "seed", 1)
    data = b"".join(whole.read(0, size))
    assert (len(data), is_sound(data), whole.crc64) == (size, True, XZ.calc(data))
    points = sorted({0, 1, 9, 300, 400, size // 3, size // 2, size - 9, size - 8, size} & set(range(size + 1)))
    assert all(b"".join(whole.read(a, b)) == data[a:b] for a, b in itertools.combinations(points, 2))
    assert b"".join(content(File(size=size), "other", 1).read(0, size)) != data


def test_a_file_cannot_be_smaller_than_its_keys():
    with pytest.raises(ValueError, match="has at least"):
        content(File(size=100), "seed", 1)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("reset"), None),
        (Fault("hang"), None),
        (Fault("cut"), None),
        (Fault("unavailable"), 503),
        (Fault("internal"), 500),
        (Fault("page502"), 502),
        (Fault("denied"), 403),
        (Fault("whole"), 200),
        (Fault("flip"), 206),
        (Fault("slow"), 206),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_a_download_fails_as_it_is_told(fault, status):
    with cloud_of() as cloud:
        entry = backed_up(cloud)[0]
        url, began = entry["BackupDownloadURL"], cloud.clock.time()
        cloud.faults.plan("Download", [fault], "r-1")
        if status is None:
            with pytest.raises(requests.exceptions.RequestException):
                get(url, "bytes=0-99")
        else:
            answer = get(url, "bytes=0-99")
            assert answer.status_code == status
            right = get(url, "bytes=0-99").content
            assert (answer.content == right, len(answer.content)) == {
                "slow": (True, 100),
                "flip": (False, 100),
                "whole": (False, entry["BackupSize"]),
            }.get(fault.kind, (False, len(answer.content)))
        assert cloud.clock.time() - began == (10 if fault.kind in ("hang", "slow") else 0)
        assert [call.fault for call in cloud.calls if call.operation == "Download"][:1] == [fault.kind]
        assert [call.bytes_sent for call in cloud.calls if call.fault] == [
            {"cut": 50, "slow": 100, "flip": 100, "whole": entry["BackupSize"]}.get(fault.kind, 0)
        ]


def test_a_download_takes_its_time_by_the_clock():
    with cloud_of(behaviour=Behaviour(download_latency=1.5)) as cloud:
        url, began = backed_up(cloud)[0]["BackupDownloadURL"], cloud.clock.time()
        assert [get(url, "bytes=0-8").status_code for _ in range(2)] == [206, 206]
        assert cloud.clock.time() - began == 3


def test_a_slow_body_takes_the_time_of_the_invocation_that_reads_it():
    ends = {}

    def handler(event, context, runtime):
        own = context.credentials
        credential = Credential(own.access_key_id, own.access_key_secret, own.security_token)
        (entry,) = backup_sets(KVStoreClient(cloud, credential))
        began = runtime.clock.time()
        assert get(entry["BackupDownloadURL"], "bytes=0-99").status_code == 206
        ends[event] = runtime.clock.time() - began

    with cloud_of(handler=handler, clock=ExactClock()) as cloud:
        cloud.kvstore.instance("r-1").add_backup(cloud.clock.time() - 60, cloud.clock.time() - 1)
        cloud.faults.plan("Download", [Fault("slow", seconds=20), Fault("slow", seconds=30)])
        for event in ("a", "b"):
            cloud.invoke_async(event)
        cloud.platform.drain()
    assert ends == {b"a": 20, b"b": 30}


def test_a_redirect_names_another_host():
    with cloud_of() as cloud:
        url = backed_up(cloud)[0]["BackupDownloadURL"]
        cloud.faults.plan("Download", [Fault("redirect-302")], "r-1")
        assert (get(url).content, len(cloud.redirected)) == (b"{}", 1)


def test_downloads_need_no_permission_and_have_no_rate_limit():
    with cloud_of(limits={"*": 0.001}, user_policy=[]) as cloud:
        state = cloud.kvstore.instance("r-1")
        state.add_backup(cloud.clock.time() - 60, cloud.clock.time() - 1)
        answer = cloud.kvstore.describe_backups(
            {"InstanceId": "r-1", "StartTime": WINDOW["start_time"], "EndTime": WINDOW["end_time"]}, None
        )
        address = answer["Backups"]["Backup"][0]["BackupDownloadURL"]
        url = cloud.addresses.signer(cloud.credentials.user.access_key_id)(address)
        assert [get(url, "bytes=0-8").status_code for _ in range(3)] == [206] * 3


def test_a_paced_download_is_still_on_its_way_while_other_calls_come_and_go():
    """At 1 byte a second, its 100 kB take a day."""
    with cloud_of() as cloud:
        host, path = backed_up(cloud)[0]["BackupDownloadURL"].removeprefix("http://").split("/", 1)
        cloud.kvstore.behaviour = Behaviour(download_pace=1)
        with socket.create_connection((host.split(":")[0], int(host.split(":")[1]))) as client:
            client.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert [len(listed(cloud)) for _ in range(10)] == [1] * 10
            assert {call.operation for call in cloud.calls[3:]} == {"DescribeBackups"}


def test_a_download_is_a_call_of_the_invocation_that_listed_the_file():
    def handler(event, context, runtime):  # noqa: ARG001
        own = context.credentials
        credential = Credential(own.access_key_id, own.access_key_secret, own.security_token)
        sets = backup_sets(KVStoreClient(cloud, credential))
        return str(get(sets[0]["BackupIntranetDownloadURL"], "bytes=0-8").status_code)

    with cloud_of(handler=handler) as cloud:
        backed_up(cloud)
        invocation = cloud.invoke(request_id="1-6741a2b0-000000000000000000000001")
        assert [(call.operation, call.request_id) for call in cloud.calls[-2:]] == [
            ("DescribeBackups", invocation.request_id),
            ("Download", invocation.request_id),
        ]
        assert [call.operation for call in cloud.calls_of(invocation)] == ["DescribeBackups", "Download"]
