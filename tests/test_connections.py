"""What connections cost: certificates are loaded once for all, and the SDK's session is made once for all threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.environment import make_certificate
from simulator import Cloud, Fleet, Instance

PROJECT = Path(__file__).parents[1]
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
        short = script.replace("range(64)", "range(1)").replace("timeout=60", "timeout=3")
        done = subprocess.run([sys.executable, "-c", short], env=environ, capture_output=True, text=True, check=False)
        assert cloud.calls == []
    assert (done.stdout, done.returncode) == ("NoAnswer\n", 0), done.stderr
