"""Nothing of a test run outlives it, however it ends: no process, container, mount, folder, control group or lock.

Every process of a run has the run's folder in its environment. A process of its own waits until pytest is gone, even
if that was killed, then ends those that are left and removes the folder. Must touch nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support import download_cache, process

RUN = "TEST_RUN"  # the variable with the run's folder
GRACE_S = 10.0  # a process that was just killed is there for a moment
SWEEP_S = 30.0
CLONE_NEWNS = 0x00020000


class Watchman:
    """Waits for the end of this process. Makes the run's folder, where all temporary files go."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="scan-bridge-tests-")
        os.chmod(folder, 0o755)  # services with users of their own must get at what is theirs
        os.environ[RUN] = os.environ["TMPDIR"] = tempfile.tempdir = folder
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "support.leftovers", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "XDG_CACHE_HOME": str(download_cache.place().parent)},
            text=True,
            start_new_session=True,
        )

    def sweep(self) -> str:
        """Clear up now; the processes that were left, a line each."""
        return self._process.communicate()[0]


def keep_mounts_private() -> None:
    """Mounts made from now on are seen by this process and its children only, and are gone with the last of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def processes(folder: str, *marks: str) -> dict[int, str]:
    """The live processes of a run, with their command lines; with marks, only those that have them."""
    wanted = {f"{RUN}={folder}".encode(), *(f"{mark}=1".encode() for mark in marks)}
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(entry.name)] = command
    return found


def run_name() -> str:
    """The name of the run's folder and control groups."""
    return Path(os.environ[RUN]).name


def remove_group(group: Path) -> bool:
    """Remove a control group with those below it; false while a process is still in one."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return not group.exists()
    return True


def sweep(folder: str) -> None:
    """End the processes of a run; remove its folder, its control groups, and the locks that nobody holds any more."""
    for pid in processes(folder, process.ENDS_WITH_RUN):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait_until_gone(folder, GRACE_S, lambda pid: None)
    for pid, command in processes(folder).items():
        print(pid, command)
    _wait_until_gone(folder, SWEEP_S, lambda pid: os.kill(pid, signal.SIGKILL))
    shutil.rmtree(folder, ignore_errors=True)
    deadline = time.monotonic() + SWEEP_S
    for group in list(Path("/sys/fs/cgroup").rglob(Path(folder).name)):
        # The kernel lets go of a killed machine's processes a moment after the machine, which alone has the run's mark.
        while not remove_group(group) and time.monotonic() < deadline:
            time.sleep(0.02)
    download_cache.remove_dead_locks()


def _wait_until_gone(folder: str, deadline_s: float, encourage: Callable[[int], None]) -> None:
    deadline = time.monotonic() + deadline_s
    while (left := processes(folder)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                encourage(pid)
        time.sleep(0.02)


if __name__ == "__main__":
    sys.stdin.read()  # ends when whoever holds the other end does
    sweep(sys.argv[1])
