"""`python -m bridge.history`. What it does is in `process`, which takes a moment to be imported."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bridge
    from bridge.history.process import serve

    serve()
