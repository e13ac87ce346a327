"""Checks that the Hazelcast client still uses the private names that this project overrides or sets.

A name that was renamed would else fail silently: an override that nobody calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType

from hazelcast import __version__


def incompatible(name: str) -> ImportError:
    """That this version of the client cannot be used."""
    return ImportError(
        f"hazelcast-python-client {__version__} does not use {name} as scan-bridge expects; "
        "install the version that pyproject.toml asks for"
    )


def require(names: tuple[tuple[type, str, str], ...]) -> None:
    """Raises ImportError if one of these functions is not there or does not use the name that stands with it."""
    for owner, function, name in names:
        code = getattr(getattr(owner, function, None), "__code__", None)
        if code is None or name not in _names_in(code):
            raise incompatible(f"{name} in {owner.__name__}.{function}")


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
