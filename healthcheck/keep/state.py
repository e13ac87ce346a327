"""What the health check keeps between checks, on disk: written whole or not at all, by one check at a time.

Without a state that can be written, alerts could not be sent exactly once, so then none is: `StateError`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from bridge.system.files import make_folder, replace_file
from healthcheck.alert.restart_policy import RestartLog
from healthcheck.config.settings import Health
from healthcheck.judge.previous_check import PreviousCheck
from healthcheck.model.alert import Alert
from healthcheck.model.condition import Unusable
from healthcheck.model.finding import Block
from healthcheck.model.observation import LeftBehind

FILE_NAME = "state.json"
CORRUPT_NAME = "state.json.corrupt"
LOCK_POLL_S = 0.2


class StateError(Exception):
    """The state can be written or read nowhere. The message names the places and the reasons."""


class LockedError(Exception):
    """Another check is under way."""


# Version 1.0 wrote it as `seen`.
CALLED_SINCE = AliasChoices("previous_check", "seen")


@dataclass(frozen=True, slots=True)
class State:
    """Everything one check leaves to the next."""

    revision: int = 0
    previous_check: Annotated[PreviousCheck | None, Field(validation_alias=CALLED_SINCE)] = None
    alerts: tuple[Alert, ...] = ()
    past: tuple[Alert, ...] = ()
    restarts: RestartLog = field(default_factory=RestartLog)
    unreachable: dict[Block, str] = field(default_factory=dict)
    unusable: dict[Block, Unusable] = field(default_factory=dict)  # as Prefect said when last asked
    sending: dict[Block, datetime] = field(default_factory=dict)  # begun, and not known to have ended
    hung_look: LeftBehind | None = None  # at the disk; it could not be ended
    completed_at: datetime | None = None
    completed_by: str = ""
    prefect_completed_at: datetime | None = None


_ADAPTER = TypeAdapter(State)


def last_completed(health: Health) -> datetime | None:
    """When the last check completed, whoever ran it; None if never or unknown. Never raises."""
    try:
        return Store(health).load(may_repair=False).completed_at
    except StateError:
        return None


class Store:
    """The state's two places: its directory, and a spare one on another file system for when that is full."""

    def __init__(self, health: Health) -> None:
        """Nothing is read or made yet."""
        self._places = (health.state_dir, health.spare_state_dir)
        self.problem: str | None = None  # why the last `save` used the spare place
        self.notes: tuple[str, ...] = ()  # what was odd about the last `load`

    def load(self, *, may_repair: bool = True) -> State:
        """The newest state that can be read; an empty one where there is none.

        A corrupt file is put aside and noted: after that, alerts that stand are sent once more.

        Raises:
            StateError: there is a state, but this user may not read it.
        """
        found = []
        notes = []
        for place in self._places:
            path = place / FILE_NAME
            try:
                found.append(_ADAPTER.validate_json(path.read_bytes()))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateError(f"{path}: {error.strerror}") from error
            except ValidationError:
                notes.append(f"{path} is corrupt; open alerts are sent once more")
                if may_repair:
                    with suppress(OSError):
                        path.replace(place / CORRUPT_NAME)
        self.notes = tuple(notes)
        return max(found, key=lambda state: state.revision, default=State())

    def save(self, state: State) -> State:
        """Write the state, atomically and durably; returns it with its new revision. Sets `problem`.

        Raises:
            StateError: it could be written in neither place.
        """
        state = replace(state, revision=state.revision + 1)
        data = _ADAPTER.dump_json(state, by_alias=True)
        problems = []
        for place in self._places:
            try:
                make_folder(place)
                replace_file(place / FILE_NAME, data)
            except OSError as error:
                problems.append(f"{place}: {error.strerror}")
                continue
            self.problem = problems[0] if problems else None
            return state
        raise StateError("the state can be written nowhere: " + "; ".join(problems))

    @contextmanager
    def lock(self, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the right to check. Both ways to run a check take it; the kernel frees it when a process dies.

        Raises:
            LockedError: another check still holds it after `wait_s`.
            StateError: neither directory is there.
        """
        descriptor = self._open_place()
        try:
            deadline = time.monotonic() + wait_s
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LockedError("another check is under way") from None
                    time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def _open_place(self) -> int:
        problems = []
        for place in self._places:
            try:
                make_folder(place)
                return os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                problems.append(f"{place}: {error.strerror}")
        raise StateError("no state directory: " + "; ".join(problems))
