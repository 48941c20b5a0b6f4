"""One look at a host for the preflight: a single question to it, and a second one only where packages are lacking."""

from __future__ import annotations

import shlex
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from cryptography import x509
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host

from ops.deploys.apt_source import DOWNLOAD
from ops.deploys.base import CA_FILE
from ops.deploys.etcd_members import CERTIFICATE, CLIENT_PORT, DATA, KEY
from ops.deploys.operations import render
from ops.model.preflight import Clock, Disk, Facts, Listener, Need

Lines = list[list[str]]


class _Words(FactBase[Lines]):
    """What a script of templates/preflight/ prints: a line of words for each thing that it saw."""

    default = list

    def process(self, output: list[str]) -> Lines:
        return [line.split() for line in output if line.strip()]


class Survey(_Words):
    """Everything that the preflight asks every host, in one question."""

    def command(self, needs: Sequence[Need], etcd: bool) -> str:
        member = {"data": DATA, "ca": CA_FILE, "certificate": CERTIFICATE, "key": KEY, "port": CLIENT_PORT}
        return render(
            "preflight/survey.sh.j2",
            directories=_quoted(_directories(needs)),
            packages=_quoted(name for need in needs for name in need.packages),
            ports=sorted({port for need in needs for port in need.ports}),
            etcd=member if etcd else None,
        )


class Sources(_Words):
    """Whether package sources answer: those whose releases are in `folders`, and apt's own if `packages` must come from
    them."""

    def command(self, folders: Sequence[str], packages: Sequence[str]) -> str:
        return render(
            "preflight/sources.sh.j2", download=DOWNLOAD, folders=_quoted(folders), packages=_quoted(packages)
        )


def look(host: Host, needs: Sequence[Need], *, etcd: bool) -> Facts:
    """What `host` shows; its sources only where packages are lacking."""
    before = time.time()
    lines = host.get_fact(Survey, needs=needs, etcd=etcd)
    facts = read(lines, _directories(needs), before, time.time())
    lacking = [need for need in needs if need.lacking(facts.packages)]
    if not lacking:
        return facts
    folders = {need.source for need in lacking if need.source}
    names = {name for need in lacking if not need.source for name in need.lacking(facts.packages)}
    answers = _by_kind(host.get_fact(Sources, folders=folders, packages=names))
    return replace(facts, sources=_failures(answers["source"]), own_sources=_failures(answers["own_source"]))


def read(lines: Lines, directories: Sequence[str], before: float, after: float) -> Facts:
    """The survey's lines about `directories`, asked for and answered at these moments of the controller's clock.

    The host's clock is read as NTP reads one: at both ends of the question, there and here, so that only the way there
    and back counts as error, and not what the question itself takes.
    """
    seen = _by_kind(lines)
    pems: defaultdict[str, str] = defaultdict(str)
    for file, *text in seen["certificate"]:
        pems[file] += f"{' '.join(text)}\n"
    start, end = (float(moment) for (moment,) in seen["clock"])
    return Facts(
        system=" ".join(seen["system"][0]),
        machine=seen["machine"][0][0],
        memory=int(seen["memory"][0][0]) * 1024,
        clock=Clock(((start - before) + (end - after)) / 2, max(0.0, (after - before) - (end - start)) / 2),
        disks={
            directory: Disk(mount, int(free) * 1024)
            for directory, (mount, free) in zip(directories, seen["disk"], strict=True)
        },
        packages={name: version[0] for status, name, *version in seen["package"] if status == "installed"},
        listeners=tuple(_listener(*words) for words in seen["listener"]),
        certificates={file: _expiry(pem) for file, pem in pems.items()},
        ca=pems[CA_FILE],
        etcd=seen["etcd"][0][0] if seen["etcd"] else "absent",  # type: ignore[arg-type]
    )


def _directories(needs: Sequence[Need]) -> list[str]:
    return list(dict.fromkeys(need.data for need in needs))


def _expiry(pem: str) -> datetime:
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc


def _by_kind(lines: Lines) -> defaultdict[str, Lines]:
    seen: defaultdict[str, Lines] = defaultdict(list)
    for kind, *words in lines:
        seen[kind].append(words)
    return seen


def _failures(answers: Lines) -> dict[str, str]:
    return {folder: " ".join(why) for folder, *why in answers}


def _listener(local: str, unit: str, users: str = "") -> Listener:
    """Of `10.0.0.1:5432 patroni.service users:(("postgres",pid=7,fd=6))`; others' processes may not be told."""
    address, _, port = local.rpartition(":")
    program = users.split('"')[1] if '"' in users else "somebody"
    return Listener(int(port), address.strip("[]").partition("%")[0], unit, program)


def _quoted(words: Iterable[str]) -> list[str]:
    return [shlex.quote(word) for word in dict.fromkeys(words)]
