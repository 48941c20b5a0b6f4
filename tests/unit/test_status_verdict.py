"""What a status document calls wrong: promises that are not kept, parts that are unknown or old, in one order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ops.status import document as d
from ops.status.verdict import problems, worst
from tests.status_samples import DAY, MINUTE, NOW, lost, part, troubled, well


def wrong_with(name: str = "pg_main", **changes: Any) -> list[tuple[str, str]]:
    """Verdict and words of the problems of a cluster that is well but for these sections."""
    cluster = next(one for one in well().clusters if one.name == name).model_copy(update=changes)
    found = problems(alerts=None, clusters=[cluster], redis={}, now=NOW)
    assert all(problem.where == name for problem in found)
    return [(problem.verdict, problem.what) for problem in found]


def changed(section: d.Section[Any], **values: Any) -> d.Section[Any]:
    assert section.value is not None
    return section.model_copy(update={"value": section.value.model_copy(update=values)})


MAIN = well().clusters[0]
GAP = d.Gap(cause="missing", first="A", last="B", segments=2, since=NOW - DAY, until=NOW - timedelta(hours=1))


def test_a_fleet_that_is_well_has_no_problem() -> None:
    assert well().problems == []
    assert well().verdict == "ok"


def test_the_worst_comes_first_and_what_could_not_be_found_out_before_warnings() -> None:
    verdicts = [problem.verdict for problem in troubled().problems]
    assert verdicts == sorted(verdicts, key=("failed", "unknown", "warning").index)
    assert set(verdicts) == {"failed", "unknown", "warning"}
    assert troubled().verdict == "failed"
    assert (worst(["ok", "warning"]), worst(["warning", "unknown"]), worst([])) == ("warning", "unknown", "ok")


def test_an_alert_that_pages_is_wrong_and_one_that_waits_is_a_warning() -> None:
    found = {problem.alert: problem for problem in troubled().problems if problem.alert}
    assert {name: problem.verdict for name, problem in found.items()} == {
        "WalGap": "failed",
        "ReplicaNotStreaming": "warning",
    }
    assert found["WalGap"].hint == "ops wal gaps"


def test_alerts_that_nobody_would_be_told_of_are_wrong() -> None:
    silent = part(d.Alerts(source="Alertmanager on mon1", firing=[], silenced=0, heartbeat=False))
    (problem,) = problems(alerts=silent, clusters=[], redis={}, now=NOW)
    assert problem.verdict == "failed"
    assert "nobody would be told" in problem.what


def test_parts_that_failed_for_one_reason_are_one_problem_and_never_nothing() -> None:
    assert wrong_with(topology=lost("timed out"), readiness=lost("timed out"), packs=lost("denied")) == [
        ("unknown", "members and readiness unknown: timed out"),
        ("unknown", "packs unknown: denied"),
    ]


@pytest.mark.parametrize("name", ["topology", "readiness", "recovery", "backups", "packs", "drills", "schedules"])
def test_each_part_that_is_unknown_is_named(name: str) -> None:
    changes: dict[str, Any] = {name: lost("no answer")}
    ((verdict, what),) = wrong_with(**changes)
    assert verdict == "unknown"
    assert what.endswith("no answer")


def test_a_part_that_is_too_old_is_unknown() -> None:
    old = MAIN.backups.model_copy(update={"read_at": NOW - timedelta(seconds=MAIN.backups.good_for + 1)})
    assert wrong_with(backups=old) == [("unknown", "backups: what is known is 10 min old")]
    just = MAIN.backups.model_copy(update={"read_at": NOW - timedelta(seconds=MAIN.backups.good_for)})
    assert wrong_with(backups=just) == []


def test_a_gap_is_wrong_and_says_which_moments_are_lost() -> None:
    ((verdict, what),) = wrong_with(recovery=changed(MAIN.recovery, gaps=[GAP]))
    assert verdict == "failed"
    assert what == (
        "WAL A to B is missing: no recovery to a moment from 2026-11-21 02:14:33 to 2026-11-22 01:14:33 UTC"
    )
    ((_, what),) = wrong_with(recovery=changed(MAIN.recovery, gaps=[GAP.model_copy(update={"until": None})]))
    assert what.endswith("to now: no backup lies behind it yet")


def test_a_repository_without_a_backup_recovers_nothing() -> None:
    ((verdict, what),) = wrong_with(recovery=changed(MAIN.recovery, start=None, end=None))
    assert (verdict, what.partition(":")[0]) == ("failed", "nothing can be recovered")


@pytest.mark.parametrize(("age", "count"), [(timedelta(seconds=119), 0), (timedelta(seconds=123), 1)])
def test_the_newest_recoverable_wal_is_held_against_the_promise(age: timedelta, count: int) -> None:
    section = changed(MAIN.recovery, end=MAIN.recovery.read_at - age)
    assert len(wrong_with(recovery=section)) == count


def test_a_failed_drill_and_one_that_took_too_long_are_wrong_and_an_older_one_is_not() -> None:
    drills = MAIN.drills.value
    assert drills is not None
    *_, before, last = drills.restores
    failed = last.model_copy(update={"proven": False, "why": "it ended early"})
    assert wrong_with(drills=changed(MAIN.drills, restores=[before, failed])) == [
        ("failed", "the last restore drill failed: it ended early")
    ]
    assert wrong_with(drills=changed(MAIN.drills, restores=[failed, last])) == []
    slow = last.model_copy(update={"rto_seconds": 3601.0})
    assert wrong_with(drills=changed(MAIN.drills, restores=[slow])) == [
        ("failed", "the last restore drill took 60 min; 60 min are promised")
    ]
    ((verdict, _),) = wrong_with(drills=changed(MAIN.drills, restores=[]))
    assert verdict == "warning"


def test_the_last_failover_drill_of_each_kind_counts() -> None:
    drills = MAIN.drills.value
    assert drills is not None
    lost_rows = drills.failovers[0].model_copy(update={"verdict": "failed", "reasons": ["3 rows are lost"]})
    section = changed(MAIN.drills, failovers=[lost_rows, *drills.failovers])
    assert wrong_with(drills=section) == []
    section = changed(MAIN.drills, failovers=[*drills.failovers, lost_rows])
    assert wrong_with(drills=section) == [("failed", f"the last {lost_rows.kind} drill did not pass: 3 rows are lost")]


def test_what_is_damaged_in_the_store_is_wrong() -> None:
    found = wrong_with(
        backups=changed(MAIN.backups, damaged=["the manifest of backup X is damaged in the store"]),
        packs=changed(MAIN.packs, damaged=["1f0c"]),
        recovery=changed(MAIN.recovery, missing_histories=["00000004.history"]),
    )
    assert [verdict for verdict, _ in found] == ["failed"] * 3


def test_a_mirror_that_is_out_of_reach_is_unknown_and_one_that_is_behind_is_for_the_alerts() -> None:
    behind = part(d.Mirror(backups=3, objects=400, size=1 << 30, seconds=90_000))
    assert wrong_with(mirrors={"offsite": behind}) == []
    assert wrong_with(mirrors={"offsite": lost("refused")}) == [("unknown", "copy offsite unknown: refused")]


def test_every_section_of_a_document_knows_when_it_was_read() -> None:
    for cluster in troubled().clusters:
        for name in ("topology", "readiness", "recovery", "backups", "packs", "drills", "schedules", "certificates"):
            section: d.Section[Any] = getattr(cluster, name)
            assert section.read_at <= NOW
            assert section.is_unknown == bool(section.trouble)


def test_a_document_survives_the_way_through_json() -> None:
    for document in (well(), troubled()):
        assert d.Document.model_validate_json(document.model_dump_json()).model_dump() == document.model_dump()


def test_stale_is_only_what_is_older_than_it_is_good_for() -> None:
    section = part(1, read_at=NOW - 10 * MINUTE, good_for=600)
    assert not section.is_stale(NOW)
    assert section.is_stale(NOW + timedelta(seconds=1))
