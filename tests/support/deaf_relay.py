"""A relay that loses Hazelcast's events, and nothing else: what a member under pressure does, on purpose."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from support.hazelcast_member import free_port

# Hazelcast's client protocol 2: a message is a chain of frames; each begins with its length and flags.
_FRAME = struct.Struct("<iH")
_IS_FINAL, _IS_EVENT = 1 << 13, 1 << 9


class DeafRelay:
    """Listens on a port of its own until closed; events from the server go no further while `deaf` is set."""

    def __init__(self, server_port: int) -> None:
        self.deaf = threading.Event()
        self.lost = 0
        self._server_port = server_port
        self._ends: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", free_port()))
        self.address = f"127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        for end in (self._door, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(("127.0.0.1", self._server_port))
                self._ends += [near, far]
                threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
                threading.Thread(target=self._filter, args=(far, near), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def _filter(self, server: socket.socket, client: socket.socket) -> None:
        stream = server.makefile("rb")
        with contextlib.suppress(OSError, struct.error):  # one of them has gone
            while True:
                message, flags = bytearray(), 0
                begins_with = None
                while not flags & _IS_FINAL:
                    head = stream.read(_FRAME.size)
                    length, flags = _FRAME.unpack(head)
                    begins_with = flags if begins_with is None else begins_with
                    message += head + stream.read(length - _FRAME.size)
                if begins_with and begins_with & _IS_EVENT and self.deaf.is_set():
                    self.lost += 1
                else:
                    client.sendall(message)
