"""The rules, one file each. Pure; no I/O, no clock."""
