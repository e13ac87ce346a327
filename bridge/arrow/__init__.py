"""The IPC reader: from a file's content to one valid Arrow IPC stream, its messages copied byte for byte.

It exists because pyarrow would renumber dictionaries, swap endianness and drop metadata when it writes anew, and
byte fidelity is the contract (docs/data-format.md). The price is a flatbuffer reader of our own. So pyarrow has the
last word: nothing passes that it does not read from the very same bytes.

    kinds       what a file is that is no Arrow
    flatbuffer  tables and vectors, every position checked
    messages    the encapsulated messages of a file or a stream
    schema      the schema's metadata, read and extended; what its fields are
    limits      what a scan costs to decode, before anything is decoded
    metadata    what a stream says of itself
    verify      pyarrow decodes the original
    scan        all of it: `parse`
    json_form   a scan as JSON, and json_head what it says of itself

Nothing is imported here, since `metadata` is asked for by programs that need no pyarrow.
"""
