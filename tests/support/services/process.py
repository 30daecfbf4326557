"""Child processes that end with their parent, and the ports they listen on.

Does not restart anything by itself and never signals a process that it did not start.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class ServiceError(RuntimeError):
    """A server that did not start, died, or missed a deadline. The text is meant for a person."""


_reservations: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now, and that no other caller gets while this process lives.

    Taken below the range that the kernel gives to outgoing connections, so that a server that is
    stopped and started again finds its port still free. What reserves it is an abstract Unix socket of its name.
    """
    for _ in range(1000):
        port = random.randrange(15000, 32000)
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                reservation.bind(f"\0naru-test-port-{port}")
                probe.bind(("127.0.0.1", port))
            except OSError:
                reservation.close()
                continue
        _reservations.append(reservation)
        return port
    raise ServiceError("no free TCP port between 15000 and 32000 on 127.0.0.1")


def free_ports(count: int) -> list[int]:
    """`count` different free ports."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log, or a note that there is none."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return f"({path}: no log)"
    return "\n".join(text.splitlines()[-lines:]) or f"({path}: empty)"


def _die_with(parent: int) -> Callable[[], None]:
    def setup() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # The parent died between fork and prctl.
            os._exit(1)

    return setup


def spawn(
    argv: Sequence[str],
    *,
    stdout: int,
    stderr: int,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a process that the kernel kills when the calling thread ends.

    So call it from the main thread only. SIGINT of the terminal does not reach the child: the
    parent decides the order of the end.
    """
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=dict(env) if env is not None else None,
        start_new_session=True,
        preexec_fn=_die_with(os.getpid()),
    )


class ServerProcess:
    """One server: a command line, a log file, and at most one running process.

    Start it again after `kill` or `stop` and it gets the same command line, so the same home.
    Does not know when the server is ready; whoever speaks its protocol does.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path, cwd: Path | None = None) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process; its output is appended to the log."""
        if self.alive():
            raise ServiceError(f"{self.name} already runs as process {self.pid}")
        with self.log.open("ab") as log:
            self._process = spawn(self.argv, stdout=log.fileno(), stderr=subprocess.STDOUT, cwd=self._cwd)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServiceError(f"{self.name} was never started")
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check_alive(self) -> None:
        """Raises with the end of the log if the process has ended."""
        if not self.alive():
            code = self._process.returncode if self._process else None
            raise ServiceError(f"{self.name} ended with {code}; the end of {self.log}:\n{tail(self.log)}")

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, silent for everybody else."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9: no shutdown hook, no flush."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        if self._process is None:
            raise ServiceError(f"{self.name} was never started")
        return self._process.wait()

    def stop(self, timeout: float = 20) -> None:
        """SIGTERM, and SIGKILL after `timeout` seconds. A paused process is resumed first."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def _signal(self, number: int) -> None:
        self.check_alive()
        assert self._process is not None
        self._process.send_signal(number)


def stop_all(servers: Sequence[ServerProcess], timeout: float = 20) -> None:
    """Stops all at once: the terms go out first, then each is waited for."""
    for server in servers:
        if server.alive():
            server.resume()
            os.kill(server.pid, signal.SIGTERM)
    for server in servers:
        server.stop(timeout)


def wait_ready(
    servers: Sequence[ServerProcess], probe: Callable[[], str | None], timeout: float, what: str
) -> None:
    """Asks `probe` until it returns None; a string says what is still missing.

    Raises with the ends of the logs when a server ends or `timeout` seconds pass.
    """
    deadline = time.monotonic() + timeout
    while True:
        for server in servers:
            server.check_alive()
        missing = probe()
        if missing is None:
            return
        if time.monotonic() > deadline:
            logs = "\n".join(f"--- {server.log}:\n{tail(server.log)}" for server in servers)
            raise ServiceError(f"{what} not ready within {timeout:.0f} s: {missing}\n{logs}")
        time.sleep(0.1)
