"""The SDKs do the same whether they are imported lazily or as usual; and what `lazy_sdk` takes for granted."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redis_backup.alibaba import lazy_sdk
from simulator import Cloud, Fleet, Instance
from simulator.server import Request, Response, Server

PROJECT = Path(__file__).parents[1]
CHILD = Path(__file__).with_name("lazy_sdk_child.py")
FORBIDDEN = {"aiohttp", "apscheduler", "asyncio", "cffi", "cryptography", "websocket"}
MOST_MODULES = 352  # of others, after a whole invocation, with the standard library's; the usual way loads 1,100
FLEET = Fleet(
    [
        Instance("r-a"),
        Instance("r-b", kind="classic-cluster", shards=2, job_id_style="quoted"),
        Instance("r-c", kind="cloud-native"),
        Instance("r-old", duration=30),
        Instance("r-tair", type="Tair", tags={"kind": "tair"}),
    ]
)


def run(*arguments: str, path: Path | None = None, **environ: str) -> str:
    """Run Python in a fresh process, and return what it prints."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        "PYTHONPATH": os.pathsep.join(str(each) for each in (PROJECT, path) if each),
        **environ,
    }
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def called(way: str) -> tuple[list[Any], list[Any], set[str]]:
    """What one way of importing sends (with the status it is answered), gets and loads."""
    sent: list[Any] = []
    with Cloud(FLEET) as cloud:
        cloud.kvstore.instance("r-old").create_backup(7, "")
        cloud.clock.advance(3600)

        def record(request: Request) -> Response:
            response = cloud.gateway(request)
            names, agent = sorted(request.headers), request.headers["user-agent"]
            query = dict(request.query)
            sent.append([request.method, request.path, query, names, agent, request.body, response.status])
            return response

        server = Server(record)
        server.start()
        user = cloud.credentials.user
        output = json.loads(run(str(CHILD), way, server.url, user.access_key_id, user.access_key_secret))
        server.stop()
    return sent, output["answers"], set(output["modules"])


def test_what_is_sent_and_how_answers_are_read_does_not_change() -> None:
    (plain_sent, plain_answers, plain_modules), (lazy_sent, lazy_answers, lazy_modules) = (
        called("plain"),
        called("lazy"),
    )
    assert lazy_sent == plain_sent
    assert lazy_answers == plain_answers
    assert [status for *_, status in lazy_sent] == [200] * 4 + [400] + [200] * 5 + [404, 202, 404]
    assert lazy_answers[3]["BackupJobID"]
    assert lazy_answers[7]["Backups"]["Backup"]
    assert lazy_answers[9]["ClusterBackups"]
    assert plain_modules & FORBIDDEN == FORBIDDEN - {"cffi"}
    assert not lazy_modules & FORBIDDEN


def test_an_invocation_loads_few_modules_and_none_of_the_heavy_ones() -> None:
    script = """
import json, os, sys
from types import SimpleNamespace
import handler
from redis_backup.alibaba import lazy_sdk
handler.initialize(None)
context = SimpleNamespace(request_id="1-00000000-0", region="cn-hangzhou", account_id="1234567890123456",
                          function=SimpleNamespace(name="redis-backup", timeout=60))
sys.stdout, out = open(os.devnull, "w"), sys.stdout
report = handler.handler(b'{"instance_ids": ["r-a", "r-c"]}', context)
stand_ins = [name for name in lazy_sdk.DEFERRED if type(sys.modules.get(name)).__name__ == "_Deferred"]
print(json.dumps([report["counts"], stand_ins, sorted(sys.modules)]), file=out)
"""
    with Cloud(FLEET) as cloud:
        unmeasured = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}  # coverage would count as ours
        counts, stand_ins, modules = json.loads(run("-c", script, **cloud.environ(), **unmeasured))
    assert (counts, stand_ins) == ({"running": 2}, [])
    unused = FORBIDDEN | {"alibabacloud_oss_v2", "anycrc"}  # nothing is verified
    assert not unused & {name.partition(".")[0] for name in modules}
    assert not set(lazy_sdk.DEFERRED) & set(modules)
    others = [name for name in modules if name.partition(".")[0] not in ("handler", "redis_backup")]
    assert len(others) <= MOST_MODULES


def test_the_sdks_are_those_that_the_table_was_made_for() -> None:
    """Upgrading? Run this file; where all else in it passes, write the new versions here."""
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)$", (PROJECT / "requirements.txt").read_text(), re.MULTILINE))
    assert pinned == {
        "alibabacloud-oss-v2": "1.4.1",
        "alibabacloud-r-kvstore20150101": "7.0.0",
        "alibabacloud-tea-openapi": "0.4.6",
        "aliyun-fc2": "2.5.2",
        "anycrc": "2.1.0",
    }
    installed = ("alibabacloud_r_kvstore20150101", "alibabacloud_tea_openapi", "darabonba", "fc2")
    versions = {name: importlib.import_module(name).__version__ for name in installed}
    assert versions == {
        "alibabacloud_r_kvstore20150101": "7.0.0",
        "alibabacloud_tea_openapi": "0.4.6",
        "darabonba": "1.0.9",
        "fc2": "2.5.2",
    }


@pytest.mark.parametrize("module", lazy_sdk.DEFERRED)
def test_what_is_deferred_exists_and_can_be_stood_in_for(module: str) -> None:
    importlib.import_module(module)
    for name in lazy_sdk.DEFERRED[module].split():
        real = getattr(__import__(module, fromlist=[name]), name, None)
        told = f"{module}.{name} is {real!r}: only a function, a class or a module can be deferred; change DEFERRED"
        assert inspect.isroutine(real) or isinstance(real, (type, ModuleType)), told
        assert not (isinstance(real, type) and issubclass(real, BaseException)), told  # `except` takes no stand-in


def test_the_sdks_import_what_is_deferred_and_nothing_else_of_it() -> None:
    script = """
import json, sys
from redis_backup.alibaba import lazy_sdk
genuine, asked = lazy_sdk._Deferred.__getattr__, set()
def noting(self, name):
    if not name.startswith("__"):
        asked.add(f"{self.__name__} {name}")
    return genuine(self, name)
lazy_sdk._Deferred.__getattr__ = noting
for name in ("alibabacloud_r_kvstore20150101.client", "fc2.client"):
    lazy_sdk.load(name)
held = {value.__name__ for module in list(sys.modules.values()) for value in vars(module).values()
        if type(value) is lazy_sdk._Deferred}
print(json.dumps([sorted(asked), sorted(held)]))
"""
    asked, held = map(set, json.loads(run("-c", script)))
    listed = {f"{module} {name}" for module, names in lazy_sdk.DEFERRED.items() for name in names.split()}
    assert asked - listed == set(), "an SDK now imports these names of deferred modules: add them to DEFERRED"
    assert listed - asked == set(), "no SDK imports these names any more: take them out of DEFERRED"
    assert set(lazy_sdk.DEFERRED) - held == set(), "no SDK imports these modules any more: take them out of DEFERRED"


USER = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "user", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret"}
PROFILE = {"ALIBABA_CLOUD_CREDENTIALS_FILE": "credentials.ini"}
NOBODY = {**dict.fromkeys(USER, ""), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
CREDENTIALS = "[default]\ntype=access_key\nenable=true\naccess_key_id=profile\naccess_key_secret=secret\n"
CHAIN = """
from alibabacloud_credentials.client import Client
print(Client().get_credential().access_key_id)
"""
LATER: list[tuple[str, str, dict[str, str], str]] = [
    ("the default credential chain, from the environment", CHAIN, USER, "user"),
    ("the default credential chain, from a profile", CHAIN, PROFILE, "profile"),
    (
        "the scheduler of a virtual machine's credentials",
        """
from apscheduler.schedulers.background import BackgroundScheduler
from alibabacloud_credentials.provider import ecs_ram_role
print(type(ecs_ram_role.BackgroundScheduler()) is BackgroundScheduler)
""",
        {},
        "True",
    ),
    (
        "an RSA signature",
        """
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
key = rsa.generate_private_key(65537, 2048)
pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
request = sys.modules["darabonba.request"].DaraRequest()
request.method, request.pathname, request.query, request.headers = "POST", "/", {}, {"host": "h", "x-acs-date": "d"}
sign = sys.modules["alibabacloud_tea_openapi.utils"].Utils.get_authorization
print(len(sign(request, "ACS3-RSA-SHA256", "payload", "id", pem).partition("Signature=")[2]))
""",
        {},
        "512",
    ),
    (
        "a model that this function does not use",
        """
from alibabacloud_r_kvstore20150101 import models
print(models.DescribeZonesRequest.__module__)
""",
        {},
        "alibabacloud_r_kvstore20150101.models._describe_zones_request",
    ),
    (
        "what a stand-in is asked for",
        """
import aiohttp, asyncio
core, response = sys.modules["Tea.core"], sys.modules["darabonba.response"].ClientResponse
print(core.aiohttp.TCPConnector is aiohttp.TCPConnector, core.asyncio.sleep is asyncio.sleep,
      response.release is aiohttp.ClientResponse.release)
""",
        {},
        "True True True",
    ),
    (
        "a stand-in that is taken for a class (an error, never a wrong answer)",
        """
response = sys.modules["darabonba.response"].ClientResponse
for wrong in ("isinstance(1, response)", "issubclass(int, response)", "class Inherited(response): ..."):
    try:
        exec(wrong)
    except TypeError:
        print("TypeError", end=" ")
""",
        {},
        "TypeError TypeError TypeError",
    ),
]


@pytest.mark.parametrize(
    ("script", "environ", "expected"), [each[1:] for each in LATER], ids=[each[0] for each in LATER]
)
def test_what_was_put_off_comes_when_it_is_used(
    script: str, environ: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("credentials.ini").write_text(CREDENTIALS)
    begin = (
        "import sys\nfrom redis_backup.alibaba import lazy_sdk\n"
        "lazy_sdk.load('alibabacloud_r_kvstore20150101.client')\n"
    )
    assert run("-c", begin + script, **{**NOBODY, **environ}).strip() == expected


def test_asynchronous_calls_work_too() -> None:
    script = """
import sys
from redis_backup.alibaba import lazy_sdk, sdk
from redis_backup.credentials import Credentials
client = lazy_sdk.load("alibabacloud_r_kvstore20150101.client")
models = lazy_sdk.load("alibabacloud_r_kvstore20150101.models")
import asyncio
client = client.Client(sdk.config(Credentials(*sys.argv[2:], ""), "cn-hangzhou", sys.argv[1], 4))
print(asyncio.run(client.create_backup_async(models.CreateBackupRequest(instance_id="r-a"))).status_code)
"""
    with Cloud(FLEET) as cloud:
        user = cloud.credentials.user
        assert run("-c", script, cloud.endpoint, user.access_key_id, user.access_key_secret) == "200\n"


@pytest.mark.parametrize(
    "source",
    [
        "import aiohttp\nassert isinstance(aiohttp.ClientSession, type)",
        "import asyncio\nassert asyncio.__doc__",
        "from aiohttp import ClientSession\nclass Inherited(ClientSession): ...",
        "from aiohttp import ClientSession\n{ClientSession: 1}[__import__('aiohttp.client').ClientSession]",
    ],
)
def test_an_sdk_that_does_not_bear_it_is_imported_as_usual(source: str, tmp_path: Path) -> None:
    (tmp_path / "Tea_upgraded.py").write_text(f"import Tea.core\n{source}\n")
    script = """
import sys
from redis_backup.alibaba import lazy_sdk
module = lazy_sdk.load("Tea_upgraded")
print(module.__name__, [name for name in lazy_sdk.DEFERRED if type(sys.modules.get(name)).__name__ == "_Deferred"],
      type(sys.modules["Tea.core"].aiohttp).__name__)
"""
    assert run("-c", script, path=tmp_path) == "Tea_upgraded [] module\n"


def test_an_sdk_that_is_missing_is_reported_as_usual() -> None:
    with pytest.raises(ModuleNotFoundError, match="alibabacloud_none"):
        lazy_sdk.load("alibabacloud_none")
