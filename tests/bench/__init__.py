"""Measurements of the real bridge against a real Hazelcast member: `make bench`. Nothing here is asserted."""
