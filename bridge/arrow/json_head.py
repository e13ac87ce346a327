"""The head of a scan as JSON: where it came from, read without the rest, and without pyarrow."""

from __future__ import annotations

import json
from typing import Any

HEAD = '{"scan_bridge":'  # stands first
# The bridge holds memory_need.TEXT_COPIES of it, and the unit is given little; the member several: one with 256 MB of
# heap ended the connection over documents of 41 MB in a row, one with 4 GB did not.
MOST_BYTES = 24 * 1024**2


def read_provenance(form: str) -> dict[str, Any] | None:
    """What stands under `scan_bridge` in a `json_form.document`, without reading the columns; None if it is none."""
    if not form.startswith(HEAD):
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(form, len(HEAD))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
