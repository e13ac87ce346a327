"""Reads secrets from files. A secret never appears in an error, a log line or an argument list."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.system.files import exposed

MOST_BYTES = 65_536


class SecretError(Exception):
    """The secret cannot be used. The message names the file and the reason, never what is in it."""


def read(path: Path) -> str:
    """The file's text without its last line end.

    Raises:
        SecretError: it cannot be read, is readable by everyone, or is no text.
    """
    try:
        with path.open("rb") as file:
            problem = exposed(path, os.fstat(file.fileno()).st_mode)
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from error
    if problem:
        raise SecretError(problem)
    if len(text) > MOST_BYTES:
        raise SecretError(f"{path}: larger than {MOST_BYTES} bytes")
    try:
        return text.decode().rstrip("\n")
    except UnicodeDecodeError:
        raise SecretError(f"{path}: not UTF-8 text") from None
