"""A report in the terms of whoever reads it. Pure; no I/O."""
