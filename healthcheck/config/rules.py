"""The rules' settings: thresholds with their units, severities, actions and recipients.

The defaults are what is shipped; every one of them can be changed in `[health.rules.<rule>]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from bridge.config_types import Seconds, Section
from healthcheck.model import finding
from healthcheck.model.finding import Severity

Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["off"]
Group = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
Groups = Annotated[tuple[Group, ...], Field(description="Groups that are told.")]
Action = Annotated[finding.Action, Field(description="What is done about it: see `[health.rules]`.")]
HowBad = Annotated[Literal[Severity.WARNING, Severity.CRITICAL], Field(description="How bad it is.")]
Response: TypeAlias = tuple[finding.Action, tuple[str, ...]]
_OFF = 'A number, or "off".'


class RuleSettings(Section):
    """What every rule has."""

    enabled: bool = Field(default=True, description="false switches the rule off.")


class ConditionRule(RuleSettings):
    """A rule that is met or not: one severity, one action."""

    severity: HowBad
    action: Action
    notify: Groups = ("ops",)

    def response(self, severity: Severity) -> Response:
        """The same however bad it is."""
        return self.action, self.notify


class LevelRule(RuleSettings):
    """A rule that measures a number against two limits, each with its own action and recipients."""

    warning_action: Action = "alert"
    critical_action: Action = "alert"
    warning_notify: Groups = ("ops",)
    critical_notify: Groups = ("ops",)

    def response(self, severity: Severity) -> Response:
        """The level's own."""
        if severity is Severity.CRITICAL:
            return self.critical_action, self.critical_notify
        return self.warning_action, self.warning_notify


class StaleData(LevelRule):
    """Age of the scan in the map. Causes are told apart, and only the action that helps is taken."""

    warning_s: Limit = Field(default=30.0, description=f"Seconds. {_OFF}")
    critical_s: Limit = Field(default=60.0, description=f"Seconds. {_OFF}")
    critical_action: Action = "restart_bridge"
    critical_notify: Groups = ("ops", "trading")


class HighLag(LevelRule):
    """File-to-Hazelcast lag: the value nine scans in ten stayed under in the last 5 minutes."""

    warning_s: Limit = Field(default=10.0, description=f"Seconds. {_OFF}")
    critical_s: Limit = Field(default="off", description=f"Seconds. {_OFF}")
    warning_action: Action = "log_only"


class Cpu(LevelRule):
    """CPU time of the bridge since the last check, in percent of one core."""

    warning_percent: Limit = Field(default=50.0, description=f"Percent of one core. {_OFF}")
    critical_percent: Limit = Field(default=80.0, description=f"Percent of one core. {_OFF}")


class Memory(LevelRule):
    """Memory of the bridge, without what the kernel caches for it."""

    warning_mb: Limit = Field(default=100.0, description=f"Megabytes (10^6 bytes). {_OFF}")
    critical_mb: Limit = Field(default=500.0, description=f"Megabytes (10^6 bytes). {_OFF}")
    critical_action: Action = "restart_bridge"


class FewFiles(LevelRule):
    """Scans published per minute; told on its own only where stale_data does not explain it."""

    warning_under_per_min: Limit = Field(default=1.0, description=f"Fewer scans than this in the last minute. {_OFF}")
    critical_under_per_5min: Limit = Field(
        default=1.0, description=f"Fewer scans than this in the last 5 minutes. {_OFF}"
    )


class HazelcastRule(ConditionRule):
    """The cluster cannot be reached, or the bridge cannot reach it (its heartbeat in the map is old)."""

    severity: HowBad = Severity.CRITICAL
    action: Action = "restart_bridge"
    heartbeat_max_s: Seconds = Field(default=20.0, description="An older heartbeat of the bridge counts as silence.")


class ProcessCrash(ConditionRule):
    """The unit failed, or its main process died since the last check."""

    severity: HowBad = Severity.CRITICAL
    action: Action = "auto_restart"


class ProcessStopped(ConditionRule):
    """The unit is not running because somebody stopped it, or nobody started it."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"


class HistoryBehind(ConditionRule):
    """A scan that lies on disk has been missing in the history for long. Says nothing of the newest scan."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"
    after_s: Seconds = Field(
        default=300.0, description="How long a scan may be missing. A day of scans takes minutes to be made good."
    )


class ClockRule(ConditionRule):
    """This host's clock jumped since the last check, or the map's scan is dated in the future."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"
    tolerance_s: Seconds = Field(default=5.0, description="A smaller step is none.")


class Blind(ConditionRule):
    """A probe has had no answer for a while, so that something is not being watched."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"
    after_s: Seconds = Field(default=90.0, description="How long a probe may stay without an answer.")


class CheckState(ConditionRule):
    """The health check cannot write its state where it belongs (disk full, read-only)."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"


class NotifierRule(ConditionRule):
    """The last message to a group was not delivered. Told to the groups that can still be reached."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"


class PrefectRule(ConditionRule):
    """Prefect, which ran the check before, does so no more. Told by the timer's check, to the spare URLs."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"
    after_s: Seconds = Field(default=300.0, description="How long no check of Prefect may have completed.")


class Redundancy(ConditionRule):
    """Another bridge of the same map and key fell silent without having been stopped, or has the same instance."""

    severity: HowBad = Severity.WARNING
    action: Action = "alert"


class Rules(Section):
    """Each rule has a section of its own. `log_only`: the finding is in the report only. `alert`: the groups are told.
    `auto_restart`: they are told, and whether systemd's own restart worked. `restart_bridge`: they are told, and the
    bridge is restarted, where that can help and the budget allows it.
    """

    stale_data: StaleData = StaleData()
    hazelcast: HazelcastRule = HazelcastRule()
    process_crash: ProcessCrash = ProcessCrash()
    process_stopped: ProcessStopped = ProcessStopped()
    memory: Memory = Memory()
    cpu: Cpu = Cpu()
    high_lag: HighLag = HighLag()
    few_files: FewFiles = FewFiles()
    history_behind: HistoryBehind = HistoryBehind()
    clock: ClockRule = ClockRule()
    redundancy: Redundancy = Redundancy()
    blind: Blind = Blind()
    state: CheckState = CheckState()
    notifier: NotifierRule = NotifierRule()
    prefect: PrefectRule = PrefectRule()

    def __iter__(self) -> Iterator[tuple[str, ConditionRule | LevelRule]]:  # type: ignore[override]
        """Each rule with its name."""
        for name in type(self).model_fields:
            yield name, getattr(self, name)
