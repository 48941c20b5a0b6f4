"""A deploy as an Ansible playbook: the same operations, on the same hosts, in the same order.

It is written as somebody who knows Ansible would: a play for each service and its hosts, the module that is made for
the purpose where there is one, contents from files on the controller. What our deploy asks with a command of its own,
the playbook asks with the same command. What our deploy asks before its first operation (the preflight) is left out.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from ops.deploys.run import Run, prepared
from ops.errors import OpsError


@dataclass
class Step:
    """One operation: what it is called with, and what it asks, on each host that has it."""

    service: str
    name: str
    function: str
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict)
    questions: dict[str, list[str]] = field(default_factory=dict)


@contextmanager
def _heard() -> Iterator[dict[tuple[str, str], list[str]]]:
    """(host, operation) -> the commands that pyinfra runs there meanwhile."""
    heard: dict[tuple[str, str], list[str]] = {}
    run_shell_command = SSHConnector.run_shell_command

    def listen(self: SSHConnector, command: StringCommand, *arguments: Any, **options: Any) -> Any:
        if self.host.current_op_hash:
            text = command.get_raw_value() if isinstance(command, StringCommand) else str(command)
            heard.setdefault((self.host.name, self.host.current_op_hash), []).append(text)
        return run_shell_command(self, command, *arguments, **options)

    SSHConnector.run_shell_command = listen  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        SSHConnector.run_shell_command = run_shell_command  # type: ignore[method-assign]


@dataclass(frozen=True)
class Recorded:
    """What a deploy does. `connections`: host -> how Ansible logs in there, as pyinfra does."""

    steps: list[Step]
    connections: dict[str, dict[str, str]]

    @property
    def operations(self) -> int:
        """How many there are, each counted once for each host that has it."""
        return sum(len(step.arguments) for step in self.steps)


def record(inventory: Path) -> Recorded:
    """The operations of a deploy of `inventory`, which must have nothing to do: OpsError otherwise."""
    with _heard() as heard, prepared(inventory) as run:
        if run.failures:
            raise OpsError("not every host can be asked", detail="\n".join(map(": ".join, run.failures.items())))
        found = [_step(run, operation, heard) for operation in run.state.get_op_order()]
        return Recorded(found, {host.name: _connection(host) for host in run.hosts})


def _connection(host: Host) -> dict[str, str]:
    options = [("-F", "ssh_config_file"), ("-o UserKnownHostsFile=", "ssh_known_hosts_file")]
    arguments = " ".join(f"{option}{host.data.get(key)}" for option, key in options if host.data.get(key))
    login = {"ansible_user": "ssh_user", "ansible_ssh_private_key_file": "ssh_key"}
    found = {name: str(host.data.get(key)) for name, key in login.items() if host.data.get(key)}
    return found | {"ansible_ssh_common_args": arguments}


def _step(run: Run, operation: str, heard: dict[tuple[str, str], list[str]]) -> Step:
    service, _, name = next(iter(run.state.get_op_meta(operation).names)).rpartition(" | ")
    step = Step(service, name, "")
    for host in run.hosts:
        if operation not in run.state.ops[host]:
            continue
        if run.state.ops[host][operation].operation_meta.will_change:
            raise OpsError(f"{host.name} is not as declared: {name}", hint="Deploy first: what is measured is a no-op.")
        step.function, step.arguments[host.name] = _called(run, host, operation)
        step.questions[host.name] = heard.get((host.name, operation), [])
    return step


def _called(run: Run, host: Host, operation: str) -> tuple[str, dict[str, Any]]:
    """The operation's function and arguments: pyinfra keeps them in the closure that makes its commands."""
    kept = inspect.getclosurevars(run.state.ops[host][operation].command_generator).nonlocals
    bound = inspect.signature(kept["func"]).bind(*kept["args"], **kept["kwargs"])
    bound.apply_defaults()
    return kept["func"].__name__, bound.arguments


def write(recorded: Recorded, folder: Path) -> Path:
    """The playbook in `folder`, with its inventory and files. Secrets are among them: `folder` must be private."""
    values: dict[str, dict[str, Any]] = {host: {} for host in recorded.connections}
    plays = []
    for service, group in groupby(enumerate(recorded.steps), key=lambda item: item[1].service):
        tasks = [(step, task) for number, step in group if (task := _task(number, step, values, folder))]
        hosts = [host for host in values if any(host in step.arguments for step, _ in tasks)]
        for step, task in tasks:
            if len(step.arguments) < len(hosts):
                task["when"] = f"inventory_hostname in {list(step.arguments)}"
        if tasks:
            plays.append({"name": service, "hosts": hosts, "gather_facts": False, "tasks": [task for _, task in tasks]})
    (folder / "host_vars").mkdir()
    for host, login in recorded.connections.items():
        (folder / "host_vars" / f"{host}.json").write_text(json.dumps(login | {"ours": values[host]}))
    (folder / "hosts").write_text("\n".join(values) + "\n")
    playbook = folder / "playbook.yml"
    playbook.write_text(json.dumps(plays, indent=1))  # JSON is YAML
    return playbook


def _task(number: int, step: Step, values: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any] | None:
    """The step as a task; None where it asks nothing: Ansible's hosts wait for each other as it is."""
    if step.function in _MODULES:
        module, arguments_of = _MODULES[step.function]
        of_hosts = {host: arguments_of(host, its, folder) for host, its in step.arguments.items()}
    elif any(step.questions.values()):
        module = "shell"
        of_hosts = {host: {"cmd": _verbatim("; ".join(asked))} for host, asked in step.questions.items()}
    else:
        return None
    arguments: dict[str, Any] = {}
    for key, value in next(iter(of_hosts.values())).items():
        if all(its[key] == value for its in of_hosts.values()):
            arguments[key] = value
            continue
        arguments[key] = f"{{{{ ours.step{number}.{key} }}}}"
        for host, its in of_hosts.items():
            values[host].setdefault(f"step{number}", {})[key] = its[key]
    task: dict[str, Any] = {"name": step.name, f"ansible.builtin.{module}": arguments}
    return task | ({"changed_when": False} if module == "shell" else {})


def _verbatim(command: str) -> str:
    """Out of the hands of Ansible's templates."""
    return f"{{% raw %}}{command}{{% endraw %}}"


def _copy(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    text = its["src"].getvalue() if isinstance(its.get("src"), StringIO) else its["content"]()
    file = folder / "files" / host / its["dest"].lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    owner = its["user"]
    mode = str(its.get("mode") or 400)
    return {"src": str(file), "dest": its["dest"], "owner": owner, "group": owner, "mode": mode.zfill(4)}


def _directory(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    mode = str(its["mode"]).zfill(4)
    return {"path": its["path"], "state": "directory", "owner": its["user"], "group": its["group"], "mode": mode}


def _link(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"path": its["path"], "src": its["target"], "state": "link"}


def _tree(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    modes = {"mode": str(its["mode"]).zfill(4), "directory_mode": str(its["dir_mode"]).zfill(4)}
    return {"src": f"{its['src']}/", "dest": its["dest"], "owner": its["user"], "group": its["group"], **modes}


def _user(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"name": its["user"], "system": its["system"], "shell": its["shell"], "home": its["home"]}


def _apt(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"name": its["names"], "install_recommends": False}


def _unit(host: str, its: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {"name": its["unit"], "enabled": True, "state": "started"}


_MODULES: dict[str, tuple[str, Callable[[str, dict[str, Any], Path], dict[str, Any]]]] = {
    "put": ("copy", _copy),
    "secret_file": ("copy", _copy),
    "directory": ("file", _directory),
    "link": ("file", _link),
    "sync": ("copy", _tree),
    "user": ("user", _user),
    "packages": ("apt", _apt),
    "started": ("systemd_service", _unit),
}
