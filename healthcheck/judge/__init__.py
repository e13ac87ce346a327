"""From what was observed to findings. Pure; no I/O, no clock."""
