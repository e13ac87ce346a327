"""One JSON object a line over a Unix socket: how qemu (QMP) and its guest agent are spoken to."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

_ids = itertools.count(1)


class JsonSocket:
    """A connection that asks one thing at a time. Usable by several threads.

    Raises:
        OSError: nobody listens (yet), or no answer in time.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._received = b""
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def request(self, execute: str, timeout_s: float, **arguments: Any) -> Any:
        """What the other end returns.

        Raises:
            OSError: no answer in time, or the connection is lost.
            RuntimeError: it answers with an error.
        """
        with self._lock:
            number = next(_ids)
            question = {"execute": execute, "arguments": arguments, "id": number}
            deadline = time.monotonic() + timeout_s
            self._socket.settimeout(timeout_s)
            self._socket.sendall(json.dumps(question).encode() + b"\n")
            while True:
                answer = json.loads(self._line(deadline))
                if answer.get("id") == number:  # not a greeting, an event, or the late answer to an earlier question
                    break
        if "error" in answer:
            raise RuntimeError(f"{execute}: {answer['error'].get('desc')}")
        return answer["return"]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._received:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = self._socket.recv(1 << 20)
            if not chunk:
                raise ConnectionError("closed by the other end")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line
