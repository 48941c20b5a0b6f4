"""What a rolling restart does next, from how the cluster is just now."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ops.model.rolling import Node, Reason, Restart, Stop, Switchover, Wait, next_step

RAISED = Reason("max_connections 100 → 200")
LOWERED = Reason("max_connections 200 → 100", primary_first=True)
UPGRADE = Reason("PostgreSQL 15.18 → 15.20")


def due(*reasons: Reason) -> frozenset[Reason]:
    return frozenset(reasons)


def cluster(reasons: frozenset[Reason] = frozenset()) -> list[Node]:
    """Three healthy members, of which `b` leads; all are due for `reasons`."""
    return [Node(name, leads=name == "b", may_lead=name != "b", reasons=reasons) for name in "abc"]


def play(nodes: list[Node]) -> tuple[list[Restart | Switchover], Stop | Wait | None]:
    """Carry out every step as Patroni would, until none is left or nothing goes on."""
    tried: dict[str, frozenset[Reason]] = {}
    steps: list[Restart | Switchover] = []
    while True:
        step = next_step(nodes, tried)
        if step is None or isinstance(step, Wait | Stop):
            return steps, step
        steps.append(step)
        nodes = after(nodes, step)
        name = step.name if isinstance(step, Restart) else step.old
        tried[name] = tried.get(name, frozenset()) | step.reasons
        assert len(steps) < 20, "it does not end"


def after(nodes: list[Node], step: Restart | Switchover) -> list[Node]:
    """A standby starts with no less than its primary runs with; everything else is settled by a start."""
    if isinstance(step, Switchover):
        new = next(node.name for node in nodes if node.may_lead)
        nodes = [replace(node, leads=node.name == new, may_lead=node.name != new) for node in nodes]
    started = step.name if isinstance(step, Restart) else step.old
    leader = next(node for node in nodes if node.leads)

    def start(node: Node) -> Node:
        kept = leader.reasons if node is not leader else frozenset()
        return replace(node, reasons=frozenset(r for r in node.reasons if r.primary_first and r in kept))

    return [start(node) if node.name == started else node for node in nodes]


def test_nothing_is_done_where_nobody_is_due() -> None:
    assert next_step(cluster(), {}) is None


def test_a_member_in_trouble_does_not_matter_where_nobody_is_due() -> None:
    nodes = [replace(node, trouble="is stopped") for node in cluster()]
    assert next_step(nodes, {}) is None


def test_replicas_come_first_then_one_switchover_restarts_the_primary() -> None:
    steps, end = play(cluster(due(RAISED)))
    assert steps == [Restart("a", due(RAISED)), Restart("c", due(RAISED)), Switchover("b", due(RAISED))]
    assert end is None


def test_what_a_standby_may_not_have_less_of_is_lowered_on_the_primary_first() -> None:
    steps, end = play(cluster(due(LOWERED)))
    assert steps == [
        Restart("b", due(LOWERED), interrupts=True),
        Restart("a", due(LOWERED)),
        Restart("c", due(LOWERED)),
    ]
    assert end is None


def test_with_both_kinds_of_reasons_the_replicas_are_restarted_twice_and_nobody_switches() -> None:
    steps, end = play(cluster(due(LOWERED, UPGRADE)))
    assert [str(step).split(":")[0] for step in steps] == [
        "restart a",
        "restart c",
        "restart b in place, as the primary",
        "restart a",
        "restart c",
    ]
    assert end is None


def test_a_run_that_was_killed_after_the_first_replica_goes_on_with_the_second() -> None:
    a, b, c = cluster(due(RAISED))
    assert next_step([replace(a, reasons=frozenset()), b, c], {}) == Restart("c", due(RAISED))


def test_nothing_goes_on_while_a_member_is_in_trouble() -> None:
    a, b, c = cluster(due(RAISED))
    assert next_step([replace(a, reasons=frozenset(), trouble="is 20 MiB behind"), b, c], {}) == Wait(
        "a is 20 MiB behind"
    )


def test_it_ends_when_the_old_primary_is_back_and_not_before() -> None:
    a, b, c = cluster()
    nodes = [replace(a, leads=True), replace(b, leads=False, trouble="is stopping"), c]
    assert next_step(nodes, {"b": due(RAISED)}) == Wait("b is stopping")
    assert next_step([replace(a, leads=True), replace(b, leads=False), c], {"b": due(RAISED)}) is None


def test_nothing_goes_on_while_nobody_leads() -> None:
    assert next_step([replace(node, leads=False) for node in cluster(due(RAISED))], {}) == Wait("nobody leads")


def test_a_restart_that_settles_nothing_is_not_repeated() -> None:
    step = next_step(cluster(due(RAISED)), {"a": due(RAISED)})
    assert isinstance(step, Stop)
    assert "a was restarted, and that did not settle: max_connections 100 → 200" in step.message


def test_nobody_takes_over_who_may_not() -> None:
    a, b, c = cluster()
    nodes = [replace(a, may_lead=False), replace(b, reasons=due(RAISED)), replace(c, may_lead=False)]
    assert next_step(nodes, {}) == Wait("no replica may take over")


def test_the_only_member_is_restarted_only_where_that_was_allowed() -> None:
    alone = [Node("a", leads=True, reasons=due(RAISED))]
    refused = next_step(alone, {})
    assert isinstance(refused, Stop)
    assert "--allow-interruption" in refused.hint
    assert next_step(alone, {}, allow_interruption=True) == Restart("a", due(RAISED), interrupts=True)


@given(st.lists(st.frozensets(st.sampled_from([RAISED, LOWERED, UPGRADE])), min_size=3, max_size=3))
def test_it_always_comes_to_an_end_with_at_most_one_switchover(reasons: list[frozenset[Reason]]) -> None:
    # A standby is only ever due for a lowered setting while its primary is, or was just restarted for it.
    nodes = [replace(node, reasons=mine) for node, mine in zip(cluster(), reasons, strict=True)]
    steps, end = play(nodes)
    assert end is None
    assert sum(isinstance(step, Switchover) for step in steps) <= 1
