"""The proxy of a campaign does to connections what its mode says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from fault.proxy import Proxies, Proxy
from support.services.process import free_port


class Server:
    """Sends back what it gets; `last` is its newest connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.last: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                self.last, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(self.last,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except OSError:
            pass

    def reset(self) -> None:
        """The newest connection ends as that of a killed process does."""
        assert self.last is not None
        self.last.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.last.shutdown(socket.SHUT_RD)
        self.last.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def way(server: Server) -> Iterator[tuple[Proxy, int]]:
    with Proxies() as proxies:
        port = free_port()
        yield proxies.proxy(port, server.port), port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def gone(client: socket.socket) -> bool:
    try:
        return client.recv(10) == b""
    except ConnectionError:
        return True


def test_passes_bytes_on(way: tuple[Proxy, int]) -> None:
    with connect(way[1]) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"


def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_open_again(way: tuple[Proxy, int]) -> None:
    proxy, port = way
    with connect(port) as client:
        client.sendall(b"hello")
        client.recv(10)
        proxy.mode("cut")
        assert gone(client)
    with connect(port) as client:
        assert gone(client)
    proxy.mode("open")
    test_passes_bytes_on(way)


def test_a_half_open_connection_swallows_everything_until_it_is_reset(way: tuple[Proxy, int]) -> None:
    proxy, port = way
    with connect(port) as before:
        before.sendall(b"hello")
        before.recv(10)
        proxy.mode("half-open")
        with connect(port) as later:
            for client in (before, later):
                client.settimeout(0.3)
                client.sendall(b"nobody")
                with pytest.raises(TimeoutError):
                    client.recv(10)
                client.settimeout(10)
            proxy.mode("open")
            assert gone(before) and gone(later)


def test_slow_bytes_arrive(way: tuple[Proxy, int]) -> None:
    way[0].mode("slow")
    test_passes_bytes_on(way)


def test_the_end_of_the_server_ends_the_client(way: tuple[Proxy, int], server: Server) -> None:
    with connect(way[1]) as client:
        client.sendall(b"hello")
        client.recv(10)
        server.reset()
        assert gone(client)
