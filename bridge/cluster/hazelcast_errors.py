"""What the Hazelcast client raises, for people: why in one line, and whether the cluster refused. Pure.

The exceptions of the server carry its whole stack in their text; that must reach no log line.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

from hazelcast.errors import (
    AuthenticationError,
    ClientNotAllowedInClusterError,
    HazelcastError,
    HazelcastInstanceNotActiveError,
    OperationTimeoutError,
    TargetDisconnectedError,
    is_retryable_error,
)

from bridge.model.order import printable

MOST_CHARACTERS = 300
SERVER_PREFIX = "Exception from server: "
STACK = re.compile(r"\n\s*(?:at |Caused by: ).*", re.DOTALL)
JAVA_PACKAGE = re.compile(r"\b(?:[a-z_][a-z0-9_]*\.)+(?=[A-Z])")
# What a server answers while it starts, ends or is overloaded, or members come and go: another try may do.
PASSING = (OperationTimeoutError, HazelcastInstanceNotActiveError, TargetDisconnectedError)


def is_refusal(error: BaseException) -> bool:
    """Whether the cluster answered, and the answer is no, for as long as nothing is changed there or here."""
    if isinstance(error, AuthenticationError | ClientNotAllowedInClusterError):
        return True
    passing = isinstance(error, PASSING) or is_retryable_error(error)  # type: ignore[no-untyped-call]
    return str(error).startswith(SERVER_PREFIX) and not passing


def one_line(error: BaseException) -> str:
    """Why it failed, fit for a log: the server's own words without its stack, the system's without its numbers."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        text = os.strerror(error.errno)
    else:
        text = " ".join(STACK.sub("", str(error)).split())
        if text.startswith(SERVER_PREFIX):
            text = JAVA_PACKAGE.sub("", text.removeprefix(SERVER_PREFIX))
        elif not isinstance(error, OSError | HazelcastError):
            text = f"{type(error).__name__}: {text}"
    return printable(text or type(error).__name__)[:MOST_CHARACTERS]
