"""Rules about edits name exactly the fields that they are to name, and ask after absent ones first."""

from __future__ import annotations

from audiojob_types.base import WireModel
from audiojob_types.resources.edits import as_one, goes_on, immutable, immutable_at_the_end


class Spec(WireModel):
    """A field that is always stored, one that is stored by its default, and one that may be absent."""

    pipeline: str
    queue_name: str = "default"
    start_time: str | None = None


def test_fields_that_are_not_mutable_stay_what_they_were() -> None:
    rules = {message.partition(" ")[0]: rule for rule, message in immutable(Spec, {"queueName"})}
    assert rules == {
        "pipeline": "self.pipeline == oldSelf.pipeline",
        "startTime": (
            "has(self.startTime) == has(oldSelf.startTime) && "
            "(!has(self.startTime) || self.startTime == oldSelf.startTime)"
        ),
    }


def test_a_job_that_has_ended_keeps_the_named_fields_too() -> None:
    ((rule, message),) = immutable_at_the_end(Spec, {"queueName"})
    assert rule == "self.spec.queueName == oldSelf.spec.queueName"
    assert message.startswith("spec.queueName cannot be changed: the job has ended")


def test_rules_as_one_are_not_looked_at_where_they_do_not_count_and_tell_of_the_first_that_is_broken() -> None:
    validation = as_one([("a == b", "a is not b"), ("c", "no c")], goes_on("['Done']"), "no")
    assert validation == {
        "rule": "!has(oldSelf.status) || !has(oldSelf.status.state) || !(oldSelf.status.state in ['Done']) || "
        "((a == b) && (c))",
        "message": "no",
        "messageExpression": "!(a == b) ? 'a is not b' : !(c) ? 'no c' : 'no'",
    }
