"""How much memory the largest scan that the configuration allows may take, and whether the unit may have it. Pure."""

from __future__ import annotations

from bridge.config import Source

# Measured: docs/performance.md, "Memory".
AT_REST_BYTES = 90_000_000
COPIES = 6  # of a scan: the content, the value, the one that it replaces, what the connection has not sent yet


def most_bytes(source: Source) -> int:
    """What the bridge may take at the most: a scan of `max_scan_bytes` whose buffers expand to `max_decoded_bytes`."""
    return AT_REST_BYTES + COPIES * source.max_scan_bytes + source.max_decoded_bytes


def shortage(source: Source, limit_bytes: int | None, processes: int = 1) -> str | None:
    """What is wrong if that is more than the limit of the control group, and what to do; None if nothing is.

    `processes`: the bridge's, and that of the history, if there is one.
    """
    needed_bytes = most_bytes(source) * processes
    if limit_bytes is None or needed_bytes <= limit_bytes:
        return None
    return (
        f"a scan as large as source.max_scan_bytes = {source.max_scan_bytes} and source.max_decoded_bytes = "
        f"{source.max_decoded_bytes} allow may take {needed_bytes / 1e6:.0f} MB, but the bridge may have "
        f"{limit_bytes / 1e6:.0f} MB and would be killed: lower them, or raise MemoryMax= and MemoryHigh= of the unit"
    )
