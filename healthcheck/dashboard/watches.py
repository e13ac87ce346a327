"""What the dashboard looks at: a watch for each bridge of this host, as many as there are now.

A bridge that is added, removed or configured anew is noticed without a restart, within REFRESH_S.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from healthcheck.config.settings import HealthConfig, load
from healthcheck.dashboard.watch import Watch
from healthcheck.observe.beside import load_all

log = logging.getLogger(__name__)

REFRESH_S = 30.0


@dataclass(frozen=True)
class Watched:
    """A bridge: where its configuration is, what that says, and what is seen of it."""

    file: Path
    config: HealthConfig
    watch: Watch


class Watches:
    """The bridges of this host, by instance."""

    def __init__(self, config_path: Path) -> None:
        """Nothing is looked at before `start`.

        Raises:
            bridge.config.ConfigError: there is no bridge, and the file that was named cannot be used.
        """
        self._path = config_path.absolute()
        self._problems: Mapping[Path, str] = {}
        self.current: Mapping[str, Watched] = {}
        self.refresh()
        if not self.current:
            load(config_path)  # says why

    @property
    def first(self) -> tuple[str, Watched]:
        """The bridge whose file was named; where that is not in use, the first one that is."""
        named = [one for one in self.current.items() if one[1].file == self._path]
        return next(iter([*named, *self.current.items()]))

    @property
    def hang(self) -> bool:
        """Whether one of them makes no progress."""
        return any(one.watch.hangs for one in self.current.values())

    def start(self) -> None:
        """Look from now on, until the process ends."""
        for one in self.current.values():
            one.watch.start()
        threading.Thread(target=self._keep_up, name="bridges", daemon=True).start()

    def refresh(self) -> list[Watched]:
        """Take over which bridges there are now; those that are new, whose watches were not started yet."""
        found = load_all(self._path)
        for file, problem in found.problems.items():
            if self._problems.get(file) != problem:
                log.warning("not shown as it is now: %s", problem)
        self._problems = found.problems
        # One whose file is being edited, perhaps, stays as it was.
        now = {name: one for name, one in self.current.items() if one.file in found.problems}
        for name, config in found.configs.items():
            known, file = self.current.get(name), found.files[name]
            if known is None or (known.file, known.config) != (file, config):
                known = Watched(file, config, Watch(config))
            now[name] = known
        if not now:
            return []  # an empty page would say less than the last one
        before, self.current = self.current, now
        for name, one in before.items():
            if now.get(name) is not one:
                one.watch.stop()
        return [one for name, one in now.items() if before.get(name) is not one]

    def _keep_up(self) -> None:
        while True:
            time.sleep(REFRESH_S)
            try:
                for new in self.refresh():
                    log.info("shown from now on: %s", new.config.status.instance)
                    new.watch.start()
            except Exception:  # whatever it is, what is shown already goes on
                log.exception("which bridges this host has could not be found out")
