"""OSS, by its official SDK: objects, ranges, uploads in parts, lists, and how it refuses."""

import base64
import dataclasses
import gc
import hashlib
import http.client
import socket
import tracemalloc

import alibabacloud_oss_v2 as oss
import anycrc
import pytest
import requests
from alibabacloud_oss_v2.exceptions import OperationError
from alibabacloud_oss_v2.signer import SignerV4
from alibabacloud_oss_v2.types import HttpRequest, SigningContext
from oss_client import OssClient, StreamedBody, parts_of

from simulator import Cloud, ExactClock, Fault, Faults, ram
from simulator.faults import ALL_KINDS
from simulator.kill_switch import KillSwitch
from simulator.oss.content import MAX_IN_MEMORY
from simulator.oss.operations import MIN_PART_BYTES

CRC64 = anycrc.Model("CRC64-XZ")
STORE = {"BACKUP_STORE": "oss://backups/redis"}
KEY = "redis/1234/a b+ü~%.rdb"
TEN = b"0123456789"


@pytest.fixture
def cloud():
    with Cloud(settings=STORE) as cloud:
        yield cloud


@pytest.fixture
def client(cloud):
    return OssClient(cloud)


def data(size, seed=0):
    return bytes((index * 31 + seed) % 251 for index in range(4096)) * (size // 4096) + bytes(size % 4096)


def md5_of(text):
    return hashlib.md5(text, usedforsecurity=False).digest()


@pytest.mark.parametrize("body", [b"", TEN, data(3_000_000)], ids=["empty", "small", "in a file"])
def test_an_object_is_stored_and_read_with_its_checksums(cloud, client, body):
    put = client.put_object(key=KEY, body=body, content_type="application/json", metadata={"backup": "1162"})
    crc64 = str(CRC64.calc(body))
    assert (put.hash_crc64, len(put.etag), len(put.request_id)) == (crc64, 34, 24)
    if len(body) < MAX_IN_MEMORY:
        assert put.etag == f'"{md5_of(body).hex().upper()}"'
    stored = cloud.store.objects[KEY]
    assert (stored.read(), stored.size, stored.crc64) == (body, len(body), int(crc64))
    got = client.get_object(key=KEY)
    with got.body as content:
        assert b"".join(content.iter_bytes()) == body
    head = client.head_object(key=KEY)
    for answer in (got, head):
        assert (answer.content_length, answer.hash_crc64, answer.etag) == (len(body), crc64, put.etag)
        assert (answer.content_type, answer.metadata) == ("application/json", {"backup": "1162"})
        assert (answer.last_modified.timestamp(), answer.object_type) == (int(cloud.clock.time()), "Normal")


@pytest.mark.parametrize(
    ("range_header", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-9", 206, TEN, "bytes 0-9/10"),
        ("bytes=1-2,5-6", 206, b"12", "bytes 1-2/10"),
        ("bytes=5-10", 200, TEN, None),
        ("bytes=10-", 200, TEN, None),
        ("bytes=-11", 200, TEN, None),
        ("bytes=4-2", 200, TEN, None),
        ("bytes=-", 200, TEN, None),
        ("byte=0-1", 200, TEN, None),
    ],
)
def test_a_range_inside_the_object_is_sent_and_else_all_of_it(client, range_header, status, body, content_range):
    client.put_object(key=KEY, body=TEN)
    answer = client.get_object(key=KEY, range_header=range_header)
    assert (answer.status_code, answer.body.content, answer.content_range) == (status, body, content_range)
    assert (answer.content_length, answer.hash_crc64) == (len(body), str(CRC64.calc(TEN)))


@pytest.mark.parametrize(
    ("range_header", "seen"), [("bytes=5-10", (206, b"56789")), ("bytes=10-", (416, "InvalidRange"))]
)
def test_standard_ranges_on_request(client, range_header, seen):
    client.put_object(key=KEY, body=TEN)
    wanted = {"key": KEY, "range_header": range_header, "range_behavior": "standard"}
    refused = client.code("get_object", **wanted)
    answer = None if refused else client.get_object(**wanted)
    assert (refused or (answer.status_code, answer.body.content)) == seen


def test_ranges_of_an_object_in_parts_go_over_their_bounds(cloud, client):
    parts = [data(MIN_PART_BYTES, 1), data(1_500_000, 2), data(70_000, 3)]
    done = client.upload(KEY, parts)
    whole = b"".join(parts)
    assert done.etag.endswith('-3"')
    assert done.hash_crc64 == str(CRC64.calc(whole))
    assert (cloud.store.objects[KEY].read(), cloud.store.uploads) == (whole, {})
    assert client.head_object(key=KEY).object_type == "Multipart"
    first = MIN_PART_BYTES
    for start, end in ((first - 1, first + 1), (first, first + 1_500_000), (5, len(whole)), (first + 1_500_000, None)):
        text = f"bytes={start}-{'' if end is None else end - 1}"
        assert client.read(KEY, range_header=text) == whole[start:end], text


def test_an_upload_s_parts_are_listed_and_replaced_until_it_ends(cloud, client):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    tags = [client.part(KEY, upload_id, number, data(MIN_PART_BYTES, number)) for number in (1, 2, 3)]
    tags[1] = client.part(KEY, upload_id, 2, data(MIN_PART_BYTES, 9))
    listed = client.list_parts(key=KEY, upload_id=upload_id, max_parts=2)
    crc64 = [CRC64.calc(data(MIN_PART_BYTES, seed)) for seed in (1, 9)]
    expected = [(n, tags[n - 1], MIN_PART_BYTES, str(crc64[n - 1])) for n in (1, 2)]
    assert [(part.part_number, part.etag, part.size, part.hash_crc64) for part in listed.parts] == expected
    assert (listed.key, listed.is_truncated, listed.next_part_number_marker) == (KEY, True, 2)
    rest = client.list_parts(key=KEY, upload_id=upload_id, part_number_marker=2)
    assert ([part.part_number for part in rest.parts], rest.is_truncated) == ([3], False)
    client.complete(KEY, upload_id, tags)
    assert cloud.store.objects[KEY].read() == b"".join(data(MIN_PART_BYTES, seed) for seed in (1, 9, 3))
    for operation in ("list_parts", "abort_multipart_upload"):
        assert client.code(operation, key=KEY, upload_id=upload_id) == (404, "NoSuchUpload")


@pytest.mark.parametrize(
    ("numbers", "sizes", "tags", "code"),
    [
        ((1, 2), (MIN_PART_BYTES, 1), None, None),
        ((3, 7), (MIN_PART_BYTES, 1), None, None),
        ((1, 2), (MIN_PART_BYTES - 1, 1), None, (400, "EntityTooSmall")),
        ((2, 1), (MIN_PART_BYTES, MIN_PART_BYTES), None, (400, "InvalidPartOrder")),
        ((1, 2), (MIN_PART_BYTES, 1), ['"00"', '"00"'], (400, "InvalidPart")),
        ((), (), (), (400, "MalformedXML")),
    ],
)
def test_a_completion_checks_its_parts(cloud, client, numbers, sizes, tags, code):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    real = [client.part(KEY, upload_id, number, bytes(size)) for number, size in zip(numbers, sizes, strict=True)]
    listed = parts_of(real if tags is None else tags, numbers)
    assert (
        client.code("complete_multipart_upload", key=KEY, upload_id=upload_id, complete_multipart_upload=listed) == code
    )
    assert (KEY in cloud.store.objects, upload_id in cloud.store.uploads) == (
        (True, False) if not code else (False, True)
    )


def test_a_completion_may_take_all_parts_there_are(cloud, client):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    tags = [client.part(KEY, upload_id, number, bytes(MIN_PART_BYTES)) for number in (1, 2)]
    everything = {"key": KEY, "upload_id": upload_id, "complete_all": "yes"}
    both = client.code("complete_multipart_upload", complete_multipart_upload=parts_of(tags), **everything)
    assert both == (400, "InvalidArgument")
    client.complete_multipart_upload(**everything)
    assert cloud.store.objects[KEY].size == 2 * MIN_PART_BYTES


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(client, number):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    refused = client.code("upload_part", key=KEY, upload_id=upload_id, part_number=number, body=b"")
    assert refused == (400, "InvalidArgument")


def test_an_aborted_upload_is_gone_and_another_key_s_is_not_found(cloud, client):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    wrong = client.code("upload_part", key="redis/other", upload_id=upload_id, part_number=1, body=b"")
    assert wrong == (404, "NoSuchUpload")
    assert client.abort_multipart_upload(key=KEY, upload_id=upload_id).status_code == 204
    assert cloud.store.uploads == {}
    assert client.code("upload_part", key=KEY, upload_id=upload_id, part_number=1, body=b"") == (404, "NoSuchUpload")


def test_an_upload_that_ends_while_a_part_arrives_does_not_take_it(cloud, client):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id

    def chunks():
        yield bytes(1000)
        client.abort_multipart_upload(key=KEY, upload_id=upload_id)
        yield bytes(1000)

    part = {"key": KEY, "upload_id": upload_id, "part_number": 1, "body": StreamedBody(chunks(), 2000)}
    assert (client.code("upload_part", **part), cloud.store.uploads) == ((404, "NoSuchUpload"), {})


def test_forbidden_overwriting_is_refused_at_each_step(cloud, client):
    client.put_object(key=KEY, body=b"first", forbid_overwrite=True)
    refused = client.error("put_object", key=KEY, body=b"second", forbid_overwrite=True)
    assert (refused.status_code, refused.code, refused.ec) == (409, "FileAlreadyExists", "0026-00000002")
    assert client.code("initiate_multipart_upload", key=KEY, forbid_overwrite=True) == (409, "FileAlreadyExists")
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    listed = parts_of([client.part(KEY, upload_id, 1, b"second")])
    parameters = {"key": KEY, "upload_id": upload_id, "complete_multipart_upload": listed}
    late = client.code("complete_multipart_upload", forbid_overwrite=True, **parameters)
    assert (late, cloud.store.objects[KEY].read()) == ((409, "FileAlreadyExists"), b"first")
    client.complete_multipart_upload(**parameters)
    assert cloud.store.objects[KEY].read() == b"second"


def test_forbid_overwrite_is_true_or_false(client):
    headers = {"x-oss-forbid-overwrite": "perhaps"}
    assert client.code("put_object", key=KEY, body=b"", headers=headers) == (400, "InvalidArgument")


@pytest.mark.parametrize("body", [b"sent", data(1_500_000)], ids=["small", "in a file"])
def test_a_body_that_its_digest_does_not_match_is_refused(cloud, client, body):
    digest = base64.b64encode(md5_of(body)).decode()
    assert client.code("put_object", key=KEY, body=body[:-1] + b"x", content_md5=digest) == (400, "InvalidDigest")
    client.put_object(key=KEY, body=body, content_md5=digest)
    assert cloud.store.objects[KEY].read() == body


def test_what_is_deleted_is_not_found(cloud, client):
    client.put_object(key=KEY, body=b"")
    assert [client.delete_object(key=KEY).status_code for _ in range(2)] == [204, 204]
    missing = client.error("get_object", key=KEY)
    assert (missing.status_code, missing.code, missing.ec) == (404, "NoSuchKey", "0026-00000001")
    head = client.error("head_object", key=KEY)  # its error comes in a header
    assert (head.status_code, head.code, head.request_id) == (404, "NoSuchKey", head.headers["x-oss-request-id"])
    assert cloud.store.objects == {}


def test_objects_are_listed_by_prefix_and_page_and_folder(client):
    for key in ("other/1", "redis/a b", "redis/x/1", "redis/x/2", "redis/y/1", "redis/z ü"):
        client.put_object(key=key, body=TEN)
    seen, token = [], None
    while True:
        page = client.list_objects_v2(prefix="redis/", delimiter="/", max_keys=2, continuation_token=token)
        seen.append(([each.key for each in page.contents or ()], [each.prefix for each in page.common_prefixes or ()]))
        if not page.is_truncated:
            break
        token = page.next_continuation_token
    assert seen == [(["redis/a b"], ["redis/x/"]), (["redis/z ü"], ["redis/y/"])]
    folders = client.list_objects_v2(prefix="redis/", delimiter="/").common_prefixes
    assert [each.prefix for each in folders] == ["redis/x/", "redis/y/"]
    flat = client.list_objects_v2(prefix="redis/x")
    assert [(each.key, each.size, each.object_type) for each in flat.contents] == [
        ("redis/x/1", 10, "Normal"),
        ("redis/x/2", 10, "Normal"),
    ]
    after = client.list_objects_v2(start_after="redis/y")
    assert [each.key for each in after.contents] == ["redis/y/1", "redis/z ü"]
    assert client.code("list_objects_v2", max_keys=1001) == (400, "InvalidArgument")


def test_unfinished_uploads_are_listed_by_prefix_and_page(cloud, client):
    ids = sorted(client.initiate_multipart_upload(key="redis/a b").upload_id for _ in range(2))
    ids.append(client.initiate_multipart_upload(key="redis/c").upload_id)
    client.initiate_multipart_upload(key="other")
    first = client.list_multipart_uploads(prefix="redis/", max_uploads=1)
    assert ([(each.key, each.upload_id) for each in first.uploads], first.is_truncated) == (
        [("redis/a b", ids[0])],
        True,
    )
    assert first.uploads[0].initiated.timestamp() == int(cloud.clock.time())
    marker = {"key_marker": first.next_key_marker, "upload_id_marker": first.next_upload_id_marker}
    rest = client.list_multipart_uploads(prefix="redis/", **marker)
    assert ([each.upload_id for each in rest.uploads], rest.is_truncated) == (ids[1:], False)


@pytest.mark.parametrize("checked", [{}, {"disable_upload_crc64_check": False, "disable_download_crc64_check": False}])
def test_the_sdk_s_own_checks_agree(cloud, checked):
    client = OssClient(cloud, **checked)
    client.put_object(key=KEY, body=TEN)
    client.upload("redis/parts", [bytes(MIN_PART_BYTES), TEN])
    assert (client.read(KEY), client.read("redis/parts")) == (TEN, bytes(MIN_PART_BYTES) + TEN)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"access_key_secret": "wrong"}, (403, "SignatureDoesNotMatch")),
        ({"access_key_id": "LTAInobody"}, (403, "InvalidAccessKeyId")),
        ({"security_token": "wrong"}, (403, "InvalidSecurityToken")),
        ({"security_token": None}, (403, "InvalidSecurityToken")),
    ],
)
def test_a_wrong_credential_is_refused(cloud, change, seen):
    credential = dataclasses.replace(cloud.credentials.issue(), **change)
    client = OssClient(cloud, credential)
    assert client.code("put_object", key=KEY, body=data(300_000)) == seen
    assert client.code("head_object", key=KEY) == seen
    assert [(call.operation, call.status, call.code) for call in cloud.calls] == [
        ("PutObject", *seen),
        ("HeadObject", *seen),
    ]


def test_a_token_expires_by_the_clock(cloud):
    client = OssClient(cloud, cloud.credentials.issue(lifetime=100))
    seen = [client.code("put_object", key="redis/a", body=b"")]
    cloud.clock.advance(100)
    assert [*seen, client.code("put_object", key="redis/a", body=b"")] == [None, (403, "SecurityTokenExpired")]


@pytest.mark.parametrize(("offset", "seen"), [(890, None), (-890, None), (910, "RequestTimeTooSkewed")])
def test_clocks_may_be_15_minutes_apart(offset, seen):
    with Cloud(settings=STORE, oss_clock_offset=offset) as cloud:
        refused = OssClient(cloud).code("put_object", key=KEY, body=b"")
        assert refused == (seen and (403, seen))


@pytest.mark.parametrize(("sent", "status"), [("bytes=0-1", 206), ("bytes=0-2", 403)])
def test_additional_headers_are_signed(cloud, sent, status):
    """The SDK's client signs none, but its signer can."""
    cloud.store.put("redis/a", TEN)
    request = HttpRequest("GET", f"{cloud.endpoint}/backups/redis/a", headers={"range": "bytes=0-1"})
    user = cloud.credentials.user
    keys = oss.credentials.Credentials(user.access_key_id, user.access_key_secret)
    where = {"product": "oss", "region": cloud.function.region, "bucket": "backups", "key": "redis/a"}
    SignerV4().sign(SigningContext(request=request, credentials=keys, additional_headers={"range"}, **where))
    assert "AdditionalHeaders=range," in request.headers["Authorization"]
    answer = requests.get(request.url, headers={**request.headers, "range": sent}, timeout=10)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("authorization", "more", "seen"),
    [
        ("OSS4-HMAC-SHA256 Credential=a", {}, (400, "InvalidArgument", "0002-00000202")),
        ("{}", {"x-oss-content-sha256": "0" * 64}, (400, "InvalidArgument", "0002-00000202")),
    ],
)
def test_a_signature_of_another_form_is_refused(cloud, authorization, more, seen):
    scope = "20261124/cn-hangzhou/oss/aliyun_v4_request"
    whole = f"OSS4-HMAC-SHA256 Credential=a/{scope},Signature={'0' * 64}"
    connection = http.client.HTTPConnection(cloud.host)
    connection.request("GET", "/backups/a", headers={"Authorization": authorization.format(whole), **more})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    assert (answer.status, answer.headers["x-oss-ec"]) == (seen[0], seen[2])
    assert f"<Code>{seen[1]}</Code>" in body


def test_a_refusal_names_what_it_is_about(cloud):
    refused = OssClient(cloud, dataclasses.replace(cloud.credentials.issue(), access_key_secret="wrong")).error(
        "put_object", key=KEY, body=b""
    )
    assert refused.error_fileds["HostId"] == cloud.host
    assert refused.error_fileds["RequestId"] == refused.headers["x-oss-request-id"]
    assert "x-oss-security-token" in refused.error_fileds["CanonicalRequest"]


def test_a_bucket_lies_in_a_region_and_has_to_exist(cloud):
    cloud.oss.bucket("elsewhere", "cn-shanghai")
    client = OssClient(cloud)
    missing = client.error("put_object", bucket="none", key=KEY, body=b"")
    assert (missing.status_code, missing.code, missing.error_fileds["BucketName"]) == (404, "NoSuchBucket", "none")
    elsewhere = client.error("put_object", bucket="elsewhere", key=KEY, body=b"")
    assert (elsewhere.code, elsewhere.ec) == ("AccessDenied", "0003-00001403")
    assert elsewhere.error_fileds["Endpoint"] == "oss-cn-shanghai.aliyuncs.com"
    OssClient(cloud, region="cn-shanghai").put_object(bucket="elsewhere", key=KEY, body=b"")
    named_as_regions_are = cloud.oss.bucket("my-backups")
    client.put_object(bucket="my-backups", key=KEY, body=b"")
    assert [*named_as_regions_are.objects] == [KEY]
    with pytest.raises(ValueError, match="no bucket can be named 'Up'"):
        cloud.oss.bucket("Up")


def test_a_bucket_may_be_in_the_host_name(cloud):
    client = OssClient(cloud, endpoint=f"http://localhost:{cloud.endpoint.rpartition(':')[2]}")
    resolved = socket.getaddrinfo
    try:  # not every machine resolves the names below localhost
        socket.getaddrinfo = lambda _, *rest, **more: resolved("127.0.0.1", *rest, **more)
        client.put_object(key=KEY, body=TEN)
        assert client.read(KEY, range_header="bytes=0-1") == b"01"
        assert [each.key for each in client.list_objects_v2().contents] == [KEY]
    finally:
        socket.getaddrinfo = resolved


def test_the_function_may_do_what_it_needs_below_its_prefix_alone(cloud):
    client = OssClient(cloud, cloud.credentials.issue())
    client.put_object(key="redis/a", body=TEN)
    assert client.read("redis/a") == TEN
    upload_id = client.initiate_multipart_upload(key="redis/b").upload_id
    client.part("redis/b", upload_id, 1, TEN)
    client.list_multipart_uploads()
    client.abort_multipart_upload(key="redis/b", upload_id=upload_id)
    client.upload("redis/b", [TEN])
    client.list_objects_v2()
    denied = [
        client.code("put_object", key="elsewhere/a", body=b""),
        client.code("head_object", key="elsewhere/a"),
        client.code("delete_object", key="redis/a"),
        client.code("list_parts", key="redis/b", upload_id=upload_id),
    ]
    assert denied == [(403, "AccessDenied")] * 4
    refused = client.error("put_object", key="elsewhere/a", body=b"")
    assert refused.message == "You have no right to access this object because of bucket acl."


def test_a_policy_of_one_s_own_counts():
    policy = ram.allow(["oss:GetObject"], ["acs:oss:oss-cn-hangzhou:*:backups/redis/*"])
    with Cloud(settings=STORE, policy=policy) as cloud:
        cloud.store.put("redis/a", TEN)
        client = OssClient(cloud, cloud.credentials.issue())
        assert client.read("redis/a") == TEN
        assert client.code("put_object", key="redis/b", body=b"") == (403, "AccessDenied")


def test_operations_that_are_not_there_are_refused(client):
    assert client.code("get_bucket_acl") == (501, "NotImplemented")


def test_two_lengths_of_one_body_are_refused(cloud):
    """The SDK sends both for an iterator, and then a body that is not in chunks."""
    with socket.create_connection(("127.0.0.1", int(cloud.endpoint.rpartition(":")[2]))) as connection:
        connection.sendall(b"PUT /a/b HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc")
        connection.settimeout(10)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_store_s_bucket_is_made_in_its_region():
    with Cloud(settings={**STORE, "BACKUP_STORE_REGION": "cn-shanghai"}) as cloud:
        assert (cloud.store.name, cloud.store.region) == ("backups", "cn-shanghai")
        assert cloud.endpoints()["BACKUP_OSS_ENDPOINT"] == cloud.endpoint
    with Cloud() as cloud, pytest.raises(KeyError):
        _ = cloud.store


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("throttle", (503, "TotalQpsLimitExceeded")),
        ("throttle-503", (503, "TotalQpsLimitExceeded")),
        ("unavailable", (503, "ServiceUnavailable")),
        ("busy", (503, "ServiceUnavailable")),
        ("internal", (500, "InternalError")),
        ("lock", (500, "InternalError")),
        ("5xx", (500, "SomethingUnheardOf")),
        ("denied", (403, "AccessDenied")),
    ],
)
def test_a_fault_is_one_of_oss_s_own_errors(cloud, client, kind, seen):
    cloud.faults.plan("PutObject", [Fault(kind), Fault(kind, after=True)], KEY)
    assert client.code("put_object", key="redis/another", body=TEN) is None
    assert (client.code("put_object", key=KEY, body=TEN), KEY in cloud.store.objects) == (seen, False)
    assert (client.code("put_object", key=KEY, body=TEN), KEY in cloud.store.objects) == (seen, True)
    assert (cloud.calls[-1].code, cloud.calls[-1].fault) == (seen[1], kind)


@pytest.mark.parametrize("kind", ["reset", "hang"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("body", [TEN, data(3_000_000)], ids=["small", "large"])
def test_an_answer_that_is_lost_leaves_its_effect(cloud, client, kind, after, body):
    cloud.faults.plan("PutObject", [Fault(kind, after=after)])
    with pytest.raises(OperationError, match="request error"):
        client.put_object(key=KEY, body=body, forbid_overwrite=True)
    again = client.code("put_object", key=KEY, body=body, forbid_overwrite=True)
    assert again == ((409, "FileAlreadyExists") if after else None)
    assert cloud.store.objects[KEY].read() == body


def test_a_completion_whose_answer_is_lost_cannot_be_repeated(cloud, client):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    tags = [client.part(KEY, upload_id, 1, TEN)]
    cloud.faults.plan("CompleteMultipartUpload", [Fault("reset", after=True)])
    with pytest.raises(OperationError, match="request error"):
        client.complete(KEY, upload_id, tags)
    parameters = {"key": KEY, "upload_id": upload_id, "complete_multipart_upload": parts_of(tags)}
    assert client.code("complete_multipart_upload", **parameters) == (404, "NoSuchUpload")
    assert client.read(KEY) == TEN


@pytest.mark.parametrize("operation", ["put_object", "upload_part"])
def test_a_byte_that_changes_on_its_way_up_is_stored_and_checksummed(cloud, client, operation):
    upload_id = client.initiate_multipart_upload(key=KEY).upload_id
    cloud.faults.plan("PutObject" if operation == "put_object" else "UploadPart", [Fault("flip")])
    in_upload = {"upload_id": upload_id, "part_number": 1} if operation == "upload_part" else {}
    answer = getattr(client, operation)(key=KEY, body=TEN, **in_upload)
    changed = b"01234" + bytes([ord("5") ^ 0xFF]) + b"6789"
    assert answer.hash_crc64 == str(CRC64.calc(changed))
    checking = OssClient(cloud, disable_upload_crc64_check=False)
    cloud.faults.plan("PutObject", [Fault("flip")])
    with pytest.raises(OperationError, match="crc is inconsistent"):
        checking.put_object(key=KEY, body=TEN)


@pytest.mark.parametrize("body", [TEN, data(3_000_000)], ids=["small", "large"])
def test_a_body_can_be_cut_or_changed_or_late_on_its_way_down(cloud, client, body):
    client.put_object(key=KEY, body=body)
    half = len(body) // 2
    cloud.faults.plan("GetObject", [Fault("flip"), Fault("slow", seconds=30), Fault("whole"), Fault("cut")], KEY)
    changed = client.read(KEY)
    assert changed == body[:half] + bytes([body[half] ^ 0xFF]) + body[half + 1 :]
    began = cloud.clock.time()
    assert (client.read(KEY), cloud.clock.time() - began) == (body, 30)
    assert client.get_object(key=KEY, range_header="bytes=0-1").status_code == 200
    read = []
    with client.get_object(key=KEY).body as content, pytest.raises(requests.exceptions.ChunkedEncodingError):
        read.extend(content.iter_bytes(block_size=len(body) // 4))
    assert len(b"".join(read)) <= half


def test_random_faults_of_the_store_are_those_of_a_store():
    kinds = (*ALL_KINDS,)
    seen = {operation: set() for operation in ("PutObject", "GetObject", "ListMultipartUploads")}
    for seed in range(200):
        faults = Faults(1.0, seed, kinds=kinds)
        for operation, found in seen.items():
            found.add(faults.next_fault(operation, KEY).kind)
    common = {"reset", "hang", "page502", "5xx", "internal", "unavailable", "redirect-302", "redirect-307"}
    assert seen == {
        "PutObject": {*common, "throttle-503", "flip"},
        "GetObject": {*common, "cut", "flip", "slow", "whole", "denied"},
        "ListMultipartUploads": {*common, "throttle-503"},
    }


def test_a_versioned_bucket_keeps_what_was_overwritten_or_deleted(cloud):
    bucket = cloud.oss.bucket("versions", versioned=True)
    client = OssClient(cloud)
    mine = {"bucket": "versions", "key": KEY}
    answers = [client.put_object(body=body, forbid_overwrite=True, **mine) for body in (b"1", b"2")]
    upload = {"upload_id": client.initiate_multipart_upload(forbid_overwrite=True, **mine).upload_id, **mine}
    etag = client.upload_part(part_number=1, body=b"3", **upload).etag
    listed = {"complete_multipart_upload": parts_of([etag]), "forbid_overwrite": True}
    answers.append(client.complete_multipart_upload(**listed, **upload))
    ids = [answer.version_id for answer in answers]
    assert len({*ids}) == 3
    assert (client.get_object(**mine).version_id, client.head_object(**mine).version_id) == (ids[2], ids[2])
    assert [version.read() for version in bucket.versions(KEY)] == [b"1", b"2", b"3"]
    client.delete_object(**mine)
    assert client.code("get_object", **mine) == (404, "NoSuchKey")
    assert ([version.version_id for version in bucket.versions(KEY)], bucket.objects) == (ids, {})


def test_a_retention_policy_forbids_overwriting_and_deleting(cloud):
    bucket = cloud.oss.bucket("kept", worm=True)
    client = OssClient(cloud)
    mine = {"bucket": "kept", "key": KEY}
    upload_id = client.initiate_multipart_upload(**mine).upload_id
    client.put_object(body=b"first", **mine)
    for operation, more in (("put_object", {"body": b"second"}), ("delete_object", {})):
        assert client.code(operation, **mine, **more) == (409, "FileImmutable")
    assert client.code("put_object", body=b"2", forbid_overwrite=True, **mine) == (409, "FileAlreadyExists")
    assert client.code("initiate_multipart_upload", **mine) == (409, "FileImmutable")
    etag = client.upload_part(upload_id=upload_id, part_number=1, body=b"second", **mine).etag
    listed = {"upload_id": upload_id, "complete_multipart_upload": parts_of([etag])}
    assert client.code("complete_multipart_upload", **listed, **mine) == (409, "FileImmutable")
    client.abort_multipart_upload(upload_id=upload_id, **mine)
    assert ({key: each.read() for key, each in bucket.objects.items()}, bucket.uploads) == ({KEY: b"first"}, {})


def test_calls_of_an_invocation_that_has_ended_have_no_effect(cloud):
    switch = KillSwitch("1-2-3", cloud.clock, cloud.clock.monotonic() + 300, kill_after=3)
    client = OssClient(cloud, cloud.credentials.issue(switch))
    client.put_object(key="redis/a", body=TEN)
    with pytest.raises(OperationError, match="request error"):
        client.put_object(key="redis/b", body=TEN)
    assert [*cloud.store.objects] == ["redis/a"]
    assert [(call.operation, call.request_id, call.status) for call in cloud.calls[:1]] == [("PutObject", "1-2-3", 200)]


def test_latency_and_limits_hold_for_the_store():
    with Cloud(settings=STORE, latency=2.0, limits={"oss:*": 1}) as cloud:
        client = OssClient(cloud)
        began = cloud.clock.time()
        assert client.code("put_object", key=KEY, body=b"") is None
        assert cloud.clock.time() - began == 2
    with Cloud(settings=STORE, limits={"oss:*": 0.001}) as cloud:
        client = OssClient(cloud)
        seen = [client.code("put_object", key=KEY, body=b"") for _ in range(2)]
        assert seen == [None, (503, "TotalQpsLimitExceeded")]


def test_a_large_object_is_neither_kept_nor_sent_as_a_whole(client):
    tracemalloc.start()
    try:
        size = 32 * 1024 * 1024
        block = bytes(1024 * 1024)
        client.put_object(key=KEY, body=StreamedBody((block for _ in range(32)), size))
        with client.get_object(key=KEY).body as content:
            assert sum(len(chunk) for chunk in content.iter_bytes(block_size=1024 * 1024)) == size
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_files_of_what_is_gone_are_removed(cloud, client):
    client.put_object(key=KEY, body=data(1_500_000))
    (folder,) = {path.parent for path in cloud.store.receiver.files()}
    client.put_object(key=KEY, body=data(1_500_000, 1))
    gc.collect()
    assert len([*folder.iterdir()]) == 1
    cloud.oss.close()
    assert not folder.exists()


def test_a_body_may_come_from_another_call_on_an_exact_clock():
    """An upload that awaits its body, and a download that nobody reads on, keep no other call from its latency."""
    body = data(8_000_000)
    ended = []

    def handler(_event, context, runtime):
        client = OssClient(cloud, context.credentials)
        for key in ("redis/a", "redis/b"):
            client.put_object(key=key, body=body)
        with client.get_object(key="redis/a").body as first, client.get_object(key="redis/b").body as second:
            next(second.iter_bytes(block_size=1000))
            client.put_object(key="redis/c", body=StreamedBody(slowly(client, first), len(body)))
        ended.append(runtime.clock.time())

    def slowly(client, content):
        for chunk in content.iter_bytes(block_size=2_000_000):
            client.head_object(key="redis/b")  # has a latency, too
            yield chunk

    with Cloud(settings=STORE, clock=ExactClock(0.0), handler=handler, latency=1.0) as cloud:
        cloud.invoke_async(b"", delay=0.0)
        cloud.invoke_async(b"", delay=0.5)
        invocations = cloud.platform.drain()
        assert [each.error for each in invocations] == [None, None]
        assert cloud.store.objects["redis/c"].read() == body
    # The upload's own latency is over before the first byte that it sends, or at the same time as that byte's.
    assert all(8.0 <= moment <= 9.5 for moment in ended)
