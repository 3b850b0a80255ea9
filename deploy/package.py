"""Build the function's package, build/package and build/package.zip. `make package` runs it.

    wheels of deploy/constraints.txt ─► unpacked, without files that a function never needs ─┐
    handler.py, redis_backup/ ─────────► without the pipeline's command ─────────────────────┴─► compiled ─► folder, zip

The same input gives the same bytes: files are in order, have one date (SOURCE_DATE_EPOCH), and are compiled with one
hash seed. All modules that an import could need are included, since the SDKs are imported as usual if
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
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

PROJECT = Path(__file__).resolve().parents[1]
BUILD = PROJECT / "build"
PYTHON = "3.10"  # the runtime's
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")  # python3.10 of FC: glibc 2.28
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
    "cffi/*",  # cryptography uses its compiled half, _cffi_backend, alone
    "pycparser/*",
    *(f"{name}/*.so" for name in ("aiohttp", "charset_normalizer", "frozenlist", "multidict", "propcache", "yarl")),
    *("*.pyi", "*.pyx", "*.pxd", "*.pxi", "*.h", "*/py.typed", "*/tests/*", "*/.hash/*"),
    *(f"*.dist-info/{name}" for name in ("RECORD", "WHEEL", "top_level.txt", "sboms/*", "zip-safe")),
    *(f"{name}-*.dist-info/*" for name in ("alibabacloud_tea_util", "cffi", "pycparser")),
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
    direct = read_pins(PROJECT / "requirements.txt")
    if other := sorted(name for name in direct if pins.get(name) != direct[name]):
        raise PackageError(f"deploy/constraints.txt and requirements.txt disagree on {', '.join(other)}")
    files = dict(contents(wheels(pins, BUILD / "wheels"), DROPPED))
    files.update(own_files())
    check_complete(files, pins)
    new = output.with_name(f"{output.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name in sorted(files):
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(files[name])
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
    return {canonicalize_name(match[1]): match[2] for match in found.values() if match}


def wheels(pins: dict[str, str], cache: Path) -> list[Path]:
    """Return one wheel for each pin; fetch or build those that the cache does not have."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [name for name in pins if not _wheel(cache, name, pins[name])]
    ready = [f"{name}=={pins[name]}" for name in missing if name not in SOURCES]
    for name in missing:
        if name in SOURCES:
            # There are no wheels of these, or only of other versions: build exactly this version here.
            pip("wheel", "--no-deps", f"--no-binary={name}", f"--wheel-dir={cache}", f"{name}=={pins[name]}")
    if ready:
        platforms = [f"--platform={platform}" for platform in PLATFORMS]
        tags = [*platforms, f"--python-version={PYTHON}", "--implementation=cp"]
        pip("download", "--no-deps", "--only-binary=:all:", *tags, f"--dest={cache}", *ready)
    found = {name: _wheel(cache, name, pins[name]) for name in sorted(pins)}
    if absent := [name for name, wheel in found.items() if not wheel]:
        raise PackageError(f"no wheel came of {', '.join(absent)}")
    return [wheel for wheel in found.values() if wheel]


def _wheel(cache: Path, name: str, version: str) -> Path | None:
    """Return the cached wheel for the runtime or for any platform, never one for this machine's own Python."""
    for path in sorted(cache.glob("*.whl")):
        its_name, its_version, _, tags = parse_wheel_filename(path.name)
        fits = any(tag.platform == "any" or tag.platform in PLATFORMS for tag in tags)
        if (its_name, str(its_version)) == (name, version) and fits:
            return path
    return None


def pip(command: str, *arguments: str) -> None:
    """Run this Python's pip. Raise PackageError with its output if it fails."""
    say(f"pip {command} {' '.join(each for each in arguments if not each.startswith('-'))}\n")
    full = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(full, capture_output=True, text=True, check=False)  # noqa: S603 - nothing from outside
    if done.returncode:
        raise PackageError(f"pip {command} failed\n{done.stderr.strip()}")


def contents(paths: Iterable[Path], dropped: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Return the files of wheels, each with the path at which it is installed."""
    for path in paths:
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                place = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
                is_elsewhere = re.match(r"[^/]+\.data/", place)  # scripts, headers, data
                if not (name.endswith("/") or is_elsewhere or _matches(place, dropped)):
                    yield place, wheel.read(name)


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
    """Compile every module for the runtime, if its interpreter is installed. Return what was done, in words.

    `unchecked-hash`: a .pyc that is checked by date would be stale, and useless, if unpacking changes the dates.
    """
    python = find_python()
    if python is None:
        return f"not compiled: no Python {PYTHON} here, so cold starts take 2 to 3 times as long"
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/code"]
    command = [python, "-s", "-S", "-m", "compileall", *options, str(folder)]
    environ = {"PYTHONHASHSEED": "0"}  # else the order of constant sets is random
    where = Path(python).parent  # -m looks for modules there first
    done = subprocess.run(command, env=environ, cwd=where, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PackageError(f"compiling failed\n{done.stdout}{done.stderr}")
    return f"compiled by Python {PYTHON}"


def find_python() -> str | None:
    """Return an interpreter of the runtime's minor version: this one, one on PATH, pyenv's, or uv's; None for none."""
    roots = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"]
    roots.append(Path(os.environ.get("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python")).expanduser())
    candidates = [sys.executable, shutil.which(f"python{PYTHON}")]
    candidates += [str(path) for root in roots for path in sorted(root.glob(f"*{PYTHON}.*/bin/python{PYTHON}"))]
    for candidate in filter(None, candidates):
        ask = [candidate, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)  # noqa: S603
        if done.stdout.strip() == PYTHON:  # pyenv's python3.10 on PATH may be a mere pointer
            return candidate
    return None


def stamp(folder: Path) -> None:
    """Give all files and folders the same date and mode."""
    when = epoch()
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (when, when))


def epoch() -> int:
    """Return SOURCE_DATE_EPOCH, by default the first time that a zip can hold."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", datetime(1980, 1, 1, tzinfo=timezone.utc).timestamp()))


def write_zip(folder: Path) -> Path:
    """Write the folder's files, in order, into a zip beside it."""
    target = folder.with_name(f"{folder.name}.zip")
    date = datetime.fromtimestamp(max(epoch(), 315_532_800), timezone.utc).timetuple()[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
            archive.writestr(entry, path.read_bytes())
    return target


def summary(folder: Path, archive: Path, compiled: str) -> str:
    """Return the size, the number of files, the biggest parts, and a digest to compare two builds."""
    sizes: Counter[str] = Counter()
    for path in _files(folder):
        sizes[path.relative_to(folder).parts[0]] += path.stat().st_size
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    biggest = "".join(f"  {size / 1e6:6.2f} MB  {name}\n" for name, size in sizes.most_common(8))
    return (
        f"{folder}: {sum(sizes.values()) / 1e6:.1f} MB in {len(_files(folder)):,} files, {compiled}\n{biggest}"
        f"{archive}: {archive.stat().st_size / 1e6:.2f} MB, sha256 {digest}\n"
    )


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=Path.as_posix)


def say(text: str) -> None:
    """Write a string to stdout at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
