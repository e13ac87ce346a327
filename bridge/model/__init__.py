"""The nouns: order, provenance, the status entry. Pure; no I/O."""
