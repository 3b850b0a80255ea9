"""What connections cost: certificates are loaded once for all, and the SDK's session is made once for all threads."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import certifi

from benchmarks.environment import make_certificate
from redis_backup.alibaba import adapters, sdk
from redis_backup.credentials import Credentials
from simulator import Cloud, Fleet, Instance
from simulator.server import Response, Server

PROJECT = Path(__file__).parents[1]
DATE = "Tue, 24 Nov 2026 02:00:00 GMT"
SCRIPT = """
import json, os, ssl, sys, threading
from types import SimpleNamespace

loads = []
def profile(frame, event, function):
    if event == "c_call" and getattr(function, "__name__", "") == "load_verify_locations":
        loads.append(threading.current_thread().name)

import handler
handler.initialize(None)
context = SimpleNamespace(request_id="1-00000000-0", region="cn-hangzhou", account_id="1234567890123456",
                          function=SimpleNamespace(name="redis-backup", timeout=60))
sys.stdout, out = open(os.devnull, "w"), sys.stdout
threading.setprofile(profile)
sys.setprofile(profile)
report = handler.handler(json.dumps({"instance_ids": [f"r-{number}" for number in range(64)]}).encode(), context)
sys.setprofile(None)
threading.setprofile(None)
core = sys.modules["darabonba.core"]
sessions = list(core.DaraCore._sessions.values())
trusted = sessions[0].get_adapter("https://").ssl_context.cert_store_stats()
usual = ssl.create_default_context()
usual.load_verify_locations(core.certifi.where())
print(json.dumps([report["counts"], len(loads), len(sessions), trusted == usual.cert_store_stats()]), file=out)
"""


def test_certificates_are_loaded_once_and_the_usual_ones_are_trusted(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    fleet = Fleet(Instance(f"r-{number}") for number in range(64))
    with Cloud(fleet, tls=(str(certificate), str(key)), real_latency=0.02) as cloud:
        environ = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            **cloud.environ(),
            "PYTHONPATH": str(PROJECT),
            "SSL_CERT_FILE": str(certificate),
            "BACKUP_FOLLOW_SECONDS": "0",
        }
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"running": 64}, 1, 1, True]


def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    """Loading less does not mean trusting more."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    script = SCRIPT.partition("core = ")[0] + "print(report['instances'][0]['error']['code'], file=out)\n"
    with Cloud(Fleet([Instance("r-0")]), tls=(str(certificate), str(key))) as cloud:
        environ = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            **cloud.environ(),
            "PYTHONPATH": str(PROJECT),
            "BACKUP_FOLLOW_SECONDS": "0",
        }
        short = script.replace("range(64)", "range(1)").replace("timeout=60", "timeout=7")
        done = subprocess.run([sys.executable, "-c", short], env=environ, capture_output=True, text=True, check=False)
        assert cloud.calls == []
    assert (done.stdout, done.returncode) == ("NoAnswer\n", 0), done.stderr


def test_the_sdks_use_the_adapters_that_note_answers() -> None:
    """Without them a redirect would be followed with the security token, and certificates be loaded per connection."""
    credentials = Credentials("user", "secret", "")
    core, fc2 = importlib.import_module("darabonba.core"), importlib.import_module("fc2.client")
    gone = "is gone: find how the SDK makes its adapter now, and adjust the mix_in in redis_backup/alibaba/sdk.py"
    assert hasattr(core, "_TLSAdapter"), f"darabonba.core._TLSAdapter {gone}"
    assert hasattr(fc2, "HTTPAdapter"), f"fc2.client.HTTPAdapter {gone}"
    sdk.config(credentials, "cn-hangzhou", None, connections=4)
    adapter = core.DaraCore.get_adapter("HTTPS")
    assert isinstance(adapter, adapters.LoadsCertificatesOnce), f"_TLSAdapter in DaraCore.get_adapter {gone}"
    server = Server(lambda _: Response(302, b"", {"date": DATE}))
    server.start()
    client = sdk.fc2_client(credentials, server.url, timeout=5)
    for way, send in (
        ("HTTPAdapter in fc2.client.requestWithTry", lambda: fc2.requestWithTry("GET", server.url)),
        ("requestWithTry in fc2.client.Client", lambda: client.invoke_function("service", "function")),
    ):
        answers = []
        with contextlib.suppress(adapters.RedirectedError):
            answers.append(send())
        assert answers == [], f"{way} {gone}"
    server.stop()
    assert adapters.last_date() == DATE
    assert "total=retries" in inspect.getsource(fc2.requestWithTry), (
        "fc2.client.retries is gone: find what keeps it from repeating a call for 30 s, and adjust sdk.fc2_client"
    )


def test_certificates_are_told_to_a_connection_where_its_context_does_not_have_them() -> None:
    sdk.config(Credentials("user", "secret", ""), "cn-hangzhou", None, connections=4)
    adapter = importlib.import_module("darabonba.core").DaraCore.get_adapter("HTTPS")
    usual, own = certifi.where(), __file__
    direct, proxied = adapter.poolmanager, adapter.proxy_manager_for("http://proxy.invalid:1")
    told = []
    for manager, verify in ((direct, True), (direct, own), (proxied, True), (proxied, own)):
        pool = manager.connection_from_url("https://r-kvstore.invalid")
        adapter.cert_verify(pool, "https://r-kvstore.invalid", verify, None)
        told.append((pool.ca_certs, pool.cert_reqs))
    assert told == [(where, "CERT_REQUIRED") for where in (None, own, usual, own)]
