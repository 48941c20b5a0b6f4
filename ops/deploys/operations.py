"""The few operations that pyinfra does not have, or has in a form that would leak or restart too much."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import tarfile
from collections.abc import Callable, Generator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import jinja2
from pyinfra import host, state
from pyinfra.api.command import FileUploadCommand, StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.facts.deb import DebPackages
from pyinfra.facts.files import File, FileContents, Sha256File
from pyinfra.operations import files

from ops.deploys.marks import mark, marks, our_file, preparing, unanswered, would_write
from ops.deploys.wheels import PROJECT, PYTHON, Environment, as_on_hosts
from ops.model.impact import Impact
from ops.model.packages import INDEX_READ, satisfies

Commands = Generator[str | StringCommand | FileUploadCommand, None, None]

# Units whose restart was begun on a host and has not ended well.
_under_way: set[str] = set()

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(PROJECT / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701  configuration files, not HTML
)
_TEMPLATES.filters["toml"] = json.dumps  # strings, numbers and lists of them are written alike in both


def render(template: str, **data: Any) -> str:
    """A template of templates/; an unknown variable is an error."""
    return _TEMPLATES.get_template(template).render(data)


def config_file(template: str, dest: str, *, user: str = "root", mode: str = "644", **data: Any) -> OperationMeta:
    """`templates/<template>` as the file `dest`. Never for secrets: `--diff` prints contents."""
    return text_file(render(template, **data), dest, user=user, mode=mode)


def text_file(
    text: str, dest: str, *, user: str = "root", mode: str = "644", carries: str | None = None
) -> OperationMeta:
    """`text` as the file `dest`, as `config_file` does. `carries` names the cluster whose declaration it only hands on:
    what that brings about is shown by `ops plan`, and not the file."""
    name = f"Write {dest}"
    if carries:
        marks().carriers[name] = carries
    our_file(dest, user, mode)
    meta = files.put(name=name, src=StringIO(text), dest=dest, user=user, group=user, mode=mode)
    if state.should_check_for_changes() and meta.will_change:
        would_write(dest)
    return meta


@operation()
def secret_file(dest: str, content: Callable[[], str], *, user: str = "root") -> Commands:
    """A file that only `user` may read. Its contents never appear in a label, an argument, a diff or a log.

    `content` is a function, because pyinfra prints the arguments of an operation that has no name of its own.
    """
    our_file(dest, user, mode="400")
    text = content()
    present = host.get_fact(File, path=dest)
    digest = host.get_fact(Sha256File, path=dest) if present else None
    same_bytes = digest == hashlib.sha256(text.encode()).hexdigest()
    if present and same_bytes and (present["user"], present["group"], present["mode"]) == (user, user, 400):
        host.noop(f"{dest} is up to date")
        return
    would_write(dest)
    # The empty file gets its owner and mode first, so that the secret is at no moment readable by anybody else.
    new = shlex.quote(f"{dest}.new")
    yield f"rm -f {new} && install -m 0400 -o {user} -g {user} /dev/null {new}"
    yield FileUploadCommand(StringIO(text), f"{dest}.new")
    yield f"mv -f {new} {shlex.quote(dest)}"


class Account(FactBase[list[str]]):
    """The home and the shell of a user; nothing where there is no such user."""

    default = list

    def command(self, user: str) -> str:
        return f"getent passwd {user} || true"

    def process(self, output: list[str]) -> list[str]:
        return output[0].split(":")[5:]


@operation()
def account(user: str) -> Commands:
    """A user of the system's that owns a service's files and that nobody logs in as."""
    home, shell = "/nonexistent", "/usr/sbin/nologin"
    found = host.get_fact(Account, user=user)
    if found == [home, shell]:
        host.noop(f"{user} is there")
        return
    options = f"--home-dir {home} --shell {shell} {user}"
    yield f"usermod {options}" if found else f"useradd --system --no-create-home {options}"


@operation()
def packages(names: list[str], version: str = "", impacts: tuple[Impact, ...] = ()) -> Commands:
    """Debian packages, without starting or restarting their services: that is done when they are configured.

    `version` pins all of them: 15.20 (any build of it), or as exact as 15.20-0+deb12u1. Without it what is there stays.
    `impacts` is what another version of what is there will lead to.
    """
    installed = host.get_fact(DebPackages)
    missing = [name for name in names if not any(satisfies(one, version) for one in installed.get(name, ()))]
    if not missing:
        host.noop(f"{', '.join(names)}: installed")
        return
    if any(name in installed for name in missing):
        mark(*impacts, what=f"Install {', '.join(missing)} {version}")
    if version:
        wanted = version if "-" in version else f"{version}-*"
        yield apt_install([f"{name}={wanted}" for name in missing], "apt-get update -qq")
    else:
        # Not the time of the index itself, which is when the archive was last changed.
        recent = f"find {INDEX_READ} -mtime -1 2>/dev/null | grep -q ."
        yield apt_install(missing, f"{recent} || {{ apt-get update -qq; touch {INDEX_READ}; }}")


def apt_install(names: list[str], update: str) -> str:
    """The shell line that installs packages without starting their services; `update` sees to apt's index."""
    # Debian's hook against services that start while being installed (man 8 invoke-rc.d). A site's own one is left
    # alone; one of ours that a host died with is replaced, and so is a dpkg run that it died in finished.
    return (
        "set -e; policy=/usr/sbin/policy-rc.d; "
        "if [ ! -e $policy ] || grep -q pend-ops $policy; then trap 'rm -f /usr/sbin/policy-rc.d' EXIT; "
        "printf '#!/bin/sh\\n# pend-ops\\nexit 101\\n' > $policy; chmod 755 $policy; fi; "
        # needrestart, where a site has it, only lists: a library must not restart a database.
        "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l; dpkg --configure -a; "
        f"{update}; apt-get install -qq -y --no-install-recommends --allow-downgrades "
        f"-o Dpkg::Options::=--force-confold {shlex.join(names)}"
    )


@operation()
def python_environment(environment: Environment) -> Commands:
    """A virtual environment with exactly what the controller has installed into it.

    It is made beside the present one, and a link is moved: PostgreSQL calls `ops` at any moment, and would take a
    half-installed one for a store that is broken. The one before stays, for what still runs from it.
    """
    path, home = environment.path, environment.home
    if host.get_fact(FileContents, path=f"{path}/.installed") == [environment.digest]:
        host.noop(f"{path} is up to date")
        return
    would_write(f"{path}/.installed")
    archive = f"{path}.tar.gz"
    yield FileUploadCommand(str(environment.archive), archive)
    yield (
        f"set -e; rm -rf {home}; python3 -m venv --without-pip {home}; "
        f"tar -xzf {archive} -C {home} bin; tar -xzf {archive} -C {home}/lib/{PYTHON} site-packages; rm {archive}; "
        f"echo {environment.digest} > {home}/.installed; ln -sfn {home} {path}.new; mv -T {path}.new {path}; "
        f"ls -dt {path}-* | tail -n +3 | xargs -r rm -rf"
    )


class Contents(FactBase[set[str]]):
    """All that lies below a folder: a line for what each is, and one for the digest of each file."""

    default = set

    def command(self, path: str) -> str:
        look = "find . -mindepth 1 -printf '%y %m %u:%g ./%P\\n'; find . -type f -exec sha256sum {} +"
        return f"! cd {path} 2>/dev/null || {{ {look}; }}"

    def process(self, output: list[str]) -> set[str]:
        return set(output)


@operation()
def folder(src: Path, dest: str) -> Commands:
    """`src` with all below it as `dest`, and nothing else in there: root's, for all to read."""
    inside = [(path, f"./{path.relative_to(src)}") for path in src.rglob("*")]
    wanted = {f"{'d 755' if path.is_dir() else 'f 644'} root:root {name}" for path, name in inside} | {
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}" for path, name in inside if path.is_file()
    }
    if host.get_fact(Contents, path=dest) == wanted:
        host.noop(f"{dest} is up to date")
        return
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(src, arcname=".", filter=as_on_hosts)
    new = f"{dest}.new"
    yield f"rm -rf {new} && mkdir {new}"
    yield FileUploadCommand(archive, f"{new}.tar")
    yield f"tar -xf {new}.tar -C {new} && rm -rf {new}.tar {dest} && mv -T {new} {dest}"


class JsonOf(FactBase[Any]):
    """What a command on the host prints as JSON; None where it prints none. Its exit code is not looked at."""

    def command(self, command: str) -> str:
        return f"{command} 2>/dev/null || true"

    def process(self, output: list[str]) -> Any:
        try:
            return json.loads("\n".join(output))
        except ValueError:
            return None


@operation()
def converge(command: str, declared: str = "", settles: str | None = None) -> Commands:
    """Runs a command of ours that knows by itself whether there is anything to do (`--check --json` says what).

    `declared` is what it is to bring about, in the cluster `settles`: given to the check because the file on the host
    is still the one before while a deploy is prepared.
    """
    check = f"{command} --check --json"
    if declared:
        given = base64.b64encode(declared.encode()).decode()
        check = f"echo {given} | base64 -d | {check} --declared -"
    answer = host.get_fact(JsonOf, command=check)
    pending = answer.get("pending") if isinstance(answer, dict) else None
    if pending == []:
        host.noop(f"{command}: nothing to do")
        return
    if isinstance(answer, dict) and "error" in answer:
        unanswered(f"{command}: {answer['error']}")
    for change in pending or []:
        mark(*map(Impact, change["impacts"]), what=change["what"], settles=settles)
    yield command


class UnitState(FactBase[set[str]]):
    """Which of `enabled`, `active` and `fresh` a unit is: fresh means no file of its is newer than its last (re)start.

    That is read from the files and a stamp in /run (after a boot, from systemd's own record), not from what this run
    changed: a deploy that was killed between writing a file and restarting the service is put right by the next one.
    """

    default = set

    def command(self, unit: str, files: tuple[str, ...] = ()) -> str:
        stamp, paths = _stamp(unit), shlex.join(files)
        return (
            f"systemctl is-enabled -q {unit} 2>/dev/null && echo enabled; "
            f"systemctl is-active -q {unit} && echo active; "
            f"if [ -e {stamp} ]; then newer=$(find {paths} -newer {stamp}); "
            f'else newer=$(find {paths} -newermt "$(systemctl show -P ActiveEnterTimestamp {unit})"); fi; '
            '[ -z "$newer" ] && echo fresh; true'
        )

    def process(self, output: list[str]) -> set[str]:
        return set(output)


def _stamp(unit: str) -> str:
    return f"/run/pend-ops/{unit}.started"


@operation()
def started(unit: str, files: tuple[str, ...] = ()) -> Commands:
    """The unit is enabled and running. `files` are those that `current` will ask about: one question serves both."""
    if {"enabled", "active"} <= host.get_fact(UnitState, unit=unit, files=files):
        host.noop(f"{unit} is running")
        return
    if preparing():
        marks().started.add(unit)
    yield start_command(unit)


@operation()
def stopped(unit: str) -> Commands:
    """The unit neither runs nor starts at a boot."""
    if host.get_fact(UnitState, unit=unit).isdisjoint({"enabled", "active"}):
        host.noop(f"{unit} is not running")
        return
    yield f"systemctl disable -q --now {unit}"


def start_command(unit: str) -> str:
    """Starts a unit, now and at every boot, and remembers when."""
    # systemd reads a unit when it first hears of it. To read all of them anew, and run every generator, takes longer
    # than most starts: it is done where this one has changed since.
    return (
        f"set -e; systemctl enable -q --no-reload {unit}; "
        f'[ "$(systemctl show -P NeedDaemonReload {unit})" = no ] || systemctl daemon-reload; '
        f"systemctl start {unit}; mkdir -p /run/pend-ops; touch {_stamp(unit)}"
    )


@operation()
def current(unit: str, files: tuple[str, ...], *, verb: str = "restart") -> Commands:
    """The unit runs with its `files` as they are: it is restarted (or reloaded) where one of them is newer."""
    is_fresh = "fresh" in host.get_fact(UnitState, unit=unit, files=files)
    if preparing():  # what this run is to write or to start has not happened yet
        if not is_fresh:
            marks().outdated.setdefault(unit, set()).update(files)
        is_fresh = unit in marks().started or (is_fresh and not marks().written & set(files))
    if is_fresh:
        host.noop(f"{unit} runs with its files as they are")
        return
    mark(Impact.RELOAD if verb == "reload" else Impact.RESTART, what=f"{verb.capitalize()} {unit}")
    if unit in _under_way:
        # pyinfra looks at failures only when all hosts have had their turn.
        raise OperationError(f"{unit} did not come back on the host before this one; left as it is here")
    if state.is_executing:
        _under_way.add(unit)
    yield f"systemctl daemon-reload && mkdir -p /run/pend-ops && systemctl {verb} {unit} && touch {_stamp(unit)}"
    _under_way.discard(unit)  # not reached where that failed


def service(unit: str, *files: str, verb: str = "restart") -> None:
    """A unit that runs with its `files` as they are. Started on all hosts at once, restarted on one after the other."""
    marks().units[unit] = files
    started(name=f"Start {unit}", unit=unit, files=files)
    if files:
        current(
            name=f"{verb.capitalize()} {unit} where its files changed", unit=unit, files=files, verb=verb, _serial=True
        )


def unit_file(template: str, unit: str, **data: Any) -> OperationMeta:
    """A systemd unit from its template; systemd is told of it whenever a unit is started."""
    return config_file(template, f"/etc/systemd/system/{unit}.service", **data)


def directory(path: str, *, user: str = "root", mode: str = "755") -> OperationMeta:
    """A directory and its parents."""
    return files.directory(name=f"Make {path}", path=path, user=user, group=user, mode=mode)
