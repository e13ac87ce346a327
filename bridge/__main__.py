"""The `scan-bridge` command, also as `python -m bridge`. What it does is in `cli`, which takes a moment to be imported.

From the first moment Ctrl-C ends the process without a word, also where SIGINT was inherited as ignored, as a shell
hands it to background jobs; what has something to clean up sets handlers of its own.
"""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Entry point; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bridge import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
