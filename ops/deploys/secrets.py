"""Secrets by name, from the source that the inventory chose. They never stand in group data, arguments or logs."""

from __future__ import annotations

import os
import secrets as random
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyrage

from ops.config import nearest
from ops.deploys.settings.site import SecretsSource
from ops.errors import OpsError


@dataclass(frozen=True)
class Secrets:
    """A source of secrets. `str()` and `repr()` of it show none."""

    source: SecretsSource

    def get(self, name: str) -> str:
        """The secret called `name`; OpsError saying how to provide it where there is none."""
        kind = self.source.source
        if kind == "environment":
            return self._from_environment(name)
        if kind == "generated":
            return _generated(self._file(), name)
        known = (
            _read_age(self._file(), self._identity()) if kind == "age" else _read_command(tuple(self.source.command))
        )
        if name in known:
            return known[name]
        where = str(self.source.file) if kind == "age" else f"what `{self.source.command[0]}` prints"
        guess = nearest(name, list(known))
        raise OpsError(
            f"there is no secret {name!r} in {where}",
            hint=f'Add a line: {name} = "…"' + (f" (or was {guess!r} meant for it?)" if guess else ""),
        )

    def _from_environment(self, name: str) -> str:
        variable = f"{self.source.prefix}{name.upper()}"
        value = os.environ.get(variable)
        if not value:
            raise OpsError(
                f"the environment has no secret {variable}", hint=f"Set {variable} and run the deploy again."
            )
        return value

    def _file(self) -> Path:
        assert self.source.file is not None  # SecretsSource checks it
        return self.source.file.expanduser()

    def _identity(self) -> Path:
        assert self.source.identity is not None
        return self.source.identity.expanduser()


@cache
def _read_age(file: Path, identity_file: Path) -> dict[str, str]:
    try:
        identity_text = identity_file.read_bytes()
        sealed = file.read_bytes()
    except OSError as error:
        raise OpsError(f"may not read {error.filename}", detail=str(error.strerror)) from error
    try:
        if identity_text.startswith(b"AGE-SECRET-KEY-") or b"\nAGE-SECRET-KEY-" in identity_text:
            line = next(line for line in identity_text.decode().splitlines() if line.startswith("AGE-SECRET-KEY-"))
            identity = pyrage.x25519.Identity.from_str(line)
        else:
            identity = pyrage.ssh.Identity.from_buffer(identity_text)
        return _flat(pyrage.decrypt(sealed, [identity]).decode(), str(file))
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        raise OpsError(
            f"cannot decrypt {file} with {identity_file}",
            detail=str(error),
            hint="Encrypt it again with your key among the recipients, or name another identity.",
        ) from error


@cache
def _read_command(command: tuple[str, ...]) -> dict[str, str]:
    try:
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise OpsError(f"the secrets command `{command[0]}` failed", detail=str(error)) from error
    return _flat(run.stdout, f"the output of `{command[0]}`")


def _flat(text: str, where: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError:
        # The parser's own message would quote the text, and the text is secret.
        raise OpsError(f"{where} is not valid TOML", hint='Write one secret a line: name = "value"') from None


def _generated(file: Path, name: str) -> str:
    """From `file`, where it is made at first use: for fleets that nobody but their maker reaches."""
    known = _flat(file.read_text(), str(file)) if file.exists() else {}
    if name not in known:
        known[name] = random.token_urlsafe(32)  # 32 bytes: a key-encryption key has to have so many
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f'{key} = "{value}"\n' for key, value in sorted(known.items()))
        temporary = file.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(text)
        temporary.replace(file)
    return known[name]
