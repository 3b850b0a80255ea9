"""What is deployed is built alike each time, is complete, and works alone on the runtime's Python."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from simulator import Cloud, Fleet, Instance

PROJECT = Path(__file__).parents[2]
LIMIT = 10_000_000  # bytes of the zip


def load_package() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_package", PROJECT / "deploy" / "package.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


package = load_package()


def build(folder: Path) -> str:
    """Build into the folder; skip where the wheels are neither in build/wheels nor to be had."""
    command = [sys.executable, str(PROJECT / "deploy" / "package.py"), "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if re.search(r"connection|resolve|No matching distribution", done.stderr, re.IGNORECASE):
        pytest.skip(f"the wheels could not be fetched: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "package"
    build(folder)
    return folder


def run_alone(folder: Path, script: str, environ: dict[str, str]) -> str:
    """Run a script on the runtime's Python, with the package as it would be under /code and nothing else."""
    python = package.find_python()
    if python is None:
        pytest.skip(f"no Python {package.PYTHON} here")
    begin = f"import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {str(folder)!r})\n"
    command = [python, "-I", "-S", "-c", begin + script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_input_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    build(tmp_path / "package")
    assert (tmp_path / "package.zip").read_bytes() == folder.with_name("package.zip").read_bytes()


def test_the_package_is_small_and_holds_what_is_needed_alone(folder: Path) -> None:
    archive = folder.with_name("package.zip")
    assert archive.stat().st_size < LIMIT
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
    assert names == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sources = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "redis_backup").rglob("*.py")}
    own = {name for name in names if name.startswith("redis_backup/") and name.endswith(".py")}
    assert own == sources - {"redis_backup/__main__.py"}
    top = {name.partition("/")[0] for name in names}
    unwanted = {"tests", "simulator", "chaos", "benchmarks", "redis_backup_cli"}
    assert not top & (unwanted | {"click", "rich", "bin", "pip", "setuptools"})
    assert {"aiohttp", "async_timeout", "cryptography", "fc2", "handler.py"} <= top


def test_every_module_is_compiled_and_never_checked_by_date(folder: Path) -> None:
    if package.find_python() is None:
        pytest.skip(f"no Python {package.PYTHON} here")
    for source in folder.rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-310.pyc"
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00", source  # unchecked-hash


def test_the_handler_runs_from_the_package_alone(folder: Path) -> None:
    script = """
import json, os
from types import SimpleNamespace
import handler
handler.initialize(None)
context = SimpleNamespace(request_id="1-00000000-0", region="cn-hangzhou", account_id="1234567890123456",
                          function=SimpleNamespace(name="redis-backup", timeout=60))
sys.stdout, out = open(os.devnull, "w"), sys.stdout
report = handler.handler(b'{"instance_ids": ["r-a", "r-c"]}', context)
elsewhere = [name for name, module in sys.modules.items()
             if "site-packages" in (getattr(module, "__file__", None) or "")]
print(json.dumps([report["counts"], elsewhere, handler.__file__]), file=out)
"""
    with Cloud(Fleet([Instance("r-a"), Instance("r-c", kind="cloud-native")])) as cloud:
        counts, elsewhere, file = json.loads(run_alone(folder, script, cloud.environ()))
    assert (counts, elsewhere, file) == ({"running": 2}, [], str(folder / "handler.py"))


def test_the_sdks_can_be_imported_as_usual_from_the_package_alone(folder: Path) -> None:
    """Where the lazy way of importing steps aside, nothing is missing; asynchronous calls work without C extensions."""
    script = """
import asyncio
from alibabacloud_r_kvstore20150101 import models
from alibabacloud_r_kvstore20150101.client import Client
import alibabacloud_credentials.client, fc2
from redis_backup.alibaba import sdk
from redis_backup.credentials import Credentials
import os
keys = [os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"], ""]
client = Client(sdk.config(Credentials(*keys), "cn-hangzhou", os.environ["BACKUP_ENDPOINT"], 4))
print(asyncio.run(client.create_backup_async(models.CreateBackupRequest(instance_id="r-a"))).status_code)
"""
    with Cloud(Fleet([Instance("r-a")])) as cloud:
        assert run_alone(folder, script, cloud.environ()) == "200\n"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("requests", "constraints.txt: 'requests' is not NAME==VERSION"),
        ("requests>=2", "constraints.txt: 'requests>=2' is not NAME==VERSION"),
    ],
)
def test_a_line_that_pins_nothing_is_refused(line: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text(f"# a comment\n\n{line}  # why\n")
    with pytest.raises(package.PackageError, match=re.escape(fault)):
        package.read_pins(tmp_path / "constraints.txt")


@pytest.mark.parametrize(
    ("pins", "fault"),
    [
        ({}, 'a requires b<2,>=1; python_version < "3.11", but none is pinned'),
        ({"b": "2"}, 'a requires b<2,>=1; python_version < "3.11", but 2 is pinned'),
    ],
)
def test_what_is_not_pinned_for_the_runtimes_python_is_named(pins: dict[str, str], fault: str) -> None:
    """Markers are evaluated for the runtime, not for the Python that builds."""
    metadata = (
        "Name: a\nRequires-Dist: b>=1,<2; python_version < '3.11'\n"
        "Requires-Dist: c; python_version >= '3.11'\nRequires-Dist: d; extra == 'e'\n\nRequires-Dist: prose\n"
    )
    with pytest.raises(package.PackageError, match=re.escape(fault)):
        package.check_complete({"a-1.dist-info/METADATA": metadata.encode()}, pins)
    package.check_complete({"a-1.dist-info/METADATA": metadata.encode()}, {"b": "1.5"})
