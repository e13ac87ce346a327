"""Tells the C library to keep the memory that one scan took for the next one.

By default glibc gives blocks of this size back to the kernel when they are freed, and takes them anew, page by page,
for each scan. It must not make a difference to anything but time and, with scans of several megabytes, memory.
"""

from __future__ import annotations

import contextlib
import ctypes

# From malloc.h: what is freed at the end of the heap is kept up to M_TRIM_THRESHOLD bytes; a block of M_MMAP_THRESHOLD
# bytes or more does not come from the heap. Publishing a scan takes blocks of up to twice its size, so this is enough
# for scans of 10 MB (docs/performance.md has what it gains).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 24 * 1024**2
LARGEST_BLOCK_BYTES = 24 * 1024**2


def keep_freed_memory() -> None:
    """Call it once, at the start. Does nothing where the C library has no such settings."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
