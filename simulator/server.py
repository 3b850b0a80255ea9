"""A small threaded HTTP/1.1 server: keep-alive, one thread per connection, streamed bodies, optionally TLS.

Written by hand, since the standard library's parses each header block as an e-mail, which costs more than the
rest of a simulated call.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

MAX_HEAD = 64 * 1024
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are in lower case; `path` is as it was sent, still percent-encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    region: str | None = None  # of the endpoint that was called; None for an endpoint of every region


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that is made while it is sent. When `chunks` are fewer bytes than `length`, the connection ends there."""

    length: int  # the Content-Length
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. The answer to HEAD is sent without its body, with the length of it."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False  # Content-Length is that of the whole body, and half of it is sent
    stream: Stream | None = None  # instead of `body`


class ConnectionDroppedError(Exception):
    """The connection ends without an answer: closed (FIN), or reset (RST)."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("connection dropped")
        self.reset = reset


class Server:
    """Serves `application` on 127.0.0.1 from `start()` to `stop()`."""

    def __init__(
        self, application: Callable[[Request], Response], port: int = 0, tls: tuple[str, str] | None = None
    ) -> None:
        """Open the port; 0 takes any free one. `tls`: the paths of a certificate and its key, as PEM files."""
        self._application = application
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._stopped = False

    @property
    def url(self) -> str:
        """Return the server's URL, such as `http://127.0.0.1:40123`."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Accept connections from now on, in threads of its own."""
        threading.Thread(target=self._accept, name="simulator", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.add(connection)
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        """Answer one connection's requests until it ends."""
        plain = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            reader = _Reader(connection)
            while not self._stopped and (request := reader.request()):
                response = self._application(request)
                close = request.headers.get("connection", "").lower() == "close" or response.truncated
                connection.sendall(_encode(response, close, with_body=request.method != "HEAD"))
                is_whole = _send_stream(connection, response.stream, request.method)
                if close or not is_whole:
                    return
        except ConnectionDroppedError as drop:
            if drop.reset:  # lingering for no time makes the kernel send RST instead of FIN
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, ValueError):
            pass  # the client has closed the connection, or does not speak HTTP
        finally:
            self._connections.discard(plain)
            connection.close()


class _Reader:
    """Reads requests from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def request(self) -> Request | None:
        """Return the next request; None when the client has closed. Raise ValueError when it is not HTTP."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._receive() or len(self._buffer) > MAX_HEAD:
                return None
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        path, _, query = target.partition("?")
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Request(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, self._read_body(headers))

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read_bytes(int(headers.get("content-length") or 0))
        chunks = []
        while size := int(self._read_line(), 16):
            chunks.append(self._read_bytes(size))
            self._read_line()
        self._read_line()
        return b"".join(chunks)

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._receive():
                raise ValueError("connection ended inside a chunk")
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _read_bytes(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._receive():
                raise ValueError("connection ended inside a body")
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def _receive(self) -> bool:
        received = self._connection.recv(65536)
        self._buffer += received
        return bool(received)


def _encode(response: Response, close: bool, *, with_body: bool) -> bytes:
    length = response.stream.length if response.stream else len(response.body)
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines.append(f"Content-Length: {length}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    body = response.body[: len(response.body) // 2] if response.truncated else response.body
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body if with_body else b"")


def _send_stream(connection: socket.socket, stream: Stream | None, method: str) -> bool:
    """Send a streamed body, if there is one, and return whether it was as long as its Content-Length."""
    if stream is None:
        return True
    sent = 0
    try:
        for chunk in stream.chunks if method != "HEAD" else ():
            connection.sendall(chunk)
            sent += len(chunk)
    finally:
        if isinstance(stream.chunks, Generator):
            stream.chunks.close()  # what holds something while it is sent gives it up, wherever the sending ended
    return sent == stream.length or method == "HEAD"
