"""Build the function's package, build/package and build/package.zip. `make package` runs it.

    files of deploy/downloads.sha256 ─► unpacked, without files that a function never needs ─┐
    handler.py, redis_backup/ ─────────► without the pipeline's command ─────────────────────┴─► compiled ─► folder, zip

The same sources give the same package, whoever builds it, with whatever Python, in whatever folder, zone and locale:
each download has its known hash and is unpacked here, nothing is built by a version of setuptools, files are in order,
have one date and one mode, and are compiled with one hash seed. Two things can still differ, and the summary has a
digest without each: `.pyc` files of another Python 3.10.x, or none, and the zip of another zlib.

All modules that an import could need are included, since the SDKs are imported as usual if
`redis_backup.alibaba.lazy_sdk` cannot make an import lazy. C extensions that only asynchronous calls use are left out:
each has a fallback in Python.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[1]
BUILD = PROJECT / "build"
HASHES = "deploy/downloads.sha256"
PYTHON = "3.10"  # the runtime's
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")  # python3.10 of FC: glibc 2.28
DATE = (1980, 1, 1, 0, 0, 0)  # of every file: the first that a zip can hold
DATE_SECONDS = 315_532_800  # the same in seconds since 1970
# Published as source alone: with wheels only, pip finds no aliyun-fc2, and silently an old alibabacloud-tea.
SOURCES = ("alibabacloud-tea", "aliyun-fc2")
TARGET = {  # the runtime for which pip's markers are evaluated, instead of this machine
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.13",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "sys_platform": "linux",
    "os_name": "posix",
    "extra": "",
}
DROPPED = (
    "alibabacloud_tea_util/*",  # named by tea-openapi's metadata; nothing imports it
    *("Crypto/*", "crcmod/*"),  # for the OSS SDK's client-side encryption, and its own CRC check, which is switched off
    # Its client imports none of these: it goes on without the first two; others are asynchronous, or other clients.
    *("alibabacloud_oss_v2/crypto/*", "alibabacloud_oss_v2/encryption_client.py"),
    *(f"alibabacloud_oss_v2/{name}/*" for name in ("agentic", "aio", "dataprocess", "tables", "vectors")),
    "cffi/*",  # cryptography uses its compiled half, _cffi_backend, alone
    "pycparser/*",
    *(f"{name}/*.so" for name in ("aiohttp", "charset_normalizer", "frozenlist", "multidict", "propcache", "yarl")),
    *("*.pyi", "*.pyx", "*.pxd", "*.pxi", "*.c", "*.h", "*/py.typed", "*/tests/*", "*/.hash/*"),
    *(f"*.dist-info/{name}" for name in ("RECORD", "WHEEL", "top_level.txt", "sboms/*", "zip-safe")),
    *(f"{name}-*.dist-info/*" for name in ("alibabacloud_tea_util", "crcmod_plus", "pycparser", "pycryptodome")),
)
OWN_DROPPED = ("redis_backup/__main__.py", "*/__pycache__/*")


class PackageError(Exception):
    """The package cannot be built; the message says why."""


def main() -> None:
    """Build the package into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=BUILD / "package", help="folder; the zip is put beside it")
    output: Path = parser.parse_args().output.resolve()
    try:
        say(build(output))
    except PackageError as error:
        raise SystemExit(f"package: {error}") from None


def build(output: Path) -> str:
    """Build the folder and the zip; return a summary. Raise PackageError."""
    pins = read_pins(PROJECT / "deploy" / "constraints.txt")
    hashes = read_hashes(PROJECT / HASHES)
    direct = read_pins(PROJECT / "requirements.txt")
    if other := sorted(name for name in direct if pins.get(name) != direct[name]):
        raise PackageError(f"deploy/constraints.txt and requirements.txt disagree on {', '.join(other)}")
    files = dict(contents(downloads(pins, hashes, BUILD / "downloads"), DROPPED))
    files.update(own_files())
    check_complete(files, pins)
    new = output.with_name(f"{output.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name, content in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(content)
    compiled = compile_all(new)
    stamp(new)
    shutil.rmtree(output, ignore_errors=True)
    new.rename(output)
    return summary(output, write_zip(output), compiled)


def read_pins(path: Path) -> dict[str, str]:
    """Read a file of pins: `tea==1.2` → `{"tea": "1.2"}`. Raise PackageError at any other line."""
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found = {line: re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)", line) for line in lines if line}
    if bad := [line for line, match in found.items() if not match]:
        raise PackageError(f"{path.name}: {bad[0]!r} is not NAME==VERSION")
    return {canonicalize_name(match[1]): str(Version(match[2])) for match in found.values() if match}


def read_hashes(path: Path) -> dict[str, str]:
    """Read what sha256sum wrote, and comments: `6e34…  tea-1.2.tar.gz` → `{"tea-1.2.tar.gz": "6e34…"}`.

    Raise PackageError at any other line.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found = {line: re.fullmatch(r"([0-9a-f]{64})  (\S+)", line) for line in lines}
    if bad := [line for line, match in found.items() if not match]:
        raise PackageError(f"{path.name}: {bad[0]!r} is not a line of sha256sum")
    return {match[2]: match[1] for match in found.values() if match}


def downloads(pins: Mapping[str, str], hashes: Mapping[str, str], cache: Path) -> list[Path]:
    """Return the file of each pin, a wheel or an sdist; fetch those that the cache does not have, or has broken.

    `hashes`: the SHA-256 of each file, by its name. Raise PackageError unless these are the files of the pins.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = {_release(name): name for name in hashes}
    known = {release: cache / names[release] for release in pins.items() if release in names}
    intact = [release for release, path in known.items() if _is_intact(path, hashes[path.name])]
    if missing := ["==".join(release) for release in pins.items() if release not in intact]:
        fetch(missing, hashes, cache)
    if stale := [names[release] for release in names if release not in known]:
        raise PackageError(f"{HASHES} has lines of what is not pinned, remove them: {', '.join(stale)}")
    return sorted(known.values())


def _is_intact(path: Path, known_hash: str) -> bool:
    content = path.read_bytes() if path.exists() else None
    if content is not None and sha256(content) != known_hash:
        say(f"{path} is broken: it is fetched again\n")
        return False
    return content is not None


def fetch(releases: Iterable[str], hashes: Mapping[str, str], cache: Path) -> None:
    """Fetch releases such as `tea==1.2` into the cache. Raise PackageError for a file whose hash is not known.

    A file comes into the cache whole, or not at all.
    """
    tags = [f"--platform={each}" for each in PLATFORMS] + [f"--python-version={PYTHON}", "--implementation=cp"]
    only = ["--only-binary=:all:", f"--no-binary={','.join(SOURCES)}"]
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        pip("download", "--no-deps", *tags, *only, f"--dest={folder}", *releases)
        found = {path: sha256(path.read_bytes()) for path in sorted(Path(folder).iterdir())}
        if wrong := [path.name for path in found if hashes.get(path.name, found[path]) != found[path]]:
            raise PackageError(f"not the files that {HASHES} names, though called so: {', '.join(wrong)}")
        if new := [f"{found[path]}  {path.name}" for path in found if path.name not in hashes]:
            raise PackageError("\n".join([f"{HASHES} does not have these; check and add them:", *new]))
        for path in found:
            path.replace(cache / path.name)


def _release(name: str) -> tuple[str, str]:
    """Return what a file has: `typing_extensions-4.16.0-py3-none-any.whl` → `("typing-extensions", "4.16.0")`."""
    release = parse_wheel_filename(name)[:2] if name.endswith(".whl") else parse_sdist_filename(name)
    return release[0], str(release[1])


def pip(command: str, *arguments: str) -> None:
    """Run this Python's pip. Raise PackageError with its output if it fails."""
    say(f"pip {command} {' '.join(each for each in arguments if not each.startswith('-'))}\n")
    full = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(full, capture_output=True, text=True, check=False)  # noqa: S603 - nothing from outside
    if done.returncode:
        raise PackageError(f"pip {command} failed\n{done.stderr.strip()}")


def contents(paths: Iterable[Path], dropped: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Return the files of wheels and sdists, each with the path at which it is installed."""
    for path in paths:
        for name, content in wheel_files(path) if path.suffix == ".whl" else sdist_files(path):
            if not _matches(name, dropped):
                yield name, content


def wheel_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return the files of a wheel, without scripts, headers and data."""
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            place = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
            if not (name.endswith("/") or re.match(r"[^/]+\.data/", place)):
                yield place, wheel.read(name)


def sdist_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return the modules of an sdist of pure Python, and its PKG-INFO as METADATA, with what it requires.

    No wheel is built from it: that would be another one with each version of setuptools.
    """
    base, (name, version) = path.name.removesuffix(".tar.gz"), _release(path.name)
    with tarfile.open(path) as archive:
        opened = {each.name.removeprefix(f"{base}/"): archive.extractfile(each) for each in archive.getmembers()}
        files = {place: file.read() for place, file in opened.items() if file}
    (about,) = (place.removesuffix("PKG-INFO") for place in files if place.endswith(".egg-info/PKG-INFO"))
    tops = files[f"{about}top_level.txt"].decode().split()
    yield from ((place, files[place]) for place in files if place.partition("/")[0] in tops and place.endswith(".py"))
    requires = files[f"{about}requires.txt"].decode().partition("\n[")[0].splitlines()  # then come those of extras
    first, _, rest = files[f"{about}PKG-INFO"].decode().partition("\n")
    metadata = "\n".join([first, *(f"Requires-Dist: {each}" for each in requires if each), rest])
    yield f"{name.replace('-', '_')}-{version}.dist-info/METADATA", metadata.encode()


def own_files() -> Iterator[tuple[str, bytes]]:
    """Return the files of the function itself."""
    for path in [PROJECT / "handler.py", *(PROJECT / "redis_backup").rglob("*.py")]:
        name = path.relative_to(PROJECT).as_posix()
        if not _matches(name, OWN_DROPPED):
            yield name, path.read_bytes()


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def check_complete(files: dict[str, bytes], pins: dict[str, str]) -> None:
    """Raise PackageError if a package requires another one that is not pinned, or is pinned in a wrong version."""
    errors = []
    for name in files:
        if name.endswith(".dist-info/METADATA"):
            header = files[name].decode().partition("\n\n")[0]
            for text in re.findall(r"^Requires-Dist: (.+)$", header, re.MULTILINE):
                wanted = Requirement(text)
                if wanted.marker and not wanted.marker.evaluate(TARGET):
                    continue
                version = pins.get(canonicalize_name(wanted.name))
                if version is None or version not in wanted.specifier:
                    errors.append(f"{name.partition('-')[0]} requires {wanted}, but {version or 'none'} is pinned")
    if errors:
        raise PackageError("deploy/constraints.txt: " + "; ".join(errors))


def compile_all(folder: Path) -> str:
    """Compile every module for the runtime, if its interpreter is installed. Return its version, or an empty string.

    `unchecked-hash`: a .pyc that is checked by date would be stale, and useless, if unpacking changes the dates.
    """
    python = find_python()
    if python is None:
        return ""
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/code"]
    command = [python, "-s", "-S", "-m", "compileall", *options, str(folder)]
    environ = {"PYTHONHASHSEED": "0"}  # else the order of constant sets is random
    where = Path(python).parent  # -m looks for modules there first
    done = subprocess.run(command, env=environ, cwd=where, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PackageError(f"compiling failed\n{done.stdout}{done.stderr}")
    return _version(python)


def find_python() -> str | None:
    """Return an interpreter of the runtime's minor version: this one, one on PATH, pyenv's, or uv's; None for none."""
    roots = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"]
    roots.append(Path(os.environ.get("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python")).expanduser())
    candidates = [sys.executable, shutil.which(f"python{PYTHON}")]
    candidates += [str(path) for root in roots for path in sorted(root.glob(f"*{PYTHON}.*/bin/python{PYTHON}"))]
    for candidate in filter(None, candidates):
        if _version(candidate).startswith(f"{PYTHON}."):  # pyenv's python3.10 on PATH may be a mere pointer
            return candidate
    return None


def _version(python: str) -> str:
    """Return an interpreter's version, such as `3.10.13`; empty if it cannot be started."""
    ask = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def stamp(folder: Path) -> None:
    """Give all files and folders the same date and mode."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (DATE_SECONDS, DATE_SECONDS))


def write_zip(folder: Path) -> Path:
    """Write the folder's files, in order, into a zip beside it."""
    target = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), DATE)
            entry.external_attr, entry.create_system = 0o100644 << 16, 3
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def summary(folder: Path, archive: Path, compiled: str) -> str:
    """Return what the package has, and digests to compare two builds. `compiled`: the version of Python that did it."""
    files = _files(folder)
    sizes: Counter[str] = Counter()
    for path in files:
        sizes[path.relative_to(folder).parts[0]] += path.stat().st_size
    packages = [path.name.removesuffix(".dist-info").replace("-", "==") for path in folder.glob("*.dist-info")]
    largest = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.most_common(4))
    done = f"compiled by Python {compiled}" if compiled else f"NOT compiled, since there is no Python {PYTHON} here"
    return f"""\
redis-backup {own_version(folder)} for the runtime python{PYTHON}, {done}
  {folder}  {len(files):,} files, {sum(sizes.values()) / 1e6:.1f} MB
  {archive}  {archive.stat().st_size / 1e6:.2f} MB{"" if compiled else "; cold starts take 2 to 3 times as long"}
{textwrap.fill("with " + " ".join(sorted(packages)), 120, subsequent_indent="  ", break_on_hyphens=False)}
largest: {largest}
SHA-256, the same for all who build these sources
  without .pyc  {digest(folder, (path for path in files if path.suffix != ".pyc"))}
  all files     {digest(folder, files)}  with .pyc of the same Python
  zip           {sha256(archive.read_bytes())}  and the same zlib
"""


def own_version(folder: Path) -> str:
    """Return the function's version, which `redis_backup/__init__.py` has."""
    text = (folder / "redis_backup" / "__init__.py").read_text(encoding="utf-8")
    return "".join(re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE))


def digest(folder: Path, files: Iterable[Path]) -> str:
    """Return one SHA-256 of files and their names.

    It is that of `cd FOLDER && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum`.
    """
    lines = (f"{sha256(path.read_bytes())}  ./{path.relative_to(folder).as_posix()}\n" for path in files)
    return sha256("".join(lines).encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=Path.as_posix)


def say(text: str) -> None:
    """Write a string to stdout at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
