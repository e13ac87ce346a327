"""What a value tells of where it came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.order import Held, OrderKey
from bridge.model.provenance import Provenance

GIVEN = Provenance(
    source="2026-03-24/scan_0815.arrow",
    mtime_ns=1774339200123456789,
    size=100_000,
    sequence=42,
    published_ns=1774339200125000000,
    bridge="host-1",
)
METADATA = {
    "scan_bridge.source": "2026-03-24/scan_0815.arrow",
    "scan_bridge.mtime_ns": "1774339200123456789",
    "scan_bridge.size": "100000",
    "scan_bridge.sequence": "42",
    "scan_bridge.published_ns": "1774339200125000000",
    "scan_bridge.bridge": "host-1",
}


def test_it_is_written_under_the_keys_that_consumers_rely_on() -> None:
    assert GIVEN.to_metadata() == METADATA


def test_it_is_read_among_the_producers_own_metadata() -> None:
    assert Provenance.from_metadata({"producer": "x", **METADATA, "scan_bridge.more": "of a newer bridge"}) == GIVEN


@pytest.mark.parametrize("key", METADATA)
def test_without_any_one_key_no_bridge_wrote_it(key: str) -> None:
    assert Provenance.from_metadata({name: value for name, value in METADATA.items() if name != key}) is None


@pytest.mark.parametrize("key", ["mtime_ns", "size", "sequence", "published_ns"])
@pytest.mark.parametrize("value", ["", "x", "1.5", "1" * 5000])
def test_what_is_no_number_was_written_by_no_bridge(key: str, value: str) -> None:
    assert Provenance.from_metadata({**METADATA, f"scan_bridge.{key}": value}) is None


def test_its_place_in_the_order_is_that_of_its_file() -> None:
    assert GIVEN.held == Held(OrderKey(1774339200123456789, "2026-03-24/scan_0815.arrow"), 1774339200125000000)


numbers = st.integers(0, 2**63 - 1)


@given(st.builds(Provenance, st.text(), numbers, numbers, numbers, numbers, st.text()))
def test_what_is_written_is_read_back(provenance: Provenance) -> None:
    assert Provenance.from_metadata(provenance.to_metadata()) == provenance
