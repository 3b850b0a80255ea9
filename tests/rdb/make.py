"""Write the RDB files of this folder by real servers, and run such a server.

    python -m tests.rdb.make PATH_OF_A_SERVER ...

Each server writes three files: `NAME-VERSION.rdb` with keys of all types that it has, `…-no-checksum.rdb` with the same
keys and `rdbchecksum no`, and `…-empty.rdb` with none. README.md says where the servers came from.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TEXT = "Redis writes what repeats itself in fewer bytes. " * 20
COMMANDS: tuple[tuple[Any, ...], ...] = (
    ("SET", "greeting", "hello"),
    ("SET", "binary", bytes(range(256))),
    ("SET", "number", 42),
    ("SET", "large-number", 1234567890123),
    ("SET", "compressed", TEXT),
    ("SET", "expires", "in the year 2100", "EX", 4102444800 - int(time.time())),
    ("RPUSH", "small-list", *range(5)),
    ("RPUSH", "large-list", *(f"{number}: {TEXT}" for number in range(20))),
    ("SADD", "numbers", *range(10)),
    ("SADD", "members", "one", "two", "three"),
    ("SADD", "many-members", *(f"member {number}" for number in range(600))),
    ("ZADD", "ranks", 1.5, "bronze", 2, "silver", 3, "gold"),
    ("ZADD", "large-ranks", 1, TEXT * 2, 2, "short"),
    ("HSET", "user", "name", "Ada"),
    ("HSET", "large-user", "text", TEXT * 2),
    ("PFADD", "visitors", *(f"visitor {number}" for number in range(50))),
    ("GEOADD", "places", 120.15, 30.28, "Hangzhou"),
    ("XADD", "events", "1-1", "what", "started"),
    ("XGROUP", "CREATE", "events", "readers", "0"),
    ("HEXPIRE", "user", 4102444800 - int(time.time()), "FIELDS", 1, "name"),
    ("SELECT", 3),
    ("SET", "elsewhere", "in database 3"),
)
READERS = {  # by type: the command that reads all of a key
    "string": ("GET",),
    "list": ("LRANGE", 0, -1),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    "hash": ("HGETALL",),
    "stream": ("XRANGE", "-", "+"),
}


class RefusedError(Exception):
    """The server has answered a command with an error."""


class RunningServer:
    """A server of its own, in a folder of its own, while the `with` block runs. It listens on no port."""

    def __init__(self, path: str, rdb: bytes | None = None, *options: str) -> None:
        """Set the server's path, the RDB file that it loads, and further options."""
        self._path, self._rdb, self._options = path, rdb, options

    def __enter__(self) -> RunningServer:
        self.folder = Path(tempfile.mkdtemp(prefix="rdb-"))  # short, since a socket's name may have 107 bytes
        if self._rdb is not None:
            (self.folder / "dump.rdb").write_bytes(self._rdb)
        options = [
            *("--port", "0", "--unixsocket", str(self.folder / "socket"), "--dir", str(self.folder)),
            *("--dbfilename", "dump.rdb", "--save", "", "--appendonly", "no", *self._options),
        ]
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen([self._path, *options], stdout=self._log, stderr=subprocess.STDOUT)
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder)

    def command(self, *words: Any) -> Any:
        """Send a command and return its answer: bytes, a number, a list or None. Raise RefusedError for an error."""
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)]
        self._socket.sendall(b"".join(parts))
        return self._answer()

    def save(self) -> bytes:
        """Return the RDB file that the server writes of its keys."""
        self.command("SAVE")
        return (self.folder / "dump.rdb").read_bytes()

    def keys(self) -> dict[tuple[int, bytes], tuple[bytes, Any]]:
        """Return the type and the value of each key, by database and key."""
        found: dict[tuple[int, bytes], tuple[bytes, Any]] = {}
        for database in range(16):
            self.command("SELECT", database)
            for key in self.command("KEYS", "*"):
                kind = self.command("TYPE", key)
                name, *more = READERS[kind.decode()]
                value = self.command(name, key, *more)
                found[database, key] = (kind, sorted(value) if kind in (b"set", b"hash") else value)
        return found

    def _connect(self) -> None:
        """Wait until the server has loaded its file. Raise RuntimeError, with its log, when it ends instead."""
        while True:
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(errors="replace"))
            try:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.connect(str(self.folder / "socket"))
                self._file = self._socket.makefile("rb")
                self.command("PING")
                return
            except (OSError, RefusedError):  # it does not listen yet, or is loading
                self._socket.close()
                time.sleep(0.01)

    def _answer(self) -> Any:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RefusedError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        if kind != b"+":
            raise OSError(f"not an answer: {line!r}")
        return rest


def version_of(path: str) -> tuple[str, str]:
    """Return a server's name and version: `Redis server v=7.0.15 sha=…` → `("redis", "7.0.15")`."""
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.match(r"(\w+) server v=([\d.]+)", text)
    if not match:
        raise RuntimeError(f"{path} is no server: {text}")
    return match[1].lower(), match[2]


def fill(server: RunningServer) -> None:
    """Write keys of all types that the server has."""
    for command in COMMANDS:
        try:
            server.command(*command)
        except RefusedError as error:
            print(f"  {command[0]} {command[1]}: {error}")  # noqa: T201 the command's output
    server.command("SELECT", 0)


def main() -> None:
    """Write the files of each server that the arguments name."""
    for path in sys.argv[1:]:
        name = "-".join(version_of(path))
        print(name)  # noqa: T201 the command's output
        for suffix, options in (("", ()), ("-no-checksum", ("--rdbchecksum", "no"))):
            with RunningServer(path, None, *options) as server:
                fill(server)
                (FOLDER / f"{name}{suffix}.rdb").write_bytes(server.save())
        with RunningServer(path) as server:
            (FOLDER / f"{name}-empty.rdb").write_bytes(server.save())


if __name__ == "__main__":
    main()
