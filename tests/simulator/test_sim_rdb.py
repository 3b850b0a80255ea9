"""RDB files: those that real servers wrote, and generated ones, which real servers load."""

import shutil
from pathlib import Path

import anycrc
import pytest

from simulator.rdb import noise_file, rdb_file
from tests.rdb.make import RunningServer, version_of

FILES = sorted(Path(__file__).parents[1].glob("rdb/*.rdb"))
SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
MAX_VERSIONS = {"2": 6, "3": 7, "4": 8, "5": 9, "6": 9, "7": 10}  # of the format, by the server's first digit
CRC = anycrc.Model("CRC64-REDIS")
needs_server = pytest.mark.skipif(
    SERVER is None, reason="no redis-server on this machine: RDB files are not loaded here"
)


def loadable():
    """The files that are not of a later version than the server."""
    if SERVER is None:
        return FILES
    latest = MAX_VERSIONS.get(version_of(SERVER)[1][0], 11)
    return [file for file in FILES if (data := file.read_bytes())[:5] == b"REDIS" and int(data[5:9]) <= latest]


def whole(file):
    return b"".join(file.read(0, file.size))


def checksum(data):
    return int.from_bytes(data[-8:], "little")


def test_there_are_files_of_many_servers():
    assert len(FILES) >= 24
    versions = {file.name.split(".")[0] for file in FILES}
    assert versions == {"redis-2", "redis-3", "redis-5", "redis-6", "redis-7", "redis-8", "valkey-8", "valkey-9"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_real_servers_write_is_what_the_simulator_makes(file):
    data = file.read_bytes()
    magic = b"VALKEY080" if "valkey-9" in file.name else b"REDIS00"
    assert (data.startswith(magic), data[:9][-2:].isdigit(), data[-9]) == (True, True, 0xFF)
    assert checksum(data) == (0 if "no-checksum" in file.name else CRC.calc(data[:-8]))
    assert CRC.calc(data) == 0 or "no-checksum" in file.name  # that of a sound file, its own checksum included
    assert len(data) < (100 if "empty" in file.name else 10_000)


@needs_server
@pytest.mark.parametrize("file", loadable(), ids=lambda file: file.stem)
def test_a_server_loads_what_servers_wrote(file):
    with RunningServer(SERVER, file.read_bytes()) as server:
        keys = server.keys()
    assert (len(keys) > 15, (3, b"elsewhere") in keys) == (("empty" not in file.name,) * 2)


@needs_server
@pytest.mark.parametrize(
    ("options", "large"),
    [
        ({}, 0),
        ({"size": 100_000}, 1),
        ({"size": 3_000_000}, 3),
        ({"size": 5000, "checksum": False}, 1),
        ({"version": 4}, 0),
        ({"version": 6, "size": 5000}, 1),
        ({"version": 7}, 0),
    ],
    ids=str,
)
def test_a_server_loads_generated_files(options, large):
    with RunningServer(SERVER, whole(rdb_file("r-1/10000/0", **options))) as server:
        keys = {key.split(b":")[1]: value for (_, key), value in server.keys().items()}
    small = {
        b"greeting": (b"string", b"hello"),
        b"counter": (b"string", b"42"),
        b"queue": (b"list", [b"first", b"second"]),
        b"members": (b"set", [b"one"]),
        b"ranks": (b"zset", [b"gold", b"1"]),
        b"user": (b"hash", sorted([b"name", b"Ada", b"id", b"7"])),
    }
    assert {key: value for key, value in keys.items() if key in small} == small
    assert len(keys) - len(small) == large
    numbered = [value for key, (_, value) in keys.items() if key.isdigit()]
    assert [len(value) for value in numbered] == [1_048_576] * (large - 1 if large else 0)


@needs_server
def test_a_server_refuses_a_damaged_file():
    """It is the checksum that tells: `flip` changes nothing but a value."""
    data = bytearray(whole(rdb_file("seed", 5000)))
    data[4000] ^= 1
    with pytest.raises(RuntimeError, match=r"(?i)checksum|crc"), RunningServer(SERVER, bytes(data)):
        pass


def test_a_file_without_a_format_is_of_the_size_that_was_asked_for():
    for size in (0, 5, 32, 3_000_000):
        data = whole(noise_file("seed", size))
        assert (len(data), data[:5] == b"REDIS") == (size, False)
