"""The rule `state`: can the check write its own state where it belongs? Pure; no I/O."""

from __future__ import annotations

from healthcheck.config.settings import Health
from healthcheck.judge.judgement import Judgement, ok
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Cause


def judge(condition: CheckCondition, health: Health) -> Judgement:
    """Bad while the state is kept in the spare place."""
    problem = condition.state_problem
    if problem is None:
        return ok("no trouble with the check's state is known")
    return Judgement(
        health.rules.state.severity,
        f"the health check cannot write its state: {problem}; it keeps it in {health.spare_state_dir} until then",
        Cause.STATE_NOT_WRITABLE,
        look_further=f"df -h {health.state_dir}",
        restart_helps=False,
    )
