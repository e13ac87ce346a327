"""Probes: each asks one source, within a deadline. They never judge."""
