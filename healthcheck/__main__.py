"""The `scan-bridge-health` command, also as `python -m healthcheck`. Like `bridge.__main__`, for the same reasons."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Entry point; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from healthcheck import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
