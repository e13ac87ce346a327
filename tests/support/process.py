"""Child processes of the tests: alike however the tests were started, and gone with them.

A child begins with default signals, the usual umask, a small known environment, and a session of its own (Ctrl-C is for
pytest, which then ends it). The kernel kills it with the *thread* that started it: use threads that outlive it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# What says where things are; all else of the caller's environment is the caller's business.
KEPT = ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "JAVA_HOME", "TEST_RUN")
# What downloads need: mirrors, proxies, certificates.
DOWNLOADING = ("PIP_", "UV_", "NPM_", "MAVEN_", "SSL_CERT_", "NODE_EXTRA_CA_CERTS", "JAVA_TOOL_OPTIONS")

# Marks what ends with the run.
ENDS_WITH_RUN = "TEST_RUN_ENDS_IT"

Command = Sequence[str | Path]


def environment(*, downloads: bool = False, **changes: str) -> dict[str, str]:
    """What a child finds in its environment; with `downloads` also what leads to mirrors."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or (downloads and _leads(name))}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", **changes}


def _leads(name: str) -> bool:
    return name.startswith(DOWNLOADING) or name.lower().endswith("_proxy")


def as_anybody() -> tuple[str, ...]:
    """What to put before a command so that modes count for it, also where root runs the tests."""
    less = "-dac_override,-dac_read_search"
    return ("setpriv", "--inh-caps", less, "--bounding-set", less) if os.geteuid() == 0 else ()


def start(
    command: Command,
    *,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = subprocess.DEVNULL,
    orphaned: str = "KILL",
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start a child; to be ended by `kill`. Its errors go where its output goes unless `stderr` says otherwise.

    `orphaned` is the signal that it gets when the thread that started it ends.
    """
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", orphaned, "env", "--default-signal", *command],
        env=environment() if env is None else env,
        stdin=stdin,
        stdout=stdout,
        stderr=options.pop("stderr", subprocess.STDOUT),
        start_new_session=True,
        umask=0o022,
        **options,
    )


def start_for_the_run(command: Command, *, stdout: int | IO[Any]) -> subprocess.Popen[Any]:
    """Start what processes share that come and go: it ends with the run."""
    return start(command, env=environment(**{ENDS_WITH_RUN: "1"}), stdout=stdout, orphaned="clear")


def kill(process: subprocess.Popen[Any]) -> None:
    """End a child at once, frozen or not, with what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def run(
    command: Command,
    *,
    timeout_s: float = 60.0,
    check: bool = False,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a child to its end; what it has started is ended with it.

    Raises:
        AssertionError: it exited non-zero and `check`; the message has its output.
        subprocess.TimeoutExpired: it did not end in time; it is killed.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(command, env=env, cwd=cwd, encoding="utf-8", errors="replace", **pipes)
    try:
        stdout, stderr = process.communicate(stdin, timeout_s)
    finally:
        kill(process)
    if check and process.returncode:
        shown = shlex.join(map(str, command))
        raise AssertionError(f"{shown}: exit {process.returncode}\n{stdout[-4000:]}{stderr[-4000:]}")
    return subprocess.CompletedProcess(list(command), process.returncode, stdout, stderr)
