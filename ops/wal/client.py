"""What PostgreSQL runs for each WAL file: asks the archiver service, and does the work itself where that is silent.

    archive_command = 'python3 -I -S client.py push %p'
    restore_command = 'python3 -I -S client.py fetch %f %p'

Options before the verb: `--socket PATH` of the service, `--ops PATH` of the command that is run in its place. What
follows the verb is what `ops wal push` and `fetch` take; the exit codes are theirs (docs/adr/0001-exit-codes.md).

A single file of the standard library, and little of that: importing `socket` or `json` would take longer than all the
rest. The protocol is in ops/wal/archiver/protocol.py, why there is a service in docs/adr/0009-archiver-service.md.
"""

import _socket  # what `socket` is made of
import os
import sys
from errno import EXDEV

SOCKET = "/run/ops-archiver/socket"
OPS = "/opt/ops/bin/ops"
SILENCE = 10.0  # seconds; the service gives a sign of life every second
FAILED = {"push": 4, "fetch": 200}
STANDALONE = "-"


def main(arguments: list[str]) -> int:
    """The exit code; does not return where `ops` takes over."""
    socket_path, ops = SOCKET, OPS
    while arguments[:1] in (["--socket"], ["--ops"]) and len(arguments) > 1:
        option, value, *arguments = arguments
        if option == "--socket":
            socket_path = value
        else:
            ops = value
    try:
        if arguments[:1] in (["push"], ["fetch"]):
            code = by_service(socket_path, arguments)
            if code is not None:
                return code
        os.execv(ops, [ops, "wal", *arguments])  # noqa: S606  no shell on purpose
    except Exception as error:
        complain(f"ERROR:  could not run {ops}: {error}")
    return FAILED["push" if arguments[:1] == ["push"] else "fetch"]


def by_service(socket_path: str, arguments: list[str]) -> int | None:
    """The exit code that the service gives; None where it gives none."""
    try:
        answer = ask(socket_path, ["1", arguments[0], os.getcwd(), *arguments[1:]])  # noqa: PTH109
        fault_point("client-answered")
        text, spooled, message = answer.split("\0", 2)
        if text == STANDALONE:
            return None
        code = int(text)
        if arguments[0] == "fetch" and code == 0:
            place(spooled, arguments[-1])
            fault_point("client-placed")
        if message:
            complain(message)
        return code
    except (OSError, ValueError):
        return None  # not running, hung, killed meanwhile, or of another version: nothing is lost by doing it again


def ask(socket_path: str, request: list[str]) -> str:
    """The answer of the service, whole; OSError where there is none."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(SILENCE)
    connection.connect(socket_path)
    unsent = os.fsencode("\0".join(request))
    while unsent:
        unsent = unsent[connection.send(unsent) :]
    connection.shutdown(_socket.SHUT_WR)
    fault_point("client-asked")
    answer = b""
    while received := connection.recv(65536):
        answer = (answer + received).lstrip(b"\n")  # empty lines are signs of life
    if not answer.endswith(b"\0\n"):
        raise OSError("the answer is cut off")
    return os.fsdecode(answer[:-2])


def place(spooled: str, destination: str) -> None:
    """Move a file that is complete and on disk to where PostgreSQL wants it, in one step."""
    try:
        os.rename(spooled, destination)  # noqa: PTH104
    except OSError as error:
        if error.errno != EXDEV:
            raise
        copy(spooled, f"{destination}.part-{os.getpid()}", destination)
    directory = os.open(os.path.dirname(destination) or ".", os.O_RDONLY)  # noqa: PTH120
    os.fsync(directory)
    os.close(directory)


def copy(spooled: str, part: str, destination: str) -> None:
    """The same to another file system: visible only when complete."""
    source = os.open(spooled, os.O_RDONLY)
    target = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while os.sendfile(target, source, None, 1 << 24):
            pass
        os.fsync(target)
        os.rename(part, destination)  # noqa: PTH104
    except BaseException:
        os.unlink(part)  # noqa: PTH108
        raise
    os.unlink(spooled)  # noqa: PTH108


def complain(message: str) -> None:
    """To PostgreSQL's log. A closed stderr must not change the exit code."""
    try:  # noqa: SIM105  importing contextlib takes time
        os.write(2, os.fsencode(message.rstrip("\n") + "\n"))
    except OSError:
        pass


def fault_point(name: str) -> None:
    """Where a test kills us; see ops/wal/faults.py."""
    if os.environ.get("OPS_KILL_AT") == name:
        os.kill(os.getpid(), 9)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
