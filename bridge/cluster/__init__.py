"""Hazelcast: the connection, and putting a scan into the map."""
