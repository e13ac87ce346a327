"""Numbers of the Arrow format that more than one module needs.

Formats: https://github.com/apache/arrow/tree/main/format (Schema.fbs, Message.fbs, File.fbs)
"""

from enum import IntEnum


class MessageHeader(IntEnum):
    """What a message is: those that a file or a stream is made of."""

    SCHEMA = 1
    DICTIONARY_BATCH = 2
    RECORD_BATCH = 3


class MetadataVersion(IntEnum):
    """The oldest that pyarrow reads, and today's."""

    V4 = 3
    V5 = 4


class Type(IntEnum):
    """Types of fields: those that need to be told from the others."""

    DECIMAL = 7
    DATE = 8
    TIME = 9
    TIMESTAMP = 10
    UNION = 14
    UTF8_VIEW = 24
