"""What the log says of a scan: a line each, with the fields that `journalctl SCAN_PATH=…` finds. Decides nothing."""

from __future__ import annotations

import logging
import time

from bridge.cluster.publisher import Published
from bridge.model.order import ScanFile, how_misdated, printable

log = logging.getLogger(__name__)


def published(scan: Published) -> None:
    """The scan is in the map."""
    file, sequence, lag_ms = scan.file, scan.provenance.sequence, scan.lag_ms
    log.info(
        "published %s as %d: %d rows, %d bytes, lag %.1f ms", file.path, sequence, scan.rows, scan.bytes,
        lag_ms, extra=_fields(file, SEQUENCE=sequence, ROWS=scan.rows, LAG_MS=round(lag_ms, 3)),
    )  # fmt: skip


def redated(file: ScanFile, seemed_s: float) -> None:
    """The held scan seemed so much newer than it is."""
    log.info("corrected the time of %s in the map: it is %.1f s older", file.path, seemed_s, extra=_fields(file))


def late_times(file: ScanFile, seemed_s: float) -> None:
    """That the producer sets times late, and the cure. To be said once."""
    log.warning(
        "the producer set the time of %s only after closing it: until then the scan seemed %.1f s newer than "
        "it is, and hid what was newer; scp -p, rsync --inplace and shutil.copy2 do so; let it write under a "
        "hidden name, set the time, then rename", file.path, seemed_s, extra=_fields(file),
    )  # fmt: skip


def other_content(file: ScanFile) -> None:
    """The file of the held scan was changed, and is not newer."""
    log.warning(
        "%s has other content by now, but not a later time, so it is not published; give what is corrected a "
        "later modification time (touch), or another name", file.path, extra=_fields(file),
    )  # fmt: skip


def skipped(file: ScanFile) -> None:
    """A newer scan was there first."""
    log.debug("skipped %s: overtaken by a newer scan", printable(file.path), extra=_fields(file))


def vanished(file: ScanFile) -> None:
    """The file was gone when its turn came."""
    log.warning("%s vanished before it could be read", file.path, extra=_fields(file))


def misdated(file: ScanFile) -> None:
    """The file's date is impossible."""
    log.warning(
        "%s is dated %s; check the clocks of the producer and of this host (it does not hold up scans with a "
        "possible date)", printable(file.path), how_misdated(file.mtime_ns, time.time_ns()), extra=_fields(file),
    )  # fmt: skip


def bad(file: ScanFile, reason: str) -> None:
    """The file is no whole, valid scan."""
    log.error(
        "bad scan %s: %s (%d bytes); it is left alone until it changes", printable(file.path), reason, file.size,
        extra=_fields(file, REASON=reason),
    )  # fmt: skip


def _fields(file: ScanFile, **more: object) -> dict[str, dict[str, object]]:
    return {"fields": {"SCAN_PATH": printable(file.path), "SCAN_BYTES": file.size, **more}}
