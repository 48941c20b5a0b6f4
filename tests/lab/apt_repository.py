"""A signed apt repository with packages that are called TimescaleDB, made here: source, key, pin and preload are real.

The library that they bring is a module of PostgreSQL's own (auto_explain), so that preloading it really loads
something; the extension has one function, which says its version.
"""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SUITE, COMPONENT = "bookworm", "main"
EXTENSION, LOADER = "timescaledb-2-postgresql-15", "timescaledb-2-loader-postgresql-15"
LIBRARY = Path("/usr/lib/postgresql/15/lib/auto_explain.so")
ARMOR = ["--armor", "--yes", "--batch", "--passphrase", ""]


def run(*command: str | Path, stdin: str = "") -> str:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


class Signer:
    """An OpenPGP key in a keyring of its own; `key` is the file that apt is to trust."""

    def __init__(self, folder: Path) -> None:
        self._home, self.key = folder, folder / "key.asc"
        folder.mkdir(mode=0o700, parents=True)
        self._gpg("--quick-generate-key", "lab apt repository", "ed25519", "sign", "never")
        self._gpg("--export", "--output", str(self.key))

    def sign(self, source: Path, target: Path) -> None:
        self._gpg("--clearsign", "--output", str(target), str(source))

    def close(self) -> None:
        """End the agent that gpg has started for this keyring."""
        run("gpgconf", "--homedir", self._home, "--kill", "all")

    def _gpg(self, *arguments: str) -> None:
        run("gpg", "--homedir", self._home, *ARMOR, *arguments)


@dataclass(frozen=True)
class AptRepository:
    """The repository in `folder`."""

    folder: Path
    signer: Signer

    def add(self, version: str, *, before: str | None = None) -> None:
        """Both packages in `version`, with an update script from the version `before`."""
        architecture = run("dpkg", "--print-architecture").strip()
        release = version.partition("~")[0]
        lib, extension = "usr/lib/postgresql/15/lib", "usr/share/postgresql/15/extension"
        says = f"FUNCTION timescaledb_version() RETURNS text LANGUAGE sql AS $$ SELECT '{release}' $$;\n"
        files = {"timescaledb.control": f"default_version = '{release}'\n"}
        files[f"timescaledb--{release}.sql"] = f"CREATE {says}"
        if before:
            files[f"timescaledb--{before}--{release}.sql"] = f"CREATE OR REPLACE {says}"
        contents = {f"{extension}/{name}": text.encode() for name, text in files.items()}
        depends = f"postgresql-15, {LOADER} (= {version})"
        self._package(EXTENSION, version, architecture, depends, contents)
        self._package(LOADER, version, architecture, "postgresql-15", {f"{lib}/timescaledb.so": LIBRARY.read_bytes()})
        self._index(architecture)

    def _package(self, name: str, version: str, architecture: str, depends: str, files: dict[str, bytes]) -> None:
        root = self.folder / "build"
        control = {
            "Package": name,
            "Version": version,
            "Architecture": architecture,
            "Maintainer": "lab <lab@pend.example>",
            "Depends": depends,
            "Description": "not TimescaleDB: something of its name, for tests",
        }
        for path, content in {**files, "DEBIAN/control": _stanza(control).encode()}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        (self.folder / "pool").mkdir(exist_ok=True)
        run("dpkg-deb", "--build", "--root-owner-group", root, self.folder / "pool" / f"{name}_{version}.deb")
        shutil.rmtree(root)

    def _index(self, architecture: str) -> None:
        suite = self.folder / "dists" / SUITE
        packages = suite / COMPONENT / f"binary-{architecture}" / "Packages"
        packages.parent.mkdir(parents=True, exist_ok=True)
        entries = [self._entry(package) for package in sorted(self.folder.glob("pool/*.deb"))]
        packages.write_text("\n".join(entries))
        name, size = packages.relative_to(suite), packages.stat().st_size
        release = {
            "Suite": SUITE,
            "Codename": SUITE,
            "Date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC"),
            "Architectures": architecture,
            "Components": COMPONENT,
            "SHA256": f"\n {hashlib.sha256(packages.read_bytes()).hexdigest()} {size} {name}",
        }
        (suite / "Release").write_text(_stanza(release))
        self.signer.sign(suite / "Release", suite / "InRelease")

    def _entry(self, package: Path) -> str:
        where = {
            "Filename": str(package.relative_to(self.folder)),
            "Size": str(package.stat().st_size),
            "SHA256": hashlib.sha256(package.read_bytes()).hexdigest(),
        }
        return run("dpkg-deb", "--field", package) + _stanza(where)


def _stanza(fields: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what fails."""


@contextmanager
def served(folder: Path, address: str, certificate: Path, key: Path) -> Iterator[str]:
    """`folder` over https on `address`; yields the URL."""
    server = ThreadingHTTPServer((address, 0), partial(_Quiet, directory=str(folder)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
