"""How much memory the largest scan that the configuration allows may take, and whether the unit may have it. Pure."""

from __future__ import annotations

from bridge.arrow.json_head import MOST_BYTES
from bridge.config import Config

# Measured: docs/performance.md, "Memory". Up to 60 MB of it are pages of libraries, as each kernel has it.
AT_REST_BYTES = 100_000_000
COPIES = 6  # of a scan: the content, the value, the one that it replaces, what the connection has not sent yet
TEXT_COPIES = 10  # of the longest JSON, however small the scan; 8 were seen (9 MB of doubles, 22 MB of text)


def most_bytes(config: Config) -> int:
    """What the bridge may take at the most: a scan of `max_scan_bytes` whose buffers expand to `max_decoded_bytes`.

    The history's process, if there is one, takes as much again.
    """
    source = config.source
    scan_bytes = COPIES * source.max_scan_bytes + source.max_decoded_bytes
    text_bytes = TEXT_COPIES * MOST_BYTES if config.hazelcast.value == "json" else 0
    return (AT_REST_BYTES + scan_bytes + text_bytes) * (2 if config.history.keep_s else 1)


def shortage(config: Config, limit_bytes: int | None) -> str | None:
    """What is wrong if that is more than the limit of the control group, and what to do; None if nothing is."""
    needed_bytes, source = most_bytes(config), config.source
    if limit_bytes is None or needed_bytes <= limit_bytes:
        return None
    return (
        f"a scan as large as source.max_scan_bytes = {source.max_scan_bytes} and source.max_decoded_bytes = "
        f"{source.max_decoded_bytes} allow may take {needed_bytes / 1e6:.0f} MB, but the bridge may have "
        f"{limit_bytes / 1e6:.0f} MB and would be killed: lower them, or raise MemoryMax= and MemoryHigh= of the unit"
    )
