"""From findings to what people have yet to be told. Pure; no I/O, no clock."""
