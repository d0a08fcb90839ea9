"""The WebSocket of Pulse against a server that says each frame by hand."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gnomon.serve.venue.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, Message, close_frame, frame
from gnomon.trader.pulse.sockets import Lost, Rejected, WebSocket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Talk = Callable[[socket.socket, FrameReader], None]


class Server:
    """Shakes hands with one client, then does as it is told. `heard` is what the client has said."""

    def __init__(self, talk: Talk, greeting: bytes = b"", rest: bytes = b"") -> None:
        self.heard: list[Message] = []
        self._talk, self._greeting, self._rest = talk, greeting, rest
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/x"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        client.settimeout(10)
        with client:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += client.recv(4_096)
            lines = [one.split(b": ", 1) for one in asked.split(b"\r\n") if b": " in one]
            key = next(value for name, value in lines if name.lower() == b"sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            answer = (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
            )
            client.sendall((self._greeting or answer) + self._rest)
            self._talk(client, FrameReader(1 << 24))

    def hear(self, client: socket.socket, reader: FrameReader, count: int) -> None:
        while len(self.heard) < count and (data := client.recv(65_536)):
            self.heard += reader.feed(data)

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def of(talk: Talk, **more: bytes) -> Server:
        made.append(Server(talk, **more))
        return made[-1]

    yield of
    for one in made:
        one.close()


def test_messages_arrive_however_they_are_cut(serve: Callable[..., Server]) -> None:
    sent = [b"", b"x", b"y" * 125, b"z" * 126, b"u" * 65_535, b"v" * 65_536, b"w" * 300_000]

    def talk(client: socket.socket, _: FrameReader) -> None:
        data = b"".join(map(frame, sent))
        client.sendall(data[:1])
        for at in range(1, len(data), 7_919):
            client.sendall(data[at : at + 7_919])
        first = bytes((TEXT, 2)) + b"ab"  # a message in three frames, a ping between
        client.sendall(first + frame(b"?", PING) + bytes((0, 1)) + b"c" + bytes((0x80, 1)) + b"d" + frame(b"b", BINARY))

    server = serve(talk, rest=frame(b"with the handshake"))
    one = WebSocket(server.url, 10)
    found = [one.receive(10) for _ in range(len(sent) + 3)]
    assert found == [b"with the handshake", *sent, b"abcd", b"b"]
    one.close()


def test_what_is_sent_is_masked_and_whole(serve: Callable[..., Server]) -> None:
    sent = [b"", b"hello", b"y" * 125, b"z" * 126, b"u" * 65_536]
    server = serve(lambda client, reader: server.hear(client, reader, len(sent)))
    one = WebSocket(server.url, 10)
    one.send(*sent[:2])
    one.send(*sent[2:])
    server.close()
    one.close()
    assert server.heard == [Message(TEXT, text) for text in sent]


def test_a_ping_is_answered_with_what_it_says(serve: Callable[..., Server]) -> None:
    def talk(client: socket.socket, reader: FrameReader) -> None:
        client.sendall(frame(b"17", PING) + frame(b"go"))
        server.hear(client, reader, 1)

    server = serve(talk)
    one = WebSocket(server.url, 10)
    assert one.receive(10) == b"go"
    server.close()
    one.close()
    assert server.heard == [Message(PONG, b"17")]


def test_a_goodbye_is_answered_and_ends_it_behind_what_was_said(serve: Callable[..., Server]) -> None:
    def talk(client: socket.socket, reader: FrameReader) -> None:
        client.sendall(frame(b"last") + close_frame(1001, "restart"))
        server.hear(client, reader, 1)

    server = serve(talk)
    one = WebSocket(server.url, 10)
    assert one.receive(10) == b"last"
    with pytest.raises(Lost):
        one.receive(10)
    with pytest.raises(Lost):
        one.send(b"anybody?")
    server.close()
    one.close()
    assert server.heard == [Message(CLOSE, (1001).to_bytes(2, "big"))]


def test_nothing_in_that_time_is_none(serve: Callable[..., Server]) -> None:
    done = threading.Event()
    server = serve(lambda _client, _reader: done.wait(10))
    one = WebSocket(server.url, 10)
    assert one.receive(0.01) is None
    done.set()
    server.close()
    with pytest.raises(Lost):
        one.receive(10)
    one.close()


def test_a_refusal_is_told_with_its_status_and_its_body(serve: Callable[..., Server]) -> None:
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\n"
    server = serve(lambda client, _: client.sendall(b"of this key"), greeting=head, rest=b"n")
    with pytest.raises(Rejected, match="nof this key") as refused:
        WebSocket(server.url, 10)
    assert refused.value.status == 403


def test_whoever_is_no_websocket_is_lost(serve: Callable[..., Server]) -> None:
    server = serve(lambda _client, _reader: None, greeting=b"HTTP/1.1 101 Fine\r\n\r\n")
    with pytest.raises(Lost, match="no WebSocket"):
        WebSocket(server.url, 10)
    with pytest.raises(Lost):
        WebSocket("ws://127.0.0.1:9/x", 1)
