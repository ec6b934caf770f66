"""Applies every rule to a history; a violation comes with all that is known of its job."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos import answer_rules, rules
from tests.chaos.history import History

Rule = Callable[[History], Iterator[tuple[str, str]]]

RULES: Mapping[str, Rule] = {
    "I1 ends": rules.every_accepted_job_ends,
    "I2 once": rules.one_end_each,
    "G1 durable": rules.no_event_vanishes,
    "I3 tries": rules.bounded_tries,
    "I4 file": rules.file_is_the_records,
    "I5 picture": rules.picture_is_the_requests,
    "I6 key": rules.one_job_a_key,
    "I7 poison": rules.poison_hurts_nobody_else,
    "I8 answers agree": answer_rules.answers_agree,
    "G9 deadlines": rules.deadlines_hold,
    "G10 stops": rules.processes_end_as_told,
    "I10 nothing left": rules.nothing_is_left,
    "I11 answers": answer_rules.answers_are_allowed,
    "liveness": rules.all_ends_soon,
}


@dataclass(frozen=True)
class Violation:
    """A broken promise.

    Attributes:
        rule: key of RULES.
        job_id: whose, empty if it is no one job's.
    """

    rule: str
    job_id: str
    detail: str


def violations(history: History) -> list[Violation]:
    """Every violation of every rule."""
    return [Violation(name, job_id, detail) for name, rule in RULES.items() for job_id, detail in rule(history)]


def story(history: History, violation: Violation) -> str:
    """The violation and all that is known of its job, in order of time."""
    lines = [f"{violation.rule}: {violation.job_id} {violation.detail}".strip()]
    for job_id in violation.job_id.split():
        record, found = history.records.get(job_id), history.inspections.get(job_id)
        told: list[tuple[float, str]] = [(event.at, event.type) for event in history.events_of.get(job_id, ())]
        told += [
            (deed.at, f"worker {deed.pid} {deed.verb} fence {deed.fence}: {deed.verdict}")
            for deed in history.deeds_of.get(job_id, ())
        ]
        for order in history.orders:
            if job_id in order.job_ids:
                lines.append(f"  wish {_words(order.wish)}")
                told += [(call.started, f"client {_words(call)}") for call in order.calls]
        lines += [f"  {name} {_words(thing)}" for name, thing in (("record", record), ("store", found)) if thing]
        lines += [f"  {at - history.started:9.3f} s  {words}" for at, words in sorted(told)]
    return "\n".join(lines)


def _words(thing: Any) -> str:
    """What a value says, but for what is empty."""
    shown = {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in vars(thing).items()}
    return " ".join(f"{name}={value}" for name, value in shown.items() if value not in ("", None, False, "0.000"))
