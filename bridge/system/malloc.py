"""Tells the C library how to keep memory. It must not make a difference to anything but time and memory."""

from __future__ import annotations

import contextlib
import ctypes

# From malloc.h: what is freed at the end of the heap is kept up to M_TRIM_THRESHOLD bytes; a block of M_MMAP_THRESHOLD
# bytes or more does not come from the heap. Publishing a scan takes blocks of up to twice its size, so this is enough
# for scans of 10 MB (docs/performance.md has what it gains).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT_BYTES = 24 * 1024**2
LARGEST_BLOCK_BYTES = 24 * 1024**2


def keep_freed_memory() -> None:
    """Keep what one scan took for the next one: by default glibc gives blocks of this size back to the kernel when they
    are freed, and takes them anew, page by page. Call it once, at the start.
    """
    _set(M_MMAP_THRESHOLD, LARGEST_BLOCK_BYTES)
    _set(M_TRIM_THRESHOLD, KEPT_BYTES)


def share_one_arena() -> None:
    """Let all threads take memory from one place, instead of keeping some for each. Call it before there are any."""
    _set(M_ARENA_MAX, 1)


def _set(what: int, value: int) -> None:
    """Do nothing where the C library has no such settings."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(what, value)
