"""The operator's whole judgement: what was observed and the time, to what is to be done.

Level-triggered: everything is recomputed from the spec, the Jobs that exist and the facts in status that only grow
(attempts, failures, results). The order of the rules in :data:`rules.RULES` is their precedence.
"""

from __future__ import annotations

from datetime import datetime

from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.plan import make_plan, plan_for_deleted, plan_for_finished
from audiojob_operator.deciding.rules import RULES
from audiojob_operator.deciding.status import Situation, is_finished
from audiojob_operator.deciding.working import start_and_report
from audiojob_operator.records.observed import Observed
from audiojob_operator.records.plan import Plan


def decide(observed: Observed, now: datetime) -> Plan:
    """What to do about one AudioJob. Pure: the same arguments always give the same plan."""
    job = observed.job
    if job.metadata.deletion_timestamp is not None:
        return plan_for_deleted(observed, now)
    if is_finished(job):
        return plan_for_finished(observed, now)
    draft = Draft.of(observed, now)
    situation = _situation(draft)
    return Plan(asks=tuple(draft.asks)) if draft.asks else make_plan(draft, situation)


def _situation(draft: Draft) -> Situation:
    for rule in RULES:
        situation = rule(draft)
        if situation is not None:
            return situation
    return start_and_report(draft)
