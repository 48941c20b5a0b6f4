"""Alerts: what promtool says of the rules and their cases, and that rules, cases, metrics and runbooks fit together."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerts import rules
from tests.alerts.rules import CASES, CHECKOUT, RULES, RUNBOOKS, Rule

ALERTS = rules.alerts()
NAMES = sorted({rule.name for rule in ALERTS})
GENERAL_RUNBOOKS = {"README", "audit", "change", "members", "restore"}  # of tasks, not of alerts
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
# A command of `ops` as runbooks and annotations write it: up to a comment, or to the next command on its line. With a
# colon behind its name it is a line of a journal.
COMMAND = re.compile(r"(?:^|[`;] ?|- |^ +)(ops (?![a-z ]+:)[a-z][^`;#|\n]*)", re.MULTILINE)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What it says, on whichever of its outputs, in the order in which it was written."""
    argv = ["promtool", *arguments]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300)


def test_promtool_finds_nothing_to_object_to_in_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("theme", rules.themes())
def test_every_case_of_a_theme_holds(theme: str) -> None:
    tested = promtool("test", "rules", CASES / f"{theme}.test.yml")
    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_says_what_is_wrong_what_to_type_and_where_to_read_on(rule: Rule) -> None:
    assert rule.labels["severity"] in ("page", "ticket", "heartbeat")
    assert set(rule.annotations) == {"summary", "description", "command", "runbook_url"}
    assert all(rule.annotations.values())
    assert rule.annotations["runbook_url"] == f"docs/runbooks/{rule.name}.md"


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_has_cases_that_fire_that_do_not_and_that_lack_the_series(rule: Rule) -> None:
    cases = [case for case in rules.cases(rule.theme)["tests"] if case["name"].startswith(f"{rule.name}: ")]
    fired = [
        expected
        for case in cases
        for moment in case["alert_rule_test"]
        for expected in moment["exp_alerts"]
        if expected["exp_labels"]["severity"] == rule.labels["severity"]
    ]
    kinds = Counter(re.sub(r"^\w+: (fires|does not fire|lacks the series).*", r"\1", case["name"]) for case in cases)
    assert fired, "no case in which it fires"
    wanted = {"fires", "lacks the series"} | ({"does not fire"} if rule.name != "Watchdog" else set())
    assert set(kinds) == wanted, f"{rule.name} has {dict(kinds)}"


def test_a_case_that_says_it_does_not_fire_expects_no_page_of_its_own() -> None:
    for theme in rules.themes():
        for case in rules.cases(theme)["tests"]:
            if ": does not fire as a page" in case["name"]:
                severities = {one["exp_labels"]["severity"] for one in expected_of(case)}
                assert severities == {"ticket"}, case["name"]
            elif ": does not fire" in case["name"]:
                assert not list(expected_of(case)), case["name"]


def expected_of(case: dict[str, Any]) -> Iterator[dict[str, dict[str, str]]]:
    for moment in case["alert_rule_test"]:
        yield from moment["exp_alerts"]


def test_every_metric_in_a_rule_is_told_by_an_exporter() -> None:
    told = set(re.findall(r"^\| `(ops_\w+)`", (CHECKOUT / "docs/metrics.md").read_text(), re.MULTILINE))
    stock = re.sub(r"#.*|\[.*?\]", "", (CASES / "stock_metrics.txt").read_text()).split()
    used = set().union(*map(rules.metrics, rules.expressions()))
    assert used - told - set(stock) == {"up"}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    written = {path.stem for path in RUNBOOKS.glob("*.md")}
    assert written - GENERAL_RUNBOOKS == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_its_sections_and_leads_nowhere_in_vain(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (RUNBOOKS / target).exists(), f"{name}.md links to {target}"


def test_the_list_of_runbooks_names_each_with_the_severities_that_it_has() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| ([a-z, ]+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE
    )
    severities = {name: {rule.labels["severity"] for rule in ALERTS if rule.name == name} for name in NAMES}
    assert {name: set(said.split(", ")) for name, _, said in listed} == severities
    assert all(name == file for name, file, _ in listed)


def commands() -> Iterator[tuple[str, str]]:
    """Every command of `ops` that a runbook or an annotation tells somebody to type, with where it stands."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        for found in COMMAND.finditer(path.read_text()):
            yield path.name, found[1].strip()
    for rule in ALERTS:
        for found in COMMAND.finditer(rule.annotations["command"]):
            yield f"command of {rule.name}", found[1].strip()


def test_every_command_that_somebody_is_told_to_type_exists_with_its_options() -> None:
    told = list(commands())
    assert len(told) > len(NAMES)
    # In a process of its own: whoever imports all commands gets pyinfra's changes to the standard library with them.
    texts = json.dumps([text for _, text in told])
    asked = [sys.executable, "-m", "tests.alerts.objections"]
    answer = subprocess.run(asked, input=texts, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    troubles = json.loads(answer.stdout)
    wrong = [f"{where}: {text}: {trouble}" for (where, text), trouble in zip(told, troubles, strict=True) if trouble]
    assert not wrong, "\n".join(wrong)


def test_changing_any_threshold_or_wait_makes_a_case_fail(tmp_path: Path) -> None:
    changes = {f"{rule.name}__{n}": f"{rule}: {what}" for rule, n, what, _ in every_mutant()}
    assert len(changes) > 2 * len(ALERTS)
    files = [with_mutants(tmp_path, name) for name in NAMES]
    told = promtool("test", "rules", *files).stdout
    assert told.count("Unit Testing:") == len(files)
    noticed = set(re.findall(r"alertname: (\w+), time:", told))
    assert noticed <= changes.keys(), "a case fails that nothing was changed for"
    survived = sorted(changes[name] for name in changes.keys() - noticed)
    assert not survived, "nothing notices these changes:\n" + "\n".join(survived)


def every_mutant() -> Iterator[tuple[Rule, int, str, dict[str, str]]]:
    """Each change of each alert, numbered by the alert's name from 1."""
    numbers: Counter[str] = Counter()
    for rule in ALERTS:
        for what, keys in rules.mutants(rule):
            numbers[rule.name] += 1
            yield rule, numbers[rule.name], what, keys


def with_mutants(folder: Path, name: str) -> Path:
    """The cases of an alert, asked of the alert itself (number 0) and of every mutant of it, side by side."""
    (theme,) = {rule.theme for rule in ALERTS if rule.name == name}
    recordings = [one for group in rules.theme(theme)["groups"] for one in group["rules"] if "record" in one]
    variants: dict[int, list[dict[str, Any]]] = {0: own(name)}
    for rule, number, _, keys in every_mutant():
        if rule.name == name:
            # The other severities of the same name stay what they are.
            variants[number] = [one | keys if one["labels"] == rule.labels else one for one in own(name)]
    alerts = [one | {"alert": f"{name}__{n}"} for n, variant in variants.items() for one in variant]
    document = {"groups": [{"name": theme, "rules": recordings + alerts}]}
    cases = dict(rules.cases(theme))
    cases["rule_files"] = [f"{name}.yml"]
    cases["tests"] = [
        case
        | {"alert_rule_test": [m | {"alertname": f"{name}__{n}"} for n in variants for m in case["alert_rule_test"]]}
        for case in cases["tests"]
        if case["name"].startswith(f"{name}: ")
    ]
    (folder / f"{name}.yml").write_text(json.dumps(document))  # which is YAML, too
    file = folder / f"{name}.test.yml"
    file.write_text(json.dumps(cases))
    return file


def own(name: str) -> list[dict[str, Any]]:
    """The rules that make an alert, as they stand in the file."""
    return [
        one for t in rules.themes() for g in rules.theme(t)["groups"] for one in g["rules"] if one.get("alert") == name
    ]
