"""A small TCP proxy whose connections can be cut, slowed down or left half open.

Runs in a thread of its own; `mode` may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

_CHUNK = 64 * 1024
_SLOW_CHUNK = 4 * 1024
_SLOW_S = 0.05  # a chunk each: 80 KiB/s
MODES = ("open", "cut", "slow", "half-open")


class Proxies:
    """The thread of all proxies of a campaign. A context manager; at its end every connection is reset."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxies":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def proxy(self, listen: int, target: int) -> "Proxy":
        """A proxy from one port of 127.0.0.1 to another one."""
        made = Proxy(self._loop, target)
        asyncio.run_coroutine_threadsafe(made.listen(listen), self._loop).result(10)
        return made


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Proxy:
    """One listening port. Begins `open`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._mode = "open"
        self._server: asyncio.Server | None = None  # kept, or it would be collected and closed
        self._clients: set[asyncio.StreamWriter] = set()
        self._servers: set[asyncio.StreamWriter] = set()

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    def mode(self, mode: str) -> None:
        """`cut`: connections are reset, also new ones. `slow`: 80 KiB/s. `half-open`: the server's side is gone, the
        client's side stays and swallows everything, also of new connections, until the mode changes; then it is reset."""
        assert mode in MODES, mode
        asyncio.run_coroutine_threadsafe(self._change(mode), self._loop).result(10)

    async def _change(self, mode: str) -> None:
        before, self._mode = self._mode, mode
        if mode == "cut" or before == "half-open":
            _reset(self._clients)
        if mode in ("cut", "half-open"):
            _reset(self._servers)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            client.transport.abort()
            return
        self._clients.add(client)
        try:
            with contextlib.suppress(OSError):
                if self._mode == "half-open":
                    await self._swallow(reader)
                    return
                from_server, server = await asyncio.open_connection("127.0.0.1", self._target)
                self._servers.add(server)
                back = asyncio.ensure_future(self._copy(from_server, client))
                try:
                    await self._copy(reader, server)
                    if self._mode == "half-open":
                        await self._swallow(reader)
                finally:
                    back.cancel()
                    self._servers.discard(server)
                    server.transport.abort()
        finally:
            self._clients.discard(client)
            client.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Until the source ends, which the sink is told in the same way, or until the server's side is gone."""
        try:
            while data := await source.read(_SLOW_CHUNK if self._mode == "slow" else _CHUNK):
                if self._mode == "half-open":
                    return
                if self._mode == "slow":
                    await asyncio.sleep(_SLOW_S)
                sink.write(data)
                await sink.drain()
            if self._mode != "half-open":
                sink.write_eof()
        except OSError:
            if self._mode != "half-open":
                sink.transport.abort()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(_CHUNK):
            pass


def _reset(writers: set[asyncio.StreamWriter]) -> None:
    for writer in list(writers):
        writer.transport.abort()
