"""A small threaded HTTP/1.1 server: keep-alive, one thread per connection, optionally TLS.

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

from simulator.bodies import Body

MAX_HEAD = 64 * 1024
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
RECEIVE_BYTES = 256 * 1024  # of a body, at a time
REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are in lower case; `path` is as it was sent, still percent-encoded.

    `stream`: the body as it arrives, if the server was told to stream it; `body` is empty then.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    region: str | None = None  # of the endpoint that was called; None for an endpoint of every region
    stream: Iterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. `stream`: a body that is made while it is sent, instead of `body`."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False  # Content-Length is that of the whole body, and half of it is sent
    stream: Body | None = None

    @property
    def content(self) -> Body:
        """Return the body, whichever it is."""
        return self.stream if self.stream is not None else Body(len(self.body), [self.body])


class ConnectionDroppedError(Exception):
    """The connection ends without an answer: closed (FIN), or reset (RST)."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("connection dropped")
        self.reset = reset


class Server:
    """Serves `application` on 127.0.0.1 from `start()` to `stop()`."""

    def __init__(
        self,
        application: Callable[[Request], Response],
        port: int = 0,
        tls: tuple[str, str] | None = None,
        streams: Callable[[Mapping[str, str]], bool] = lambda _: False,
    ) -> None:
        """Open the port; 0 takes any free one. `tls`: the paths of a certificate and its key, as PEM files.

        `streams` returns whether a request's body is a stream, from its headers.
        """
        self._application, self._streams = application, streams
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
            reader = _Reader(connection, self._streams)
            while not self._stopped and (request := reader.request()):
                response = self._application(request)
                for _ in request.stream or ():
                    pass  # what the application did not read
                if not _send(connection, request, response):
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

    def __init__(self, connection: socket.socket, streams: Callable[[Mapping[str, str]], bool]) -> None:
        self._connection, self._streams = connection, streams
        self._buffer = b""

    def request(self) -> Request | None:
        """Return the next request; None when the client has closed. Raise ValueError when it is not HTTP.

        One with both Content-Length and Transfer-Encoding is refused, as web servers do: its end is not certain.
        """
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
        if "content-length" in headers and "transfer-encoding" in headers:
            self._connection.sendall(BAD_REQUEST)
            raise ValueError("two lengths")
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        stream = self._read_body(headers)
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        if self._streams(headers):
            return Request(method, path, parameters, headers, b"", stream=stream)
        return Request(method, path, parameters, headers, b"".join(stream))

    def _read_body(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            yield from self._read_bytes(int(headers.get("content-length") or 0))
            return
        while size := int(self._read_line(), 16):
            yield from self._read_bytes(size)
            self._read_line()
        self._read_line()

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._receive():
                raise ValueError("connection ended inside a chunk")
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _read_bytes(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes, as they arrive."""
        while size:
            if self._buffer:
                body, self._buffer = self._buffer[:size], self._buffer[size:]
            elif not (body := self._connection.recv(min(size, RECEIVE_BYTES))):
                raise ValueError("connection ended inside a body")
            size -= len(body)
            yield body

    def _receive(self) -> bool:
        received = self._connection.recv(65536)
        self._buffer += received
        return bool(received)


def _send(connection: socket.socket, request: Request, response: Response) -> bool:
    """Send an answer, to HEAD without its body. Return whether the connection can be used again."""
    content = response.content
    if response.truncated:
        content = Body(content.size, [response.body[: content.size // 2]])
    keep = request.headers.get("connection", "").lower() != "close" and not response.truncated
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += [f"Content-Length: {content.size}", f"Connection: {'keep-alive' if keep else 'close'}"]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if request.method == "HEAD" or not content.size:
        connection.sendall(head)
        return keep
    sent = 0
    try:
        for chunk in content.chunks:
            connection.sendall(head + chunk if head else chunk)
            head, sent = b"", sent + len(chunk)
    finally:
        if isinstance(content.chunks, Generator):
            content.chunks.close()  # the client may have gone
    if head:  # a body that was cut before its first byte
        connection.sendall(head)
    return keep and sent == content.size
