"""Asks Prefect's server for the last run of the check, for a link to it. Needs no Prefect here; never logs in."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from uuid import UUID

FLOW = "scan-bridge-health-check"
TIMEOUT_S = 3.0
MOST_ANSWER = 256 * 1024  # bytes read of an answer


class PrefectError(Exception):
    """Prefect did not tell its last run. The message says why."""


@dataclass(frozen=True, slots=True)
class PrefectRun:
    """The last run of the check in Prefect."""

    url: str
    name: str
    state: str
    at: str


def last_run(url: str) -> PrefectRun | None:
    """The last run of the check that began, from the Prefect server whose pages are at `url`; None without one.

    Raises:
        PrefectError: the server is away, wants a login, or gave no usable answer.
    """
    question = {
        "flows": {"name": {"any_": [FLOW]}},
        "flow_runs": {"start_time": {"is_null_": False}},
        "sort": "START_TIME_DESC",
        "limit": 1,
    }
    request = urllib.request.Request(  # noqa: S310  # http or https: the configuration admits nothing else
        f"{url}/api/flow_runs/filter",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            runs = json.loads(answer.read(MOST_ANSWER))
        if not runs:
            return None
        run = runs[0]
        state = run["state"] or {}
        return PrefectRun(
            f"{url}/runs/flow-run/{UUID(run['id'])}",
            str(run["name"]),
            str(state.get("name", "?")),
            str(run["start_time"]),
        )
    except urllib.error.HTTPError as error:
        raise PrefectError(f"{url}: HTTP status {error.code}") from error
    except urllib.error.URLError as error:
        raise PrefectError(f"{url}: {error.reason}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrefectError(f"{url}: {type(error).__name__}: {error}") from error
