"""What importing `bridge.consumer` brings into a strategy's process, and what its settings refuse."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from support import process

import bridge.consumer
from bridge.consumer import Settings

IMPORTING = """
import sys
import hazelcast.asyncio, pyarrow
from hazelcast.serialization.serializer import PythonObjectSerializer
before, read = set(sys.modules), PythonObjectSerializer.read
import bridge.consumer
assert PythonObjectSerializer.read is read, "the library was changed for the whole process"
print(*set(sys.modules) - before)
"""


def test_importing_brings_nothing_but_hazelcast_and_pyarrow_and_changes_neither() -> None:
    done = process.run([sys.executable, "-c", IMPORTING])

    assert done.returncode == 0, done.stderr
    assert {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names == {"bridge"}


def test_every_public_name_is_there() -> None:
    assert all(hasattr(bridge.consumer, name) for name in bridge.consumer.__all__)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"members": "127.0.0.1:5701"}, "members"),
        ({"members": []}, "members"),
        ({"max_age_s": 0}, "max_age_s"),
        ({"max_age_s": math.nan}, "max_age_s"),
        ({"call_timeout_s": -1}, "call_timeout_s"),
        ({"look_s": 0.0}, "look_s"),
        ({"client_options": {"no_such_option": 1}}, "no_such_option"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(given: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**given)


def test_a_password_is_in_no_printed_settings() -> None:
    settings = Settings(client_options={"creds_username": "quant", "creds_password": "hush"})

    assert "hush" not in repr(settings)
