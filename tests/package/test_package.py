"""What is deployed is built alike each time, is complete, and works alone on the runtime's Python."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import packaging
import pytest

from redis_backup import __version__
from simulator import Cloud, Fleet, Instance

PROJECT = Path(__file__).parents[2]
LIMIT = 12_000_000  # bytes of the zip


def load_package() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_package", PROJECT / "deploy" / "package.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


package = load_package()


def build(folder: Path, python: str = sys.executable, umask: int = -1, **environ: str) -> str:
    """Build into the folder and return the summary; skip where the files are neither in the cache nor to be had."""
    command = [python, str(PROJECT / "deploy" / "package.py"), "--output", str(folder)]
    done = subprocess.run(
        command, cwd="/", env=os.environ | environ, umask=umask, capture_output=True, text=True, check=False
    )
    if re.search(r"connection|resolve|No matching distribution", done.stderr, re.IGNORECASE):
        pytest.skip(f"the files could not be fetched: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout[done.stdout.index("redis-backup ") :]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("one") / "package"
    return folder, build(folder)


@pytest.fixture
def folder(built: tuple[Path, str]) -> Path:
    return built[0]


def digests(summary: str) -> list[str]:
    """The three SHA-256 at the end of a summary: without .pyc, of all files, of the zip."""
    return re.findall(r"\b[0-9a-f]{64}\b", summary)


def other_python() -> str:
    """A Python of another minor version than this one, if there is one."""
    for minor in (10, 11, 12, 13, 14):
        python = shutil.which(f"python3.{minor}")
        if minor != sys.version_info.minor and python:
            done = subprocess.run([python, "-c", ""], capture_output=True, check=False)
            if done.returncode == 0:  # a version manager's shim may be there without its Python
                return python
    return sys.executable


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


def test_the_same_sources_give_the_same_bytes_whoever_builds(built: tuple[Path, str], tmp_path: Path) -> None:
    """With another Python, umask, folder, time zone, locale, hash seed and SOURCE_DATE_EPOCH."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "packaging").symlink_to(Path(packaging.__file__).parent)
    output = tmp_path / "another folder" / "package"
    summary = build(
        output,
        other_python(),
        0o077,
        PYTHONPATH=str(tmp_path / "library"),
        PYTHONHASHSEED="7",
        PYTHONUTF8="1",
        LC_ALL="C",
        TZ="Asia/Tokyo",
        SOURCE_DATE_EPOCH="1700000000",
    )
    assert output.with_name("package.zip").read_bytes() == built[0].with_name("package.zip").read_bytes()
    assert digests(summary) == digests(built[1])
    assert len(digests(summary)) == 3
    modes = {(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in [output, *output.rglob("*")]}
    assert modes == {(True, "0o755"), (False, "0o644")}  # Serverless Devs uploads the folder


def test_the_summary_says_what_was_made(built: tuple[Path, str]) -> None:
    folder, summary = built
    python = package.find_python()
    files = [path for path in folder.rglob("*") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    lines = summary.splitlines()
    done = f"compiled by Python {package._version(python)}" if python else "NOT compiled, since there is no Python 3.10"
    assert lines[0].startswith(f"redis-backup {__version__} for the runtime python3.10, {done}")
    assert lines[1] == f"  {folder}  {len(files):,} files, {megabytes:.1f} MB"
    pins = package.read_pins(PROJECT / "deploy" / "constraints.txt")
    shown = dict(each.replace("_", "-").split("==") for each in re.findall(r"\S+==\S+", summary))
    left_out = {"alibabacloud-tea-util", "crcmod-plus", "pycparser", "pycryptodome"}
    assert left_out < set(pins)
    assert shown == {name: version for name, version in pins.items() if name not in left_out}


def test_the_digests_are_those_of_standard_tools(built: tuple[Path, str]) -> None:
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum here")
    folder, summary = built

    def shell(condition: str) -> str:
        script = f"find . -type f {condition} | LC_ALL=C sort | xargs sha256sum | sha256sum"
        return subprocess.run(["/bin/sh", "-c", script], cwd=folder, capture_output=True, text=True, check=True).stdout[
            :64
        ]

    archive = hashlib.sha256(folder.with_name("package.zip").read_bytes()).hexdigest()
    assert digests(summary) == [shell("! -name '*.pyc'"), shell(""), archive]


def test_without_the_runtimes_python_the_sources_are_the_same_and_the_summary_says_so(
    built: tuple[Path, str], tmp_path: Path
) -> None:
    if sys.version_info[:2] == (3, 10):
        pytest.skip("this Python is the runtime's")
    nowhere = str(tmp_path / "nowhere")
    places = dict.fromkeys(("PATH", "HOME", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"), nowhere)
    summary = build(tmp_path / "package", **places)
    assert "NOT compiled, since there is no Python 3.10 here" in summary
    assert digests(summary)[0] == digests(built[1])[0] == digests(summary)[1]


class TestDownloads:
    """The files of the pins: `made` is where pip finds a small wheel, `cache` where the build keeps it."""

    NAME = "small_thing-1.0-py3-none-any.whl"

    @pytest.fixture
    def made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "index" / self.NAME
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as wheel:
            about = "small_thing-1.0.dist-info"
            wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: small-thing\nVersion: 1.0\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
        return path

    def test_a_broken_file_in_the_cache_is_fetched_again(
        self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cached = tmp_path / "cache" / self.NAME
        cached.parent.mkdir()
        cached.write_bytes(made.read_bytes()[:-9])  # as a download that was cut off
        hashes = {self.NAME: package.sha256(made.read_bytes())}
        for _ in range(2):
            assert package.downloads({"small-thing": "1.0"}, hashes, cached.parent) == [cached]
        assert cached.read_bytes() == made.read_bytes()
        assert capsys.readouterr().out == (f"{cached} is broken: it is fetched again\npip download small-thing==1.0\n")

    @pytest.mark.parametrize(
        ("hashes", "fault"),
        [
            ({NAME: "0" * 64}, f"not the files that deploy/downloads.sha256 names, though called so: {NAME}"),
            ({}, "deploy/downloads.sha256 does not have these; check and add them:\n{sha256}  " + NAME),
        ],
    )
    def test_a_file_that_is_not_known_comes_neither_into_the_package_nor_into_the_cache(
        self, hashes: dict[str, str], fault: str, made: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(package.PackageError) as refusal:
            package.downloads({"small-thing": "1.0"}, hashes, tmp_path / "cache")
        assert str(refusal.value) == fault.format(sha256=package.sha256(made.read_bytes()))
        assert list((tmp_path / "cache").iterdir()) == []

    def test_a_download_that_fails_is_told_in_pips_words(self, made: Path, tmp_path: Path) -> None:
        made.unlink()
        with pytest.raises(package.PackageError, match=r"(?s)^pip download failed\n.*No matching distribution"):
            package.downloads({"small-thing": "1.0"}, {self.NAME: "0" * 64}, tmp_path / "cache")

    def test_a_line_of_what_is_not_pinned_has_to_go(self, tmp_path: Path) -> None:
        with pytest.raises(package.PackageError, match=f"of what is not pinned, remove them: {self.NAME}"):
            package.downloads({}, {self.NAME: "0" * 64}, tmp_path / "cache")


def test_an_sdist_gives_its_modules_and_what_it_requires(tmp_path: Path) -> None:
    """Without setup.py, and without setuptools, whose versions write METADATA in different ways."""
    files = {
        "setup.py": "raise SystemExit",
        "README.md": "",
        "thing/__init__.py": "x = 1\n",
        "thing/part/data.py": "y = 2\n",
        "tests/test_thing.py": "",
        "some_thing.egg-info/PKG-INFO": "Metadata-Version: 1.1\nName: some-thing\nVersion: 1.0\n\nProse\n",
        "some_thing.egg-info/top_level.txt": "thing\n",
        "some_thing.egg-info/requires.txt": "other[all]>=2\n\n[extra]\nmore\n",
    }
    with tarfile.open(tmp_path / "some-thing-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"some-thing-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    assert dict(package.contents([tmp_path / "some-thing-1.0.tar.gz"], ())) == {
        "thing/__init__.py": b"x = 1\n",
        "thing/part/data.py": b"y = 2\n",
        "some_thing-1.0.dist-info/METADATA": (
            b"Metadata-Version: 1.1\nRequires-Dist: other[all]>=2\nName: some-thing\nVersion: 1.0\n\nProse\n"
        ),
    }


def test_a_line_that_is_no_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "downloads.sha256").write_text("# a comment\n\nabc  a-1.0.tar.gz\n")
    with pytest.raises(
        package.PackageError, match=r"downloads\.sha256: 'abc  a-1\.0\.tar\.gz' is not a line of sha256sum"
    ):
        package.read_hashes(tmp_path / "downloads.sha256")


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
    assert not top & (unwanted | {"click", "rich", "bin", "pip", "setuptools", "Crypto", "crcmod"})
    assert {"aiohttp", "alibabacloud_oss_v2", "anycrc", "async_timeout", "cryptography", "fc2", "handler.py"} <= top


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


OSS_CALLS = """
import json, os
from types import SimpleNamespace
from redis_backup.alibaba.oss import ObjectStore
from redis_backup.backoff import Deadline
from redis_backup.context import Context
from redis_backup.proof.checksums import OSS, crc64
from redis_backup.runtime import SystemClock
from redis_backup.settings import Settings
clock, settings = SystemClock(), Settings.from_environ(os.environ)
runtime = SimpleNamespace(request_id="1", region="cn-hangzhou", account_id="1234567890123456")
context = Context.from_runtime(runtime, os.environ, clock)
store = ObjectStore(settings.store, context, settings, Deadline(clock, clock.monotonic() + 60))
part = b"part" * 25_600
class Streamed:
    def __len__(self):
        return len(part)
    def __iter__(self):
        return iter([part[:1000], part[1000:]])
left, upload = store.begin_upload("left.rdb"), store.begin_upload("copy.rdb")
sent = store.upload_part("copy.rdb", upload, 1, Streamed())
store.complete_upload("copy.rdb", upload, [sent.etag])
found = store.uploads("")
store.abort_upload("left.rdb", left)
store.list()
written = [store.put("full.json", b"{}"), store.put("full.json", b"[]"), store.put("full.json", b"", overwrite=True)]
same = sent.crc64 == store.head("copy.rdb").crc64 == crc64(OSS).calc(part) and store.get("copy.rdb").content == part
loaded = sorted({"alibabacloud_oss_v2", "anycrc", "Crypto", "crcmod"} & set(sys.modules))
print(json.dumps([found == [("left.rdb", left)], [each is not None for each in written], same, loaded]))
"""


def test_oss_is_called_without_its_sdk_s_checksums_and_encryption(folder: Path) -> None:
    assert not [name for name in ("Crypto", "crcmod") if (folder / name).exists()]
    with Cloud(Fleet([]), settings={"BACKUP_STORE": "oss://backups/redis"}) as cloud:
        shown = run_alone(folder, OSS_CALLS, cloud.environ())
        called = {call.operation for call in cloud.calls}
    assert json.loads(shown) == [True, [True, False, True], True, ["alibabacloud_oss_v2", "anycrc"]]
    used = set(re.findall(r'_call\(\s*"(\w+)"', (PROJECT / "redis_backup" / "alibaba" / "oss.py").read_text()))
    assert called == used


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
