"""Opens a TCP connection to a host by name, so that neither the name service nor a dead address holds anything up.

Each name is looked up in a thread of its own, at most one at a time. (asyncio would use the few threads that other
work needs as well, and a process waits for those at its end.) Of several addresses the first that answers counts.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

# As `socket.getaddrinfo` gives them: family, type, protocol, canonical name, address.
AddressInfo: TypeAlias = tuple[Any, Any, int, str, Any]

# The next address of a name is tried when the one before failed, or did not answer within this time (RFC 8305).
NEXT_ADDRESS_S = 0.25

_lock = threading.Lock()
_lookups: dict[tuple[str, int], Future[list[AddressInfo]]] = {}


async def connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """A connected socket.

    Raises:
        TimeoutError: no answer from the name service, or from any address, within `timeout_s` altogether.
        OSError: the name has no address (socket.gaierror), or none can be connected to.
    """
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline_s):
            addresses = await look_up(host, port)
    except TimeoutError as error:
        raise TimeoutError(f"the name service did not answer within {timeout_s:g} s") from error
    attempts: list[asyncio.Task[socket.socket]] = []
    for address in addresses:
        attempts.append(asyncio.create_task(_attempt(address, attempts[-1:])))
    try:
        async with asyncio.timeout_at(deadline_s):
            return await first_success(attempts)
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {timeout_s:g} s") from error
    finally:
        for attempt in attempts:
            attempt.cancel()


async def _attempt(address: AddressInfo, before: list[asyncio.Task[socket.socket]]) -> socket.socket:
    if before:
        await asyncio.wait(before, timeout=NEXT_ADDRESS_S)
    family, kind, protocol, _, where = address
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        await asyncio.get_running_loop().sock_connect(opened, where)
    except BaseException:
        opened.close()
        raise
    return opened


async def first_success(attempts: Iterable[asyncio.Task[T]]) -> T:
    """The result of the first that succeeds. The others go on; raises what the last one raised if all fail."""
    pending, failed = set(attempts), None
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for attempt in done:
            failed = attempt.exception()
            if failed is None:
                return attempt.result()
    raise failed or OSError("no address")


async def look_up(host: str, port: int) -> list[AddressInfo]:
    """The addresses of `host`. Raises OSError (socket.gaierror)."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return await asyncio.wrap_future(_lookup(host, port))  # it is no address but a name


def _lookup(host: str, port: int) -> Future[list[AddressInfo]]:
    with _lock:
        answer = _lookups.get((host, port))
        if answer is None:
            answer = _lookups[host, port] = Future()
            answer.set_running_or_notify_cancel()  # who gives up waiting does not take it from the others
            threading.Thread(target=_ask, args=(host, port, answer), name="name look-up", daemon=True).start()
    return answer


def _ask(host: str, port: int, answer: Future[list[AddressInfo]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        answer.set_exception(error)
    else:
        answer.set_result(found)
    finally:
        with _lock:
            del _lookups[host, port]
