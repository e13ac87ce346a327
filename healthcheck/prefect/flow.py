"""The Prefect flow: one check, shown as Prefect shows things. Decides nothing about health itself.

It takes no parameters on purpose: whoever may start a run through the Prefect API must not choose a file or a unit.
The configuration is the one named by $SCAN_BRIDGE_CONFIG, or that beside it whose instance the deployment's name has.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import deployment, flow_run
from prefect.states import Failed

from bridge.config_file import DEFAULT_CONFIG_PATH, ConfigError
from bridge.system import journal
from healthcheck.check import BY_PREFECT, AlreadyRunning, run_check
from healthcheck.config.settings import HealthConfig, load
from healthcheck.keep.state import last_completed
from healthcheck.model.report import Report
from healthcheck.observe.beside import load_all
from healthcheck.prefect import claims, late_runs, run_view
from healthcheck.prefect.blocks import BlockNotifier

FLOW_NAME = "scan-bridge-health-check"
CONFIG_VARIABLE = "SCAN_BRIDGE_CONFIG"
DEADLINE_S = 120  # of a whole run; each step of a check has its own, shorter one


@flow(name=FLOW_NAME, retries=0, timeout_seconds=DEADLINE_S, persist_result=False)
def health_check() -> State[None]:
    """Look at the scan bridge, judge, alert, restart it where that helps. The final state is the verdict."""
    journal.quiet_hazelcast()
    name = claims.name_of(deployment.name)
    try:
        config = _config(name)
    except ConfigError as error:
        return Failed(name="Misconfigured", message=str(error))
    if late_runs.is_overtaken(flow_run.scheduled_start_time, last_completed(config.health), datetime.now(UTC)):
        state = run_view.skipped("a check has completed since this run was due")
    else:
        try:
            report = run_check(config, BlockNotifier(config.health), by=BY_PREFECT)
            state = run_view.final_state(report)
            _show(_with_claims(report, name), name or config.status.instance)
        except AlreadyRunning:
            state = run_view.skipped("another check was under way")
    _clear_late_runs(config)
    return state


def _config(name: str | None) -> HealthConfig:
    """The configuration of the bridge that this run is to look at. Raises ConfigError."""
    path = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG_PATH))
    if name is None:  # by hand, or by a deployment of one's own
        return load(path)
    found = load_all(path)
    instance = claims.instance_of(name)
    if instance not in found.configs:
        why = "\n".join(found.problems.values()) or f"{path.parent}: no configuration has the instance {instance}"
        raise ConfigError(why)
    return found.configs[instance]


def _with_claims(report: Report, name: str | None) -> Report:
    """The report, and which other hosts claim its bridge's instance."""
    note = claims.place_of(name, flow_run.tags or ()).note() if name else ""
    return replace(report, notes=(*report.notes, note)) if note else report


def _show(report: Report, name: str) -> None:
    log = get_run_logger()
    for level, line in run_view.log_lines(report):
        log.log(level, "%s", line)
    for event in run_view.events(report):
        resource = {
            "prefect.resource.id": f"{run_view.EVENT_PREFIX}{name}",
            "prefect.resource.name": f"scan bridge on {name}",
            **event.labels,
        }
        emit_event(run_view.EVENT_PREFIX + event.name, resource=resource, payload=event.payload)
    try:
        create_table_artifact(run_view.table(report), claims.artifact_key(name), run_view.summary(report))
    except Exception as error:  # noqa: BLE001  # a verdict without its table is better than no verdict
        log.warning("no table: %s: %s", type(error).__name__, error)


def _clear_late_runs(config: HealthConfig) -> None:
    log = get_run_logger()
    if deployment.id is None:  # run by hand, outside any deployment
        return
    try:
        ended = late_runs.clear(
            UUID(deployment.id), UUID(flow_run.id), last_completed(config.health), datetime.now(UTC)
        )
    except Exception as error:  # noqa: BLE001  # the check has completed; the next run clears them
        log.warning("late runs not cleared: %s: %s", type(error).__name__, error)
        return
    if ended:
        log.info("%d late or abandoned runs ended", ended)
