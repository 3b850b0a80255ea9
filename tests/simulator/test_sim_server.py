"""The HTTP server by itself, against the standard library's client and bare sockets."""

import contextlib
import http.client
import socket

import pytest

from simulator.bodies import Body
from simulator.clock import SimulatedClock
from simulator.faults import BODY_KINDS, Fault
from simulator.server import ConnectionDroppedError, Request, Response, Server

STREAM = b"0123456789"


def application(request: Request) -> Response:
    if request.path == "/drop":
        raise ConnectionDroppedError(reset=request.query.get("reset") == "1")
    if request.path == "/stream":
        return streamed(request.query.get("fault", ""), int(request.query.get("chunk", "3")))
    text = f"{request.method} {request.path} {dict(request.query)} {request.headers.get('x-a')} {request.body!r}"
    return Response(200, text.encode(), truncated=request.path == "/half")


def streamed(kind: str, size: int) -> Response:
    """A body of ten bytes in chunks of `size`, with a fault of that kind."""
    stream = Body(len(STREAM), (STREAM[start : start + size] for start in range(0, len(STREAM), size)))
    answer = Response(206, stream=stream)
    return Fault(kind, seconds=30).apply(SimulatedClock(), answer) if kind else answer


@pytest.fixture
def server():
    server = Server(application)
    server.start()
    yield server
    server.stop()


def test_one_connection_takes_many_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.connect()
    first = connection.sock
    for body in (b"", b"x" * 200_000):
        connection.request("POST", "/a%20b?c=%2F&d=", body, headers={"X-A": " 1 "})
        expected = f"POST /a%20b {{'c': '/', 'd': ''}} 1 {body!r}"
        assert connection.getresponse().read().decode() == expected
    assert connection.sock is first


def test_a_body_may_come_in_chunks(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(2):
        connection.request("PUT", "/", iter([b"one ", b"two"]), headers={"X-A": "b"}, encode_chunked=True)
        assert connection.getresponse().read() == b"PUT / {} b b'one two'"


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(server):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n")


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("/drop", http.client.RemoteDisconnected),
        ("/drop?reset=1", ConnectionResetError),
        ("/half", http.client.IncompleteRead),
    ],
)
def test_a_connection_can_end_badly(server, target, error):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", target)
    with pytest.raises(error):
        connection.getresponse().read()


def test_a_body_may_be_made_while_it_is_sent(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for method, body in (("GET", STREAM), ("HEAD", b""), ("GET", STREAM)):
        connection.request(method, "/stream")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Length"], answer.read()) == (206, "10", body)


@pytest.mark.parametrize("chunk", [1, 3, 5, 10])
@pytest.mark.parametrize("kind", BODY_KINDS)
def test_a_body_can_be_cut_slow_or_wrong(server, kind, chunk):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", f"/stream?fault={kind}&chunk={chunk}")
    answer = connection.getresponse()
    if kind == "cut":
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        assert cut.value.partial == b"01234"
    else:
        assert answer.read() == {"slow": STREAM, "flip": b"01234\xca6789"}[kind]


@pytest.mark.parametrize("garbage", [b"hello\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: ?\r\n\r\n", b"x" * 100_000])
def test_what_is_no_http_is_hung_up_on(server, garbage):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(garbage)
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):  # when it had not read everything
            assert client.recv(1000) == b""
