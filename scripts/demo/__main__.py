"""`make demo`. What it does is in `demo`, which takes a moment to be imported: nothing to clean up until then."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from demo import main

    sys.exit(main())
