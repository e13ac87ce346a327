"""`scan-bridge-health check --all`: the bridges of this host side by side, a line each, and the worst exit code.

A check that hangs or crashes costs its own line only.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bridge.config_file import ConfigError, config_path_of_all
from healthcheck.config.settings import HealthConfig
from healthcheck.keep.state import StateError
from healthcheck.model.report import Report
from healthcheck.observe import side_by_side
from healthcheck.observe.beside import load_all
from healthcheck.present import terminal

UNKNOWN, NOT_DONE, EX_SOFTWARE = 3, 4, 70
# From the best to the worst; no verdict at all is worse than any.
ORDER = (0, UNKNOWN, 1, 2, NOT_DONE, EX_SOFTWARE)
DEADLINE_S = 120.0  # of all together; less than the fallback unit's TimeoutStartSec=

# One check; None where there was nothing to do.
Look = Callable[[HealthConfig], Report | None]


def check_all(look: Look, *, acts: bool, as_json: bool) -> int:
    """Look at each bridge of this host and print what was found; the exit code is the worst."""
    found = load_all(config_path_of_all())
    jobs = {str(file): partial(look, found.configs[instance]) for instance, file in found.files.items()}
    outcomes = side_by_side.run(jobs, DEADLINE_S)
    outcomes |= {str(file): ConfigError(problem) for file, problem in found.problems.items()}
    codes, reports = [0], []
    for file, outcome in ((file, outcomes[str(file)]) for file in found.in_order()):
        code, text = _verdict(outcome, acts=acts)
        codes.append(code)
        if as_json and isinstance(outcome, Report):
            reports.append({"bridge": _called(file), **json.loads(terminal.as_json(outcome))})
        elif as_json and outcome is not None:
            reports.append({"bridge": _called(file), "severity": "unknown", "headline": text})
        elif text:
            print(f"{_called(file)}: {text}")
    if as_json:
        print(json.dumps(reports, indent=2))
    return max(codes, key=ORDER.index)


def _verdict(outcome: object, *, acts: bool) -> tuple[int, str]:
    match outcome:
        case None:
            return 0, ""
        case Report():
            return outcome.severity.nagios_code, terminal.nagios(outcome).splitlines()[0].split(" | ")[0]
        case ConfigError() | StateError() | TimeoutError():
            code = NOT_DONE if acts else UNKNOWN
            return code, f"SCAN-BRIDGE UNKNOWN - {'; '.join(str(outcome).splitlines())}"
        case Exception():
            traceback.print_exception(outcome)
            return EX_SOFTWARE, f"SCAN-BRIDGE UNKNOWN - a defect of the check: {type(outcome).__name__}: {outcome}"
        case _:
            raise AssertionError(outcome)


def _called(file: Path) -> str:
    return file.name.removesuffix(".toml")
