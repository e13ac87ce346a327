"""A TCP link to a local port that can be made slow or silent: for tests of deadlines."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time


class SlowLink:
    """Listens on 127.0.0.1 and passes everything on to `port`, each piece `delay_s` late, in both directions."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.delay_s = 0.0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> SlowLink:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for open_socket in self._sockets:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                pieces: queue.Queue[tuple[float, bytes]] = queue.Queue()
                self._run(self._read, source, pieces)
                self._run(self._write, sink, pieces)

    def _read(self, source: socket.socket, pieces: queue.Queue[tuple[float, bytes]]) -> None:
        piece = b"first"
        while piece:
            try:
                piece = source.recv(65536)
            except OSError:
                piece = b""
            pieces.put((time.monotonic() + self.delay_s, piece))

    def _write(self, sink: socket.socket, pieces: queue.Queue[tuple[float, bytes]]) -> None:
        while True:
            due_s, piece = pieces.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not piece:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(piece)

    @staticmethod
    def _run(work: object, *arguments: object) -> None:
        def quietly() -> None:
            with contextlib.suppress(OSError):  # the other side closed
                work(*arguments)  # type: ignore[operator]

        threading.Thread(target=quietly, daemon=True).start()
