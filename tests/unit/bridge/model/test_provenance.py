"""What a value tells of where it came from."""

from __future__ import annotations

from dataclasses import replace

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


@pytest.mark.parametrize("mtime_ns", ["-1", "0", str(-(2**63) + 1), str(2**63 - 1)])
def test_any_date_that_64_bits_hold_is_possible(mtime_ns: str) -> None:
    found = Provenance.from_metadata({**METADATA, "scan_bridge.mtime_ns": mtime_ns})
    assert found is not None
    assert found.to_metadata()["scan_bridge.mtime_ns"] == mtime_ns


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, 2**63) for name in ("mtime_ns", "size", "sequence", "published_ns")]
    + [(name, -1) for name in ("size", "sequence", "published_ns")]
    + [("mtime_ns", -(2**63))],
)
def test_what_would_not_be_read_back_cannot_be_written(name: str, number: int) -> None:
    assert Provenance.from_metadata({**METADATA, f"scan_bridge.{name}": str(number)}) is None
    with pytest.raises(ValueError, match="not possible"):
        replace(GIVEN, **{name: number})


def test_where_the_date_is_impossible_the_scan_counts_as_written_when_it_was_published() -> None:
    assert GIVEN.written_ns == GIVEN.mtime_ns
    for mtime_ns in (-1, GIVEN.published_ns + 1, 2**63 - 1):
        assert replace(GIVEN, mtime_ns=mtime_ns).written_ns == GIVEN.published_ns


def test_its_place_in_the_order_is_that_of_its_file() -> None:
    assert GIVEN.held == Held(OrderKey(1774339200123456789, "2026-03-24/scan_0815.arrow"), 1774339200125000000)


numbers = st.integers(0, 2**63 - 1)


@given(st.builds(Provenance, st.text(), st.integers(-(2**63) + 1, 2**63 - 1), numbers, numbers, numbers, st.text()))
def test_what_is_written_is_read_back(provenance: Provenance) -> None:
    assert Provenance.from_metadata(provenance.to_metadata()) == provenance
