"""The processes of the demo: started, watched, and ended whatever happens."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

STOP_S = 5.0  # after which a piece that does not stop is killed


class DemoError(Exception):
    """The demo cannot go on. The message says which piece failed, with the end of its log."""


class Piece:
    """One process of the demo, in a session of its own so that Ctrl-C reaches the demo only; it dies with the demo."""

    def __init__(self, name: str, folder: Path, *command: str | Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own commands
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """Raise DemoError if it has ended by itself."""
        if (status := self.process.poll()) is not None:
            raise DemoError(f"{self.name} ended by itself, exit status {status}\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log, each line marked as its own."""
        return "\n".join(f"  {self.name}: {line}" for line in self.log().splitlines()[-15:])

    def freeze(self) -> None:
        """Stop it in its tracks: the process stays, and does nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it without a chance to clean up; frozen is fine too."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it: asked first, then made to. Frozen or already ended are fine too."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
