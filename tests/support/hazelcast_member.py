"""A real Hazelcast member for tests: started, stopped, killed, frozen and thawed at will.

Runs `scripts/hazelcast-local`; never a mock. A member dies with the process that started it, even if that is
killed, and by the kernel's rule even with the *thread* that started it: use threads that outlive the member.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hazelcast
from support import process, shared_classes

SCRIPT = Path(__file__).parents[2] / "scripts" / "hazelcast-local"
START_S = 60.0  # one second on an idle machine


class MemberError(Exception):
    """The member cannot run. The message says why, in one line if the setup is missing."""


class Member:
    """One member on 127.0.0.1. Its port stays the same when it is stopped and started again.

    Args:
        cluster_name: by default one that no other member has.
        members: addresses of all members of the cluster, this one included; none for a member on its own.
        port: by default a free one.
        jar: one more on the class path.
        java_options: more of them, such as `-Dhazelcast.max.no.heartbeat.seconds=5`.
        ends_with_run: with all tests of this run, instead of with this process.
    """

    def __init__(
        self,
        cluster_name: str | None = None,
        *,
        members: tuple[str, ...] = (),
        port: int | None = None,
        jar: Path | None = None,
        java_options: tuple[str, ...] = (),
        ends_with_run: bool = False,
    ) -> None:
        self.port = port or free_port()
        self.cluster_name = cluster_name or f"test-{self.port}-{_random.randrange(10**6)}"
        self._members = members
        self._jar = jar
        self._java_options = java_options
        self._ends_with_run = ends_with_run
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._clients: list[hazelcast.HazelcastClient] = []

    @property
    def address(self) -> str:
        """What clients connect to: `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running member."""
        assert self._process is not None, "the member was not started"
        return self._process.pid

    def start(self, *, wait: bool = True) -> Member:
        """Start, and unless told otherwise wait until clients can connect.

        Raises:
            MemberError: it did not become ready.
        """
        assert self._process is None, "the member is running"
        self._log.seek(0)
        self._log.truncate()
        arguments = ["--port", str(self.port), "--cluster", self.cluster_name]
        if self._members:
            arguments += ["--members", ",".join(self._members)]
        if self._jar:
            arguments += ["--jar", str(self._jar)]
        java_options = (*shared_classes.java_options(), *self._java_options)
        command = [SCRIPT, *arguments, "--", *java_options]
        start = process.start_for_the_run if self._ends_with_run else process.start
        self._process = start(command, stdout=self._log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until clients can connect.

        Raises:
            MemberError: it exited, or was not ready in time.
        """
        assert self._process is not None, "the member was not started"
        deadline = time.monotonic() + timeout_s
        while "is STARTED" not in self.log():
            exit_status = self._process.poll()
            if exit_status is not None or time.monotonic() > deadline:
                self.kill()
                reason = f"not ready in {timeout_s:g} s" if exit_status is None else f"exit status {exit_status}"
                raise MemberError(self.log().strip() or reason)
            time.sleep(0.02)

    def stop(self) -> None:
        """Let it go in good order (SIGTERM): it leaves the cluster and closes its connections."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Take it away at once (SIGKILL). Works on a frozen one too."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers, from when this returns."""
        assert self._process is not None, "the member was not started"
        self._process.send_signal(signal.SIGSTOP)
        while not self._is_frozen():
            time.sleep(0.002)  # each of its threads stops when its turn comes

    def _is_frozen(self) -> bool:
        try:
            threads = [stat.read_text() for stat in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except OSError:  # one that was just ending
            return False
        return all(thread.rpartition(") ")[2].startswith("T") for thread in threads)

    def resume(self) -> None:
        """Let a frozen one go on (SIGCONT)."""
        assert self._process is not None, "the member was not started"
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What this run of the member has written."""
        # pread, because the offset is shared with the process that writes
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def client(self) -> hazelcast.HazelcastClient:
        """A plain client, connected. Shut down by `close`, if not before."""
        client = hazelcast.HazelcastClient(
            cluster_members=[self.address], cluster_name=self.cluster_name, cluster_connect_timeout=10
        )
        self._clients.append(client)
        return client

    def rest(self) -> bool:
        """Thaw it and shut down its clients. Whether it runs on: then another test may `clear` and use it."""
        if self._has_ended():
            return False
        self.resume()
        self._shut_down_clients()
        return True

    def clear(self) -> bool:
        """Destroy all that was made in it. Whether it could be: one that was killed from outside is closed."""
        if self._has_ended():
            self.close()
            return False
        for made in self.client().get_distributed_objects():
            made.destroy()
        self._shut_down_clients()
        return True

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def close(self) -> None:
        """Shut down the clients, kill the member, drop its log."""
        self._shut_down_clients()
        self.kill()
        self._log.close()

    def _shut_down_clients(self) -> None:
        while self._clients:
            with contextlib.suppress(Exception):  # nothing that a dying client says matters here
                self._clients.pop().shutdown()

    def _end(self, by: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(by)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextlib.contextmanager
def cluster(size: int = 3) -> Iterator[list[Member]]:
    """A cluster of `size` members, formed when this returns; all of them are gone afterwards."""
    ports = [free_port() for _ in range(size)]
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    name = f"test-cluster-{ports[0]}-{_random.randrange(10**6)}"
    members = [Member(name, members=addresses, port=port) for port in ports]
    try:
        # One after the other: started together they wait for each other, and take Hazelcast longer to agree.
        for member in members:
            member.start()
        yield members
    finally:
        for member in members:
            member.close()


_reservations: list[socket.socket] = []
_random = random.SystemRandom()  # seeds are set for reproducible tests, and would give all processes the same ports


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no other test is given while this process lives.

    Taken below the kernel's range for outgoing connections (32768 and up by default): inside it, a client
    that keeps trying to reach a member which is down can end up connected to itself, and so hold the port.
    """
    while True:
        port = _random.randrange(15_000, 32_000)
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0scan-bridge-test-port-{port}")  # the kernel keeps it until the process ends
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
