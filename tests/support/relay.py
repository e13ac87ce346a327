"""A door to a local port, to shut and to open: to clients the server behind it goes and comes. Or it speaks TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

from support.hazelcast_member import free_port


class Relay:
    """Passes on what clients of a port of its own and the server say to each other."""

    def __init__(self, server_port: int, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: spoken with clients; with the server plainly."""
        self.port = free_port()
        self.passed_bytes = {"to the server": 0, "to the client": 0}
        self._count = threading.Lock()
        self._server_port = server_port
        self._tls = tls
        self._door: socket.socket | None = None
        self._pipes: list[socket.socket] = []

    @property
    def address(self) -> str:
        """What clients connect to: `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    def open(self) -> None:
        """Let clients through from now on."""
        self._door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._door,), daemon=True).start()

    def shut(self) -> None:
        """Cut every connection and refuse new ones."""
        ends, self._pipes = self._pipes, []
        for end in [self._door, *ends]:
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._door = None

    def _accept(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):  # shut
            while True:
                client, _ = door.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the handshake failed, or the server is away
            near = self._tls.wrap_socket(client, server_side=True) if self._tls else client
            far = socket.create_connection(("127.0.0.1", self._server_port))
            self._pipes += [near, far]
            threading.Thread(target=self._pump, args=(far, near, "to the client"), daemon=True).start()
            self._pump(near, far, "to the server")

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                with self._count:
                    self.passed_bytes[way] += len(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
