"""The IPC reader: from a file's content to one valid Arrow IPC stream, its messages copied byte for byte.

It exists because pyarrow would renumber dictionaries, swap endianness and drop metadata when it writes anew, and
byte fidelity is the contract (docs/data-format.md). The price is a flatbuffer reader of our own.
"""
