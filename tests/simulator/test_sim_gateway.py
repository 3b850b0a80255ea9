"""What every call passes through: signatures, tokens, permission, limits, latency, the log of calls."""

import dataclasses
import datetime
import http.client
import ssl

import pytest
from simulator_clients import KVStoreClient, invoke_3
from Tea.exceptions import TeaException

from simulator import Cloud, Fleet, Instance, ram

ONE = Fleet([Instance("r-1")])
ALGORITHMS = pytest.mark.parametrize("algorithm", [None, "v2"], ids=["ACS3-HMAC-SHA256", "HMAC-SHA1"])


@ALGORITHMS
def test_both_signatures_of_the_sdk_are_taken(algorithm):
    with Cloud(ONE) as cloud:
        for credential in (cloud.credentials.user, cloud.credentials.issue()):
            client = KVStoreClient(cloud, credential, signature_algorithm=algorithm)
            assert client.describe_backup_tasks(instance_id="r-1")["BackupJobs"] == []


@ALGORITHMS
@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"access_key_secret": "wrong"}, 400, "SignatureDoesNotMatch"),
        ({"access_key_id": "LTAInobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"security_token": "wrong"}, 400, "InvalidSecurityToken.Malformed"),
        ({"security_token": None}, 400, "InvalidSecurityToken.Malformed"),
    ],
)
def test_a_wrong_credential_is_refused(algorithm, change, status, code):
    with Cloud(ONE) as cloud:
        credential = dataclasses.replace(cloud.credentials.issue(), **change)
        client = KVStoreClient(cloud, credential, signature_algorithm=algorithm)
        assert client.code("describe_backup_tasks", instance_id="r-1") == code
        assert [(call.status, call.code) for call in cloud.calls] == [(status, code)]


def test_a_wrong_signature_is_answered_with_the_token_in_the_message():
    with Cloud(ONE) as cloud:
        credential = dataclasses.replace(cloud.credentials.issue(), access_key_secret="wrong")
        with pytest.raises(TeaException) as refusal:
            KVStoreClient(cloud, credential).describe_backup_tasks(instance_id="r-1")
        assert credential.security_token in refusal.value.message


def test_a_token_expires_by_the_clock():
    with Cloud(ONE) as cloud:
        client = KVStoreClient(cloud, cloud.credentials.issue(lifetime=100))
        codes = [client.code("describe_backup_tasks", instance_id="r-1")]
        cloud.clock.advance(100)
        codes.append(client.code("describe_backup_tasks", instance_id="r-1"))
        assert codes == [None, "InvalidSecurityToken.Expired"]


@ALGORITHMS
def test_a_time_of_signing_may_be_off_by_15_minutes(algorithm):
    with Cloud(ONE) as cloud:
        client, codes = KVStoreClient(cloud, signature_algorithm=algorithm), []
        for offset in (0, 890, 910, -890, -910):
            cloud.kvstore.clock_offset = offset
            codes.append(client.code("describe_backup_tasks", instance_id="r-1"))
        expired = "InvalidTimeStamp.Expired"
        assert codes == [None, None, expired, None, expired]


def test_an_unsigned_call_is_refused():
    with Cloud(ONE) as cloud:
        connection = http.client.HTTPConnection(cloud.host)
        connection.request("POST", "/?Action=DescribeInstances")
        assert b"MissingAccessKeyId" in connection.getresponse().read()


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([("Allow", "kvstore:CreateBackup", "acs:kvstore:*:1:instance/r-1")], True),
        ([("Allow", "kvstore:Create*", "acs:kvstore:*:1:instance/r-?")], True),
        ([("Allow", "KVSTORE:createbackup", "*")], True),
        ([("Allow", ["fc:*", "kvstore:*"], ["acs:fc:*", "acs:kvstore:cn-x:*"])], True),
        ([("Allow", "kvstore:Describe*", "*")], False),
        ([("Allow", "*", "acs:kvstore:cn-y:1:instance/*")], False),
        ([("Allow", "*", "*"), ("Deny", "*", "*/r-1")], False),
        ([("Deny", "*", "*/r-2"), ("Allow", "*", "*")], True),
        ([], False),
    ],
)
def test_policies_allow_unless_one_denies(statements, allowed):
    policy = {"Version": "1", "Statement": [{"Effect": e, "Action": a, "Resource": r} for e, a, r in statements]}
    assert ram.is_allowed([policy], "kvstore:CreateBackup", "acs:kvstore:cn-x:1:instance/r-1") is allowed


def test_a_role_may_do_what_its_policy_says_and_a_user_anything():
    policy = ram.allow(["kvstore:Describe*"], ["acs:kvstore:cn-hangzhou:1234567890123456:instance/r-1"])
    with Cloud(Fleet([Instance("r-1"), Instance("r-2")]), policy=policy, denial_code="NoPermission") as cloud:
        role, user = KVStoreClient(cloud, cloud.credentials.issue()), KVStoreClient(cloud)
        codes = [
            role.code("describe_backup_tasks", instance_id="r-1"),
            role.code("describe_backup_tasks", instance_id="r-2"),
            role.code("create_backup", instance_id="r-1"),
            role.code("describe_instances", region_id="cn-hangzhou"),
            user.code("create_backup", instance_id="r-2"),
        ]
        assert codes == [None, "NoPermission", "NoPermission", "NoPermission", None]


def test_a_user_can_have_a_policy_too():
    with Cloud(ONE, user_policy=ram.allow([], []), handler=lambda *_: None) as cloud:
        assert KVStoreClient(cloud).code("create_backup", instance_id="r-1") == "Forbidden.RAM"
        with pytest.raises(TeaException) as denial:
            invoke_3(cloud)
        assert denial.value.code == "AccessDenied"


def test_a_rate_limit_throttles_with_a_hint_and_recovers_with_the_clock():
    with Cloud(ONE, limits={"DescribeBackupTasks": 2, "*": 100}) as cloud:
        client = KVStoreClient(cloud)
        codes = [client.code("describe_backup_tasks", instance_id="r-1") for _ in range(3)]
        assert codes == [None, None, "Throttling.User"]
        with pytest.raises(TeaException) as throttled:
            client.describe_backup_tasks(instance_id="r-1")
        assert throttled.value.retry_after == 500
        assert client.code("create_backup", instance_id="r-1") is None
        cloud.clock.advance(0.5)
        assert client.code("describe_backup_tasks", instance_id="r-1") is None


def test_latency_takes_the_clocks_time():
    with Cloud(ONE, latency=0.25) as cloud:
        before = cloud.clock.time()
        KVStoreClient(cloud).describe_backup_tasks(instance_id="r-1")
        assert cloud.clock.time() - before == 0.25


def test_calls_are_logged_with_the_invocation_that_made_them():
    def handler(_event, context, _runtime):
        KVStoreClient(cloud, **vars(context.credentials)).create_backup(instance_id="r-1")

    with Cloud(ONE, handler=handler) as cloud:
        invocation = cloud.invoke()
        KVStoreClient(cloud).describe_backup_tasks(instance_id="r-1")
        assert invocation.error is None
        assert [(call.operation, call.status) for call in cloud.calls_of(invocation)] == [("CreateBackup", 200)]
        assert [call.request_id for call in cloud.calls] == [invocation.request_id, None]


def test_https_with_a_certificate_of_ones_own(tmp_path):
    with Cloud(ONE, tls=_certificate(tmp_path)) as cloud:
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        connection = http.client.HTTPSConnection(cloud.host, context=context)
        for _ in range(2):  # one connection, kept alive
            connection.request("GET", "/", headers={"Authorization": "none"})
            assert connection.getresponse().read().startswith(b'{"Code":"MissingAccessKeyId"')


def _certificate(folder):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return str(folder / "cert.pem"), str(folder / "key.pem")
