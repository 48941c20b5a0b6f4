"""Packages from a source of their own: its address, the one key that it is trusted by, and the version pinned."""

from __future__ import annotations

import base64
import hashlib
import shlex
from pathlib import Path

from pyinfra import host
from pyinfra.api.exceptions import DeployError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.facts.deb import DebPackages
from pyinfra.facts.files import File
from pyinfra.operations import files

from ops.deploys.operations import Commands, apt_install, config_file, directory, text_file
from ops.deploys.settings.timescaledb import AptSource
from ops.model.packages import expression, satisfies

ARMOR, ARMOR_END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
# apt's own downloader: it takes the proxy and the certificates that apt takes.
DOWNLOAD = "/usr/lib/apt/apt-helper -qq -o Acquire::Retries=0 -o APT::Sandbox::User=root download-file"


def packages_from(name: str, source: AptSource, packages: tuple[str, ...], version: str) -> None:
    """`packages` from `source`, in the pinned version: one that is there in another is upgraded."""
    keyring, sources = _keyring(name, source.key), f"/etc/apt/sources.list.d/{name}.sources"
    preferences = f"/etc/apt/preferences.d/{name}"
    directory("/etc/apt/keyrings")
    if source.key.startswith("https://"):
        key_from_url(name=f"Fetch {keyring}", url=source.key, dest=keyring, names=packages, version=version)
    else:
        text_file(_key_file(source.key), keyring)
    config_file("apt/source.sources.j2", sources, source=source, keyring=keyring)
    if version:
        config_file("apt/preferences.j2", preferences, packages=packages, expression=expression(version))
    else:
        files.file(name=f"Remove {preferences}", path=preferences, present=False)
    pinned_packages(name=f"Install {packages[0]}", names=packages, version=version, sources=sources)


def releases(source: AptSource) -> str:
    """The folder with a source's signed list of contents; a suite that ends in a slash is that folder itself."""
    base, suite = source.url.rstrip("/"), source.suite
    return f"{base}/{suite}".rstrip("/") if suite.endswith("/") else f"{base}/dists/{suite}"


def _keyring(name: str, key: str) -> str:
    """A key from another address is another file: what is there was fetched from the address that it stands for."""
    address = f"-{hashlib.sha256(key.encode()).hexdigest()[:8]}" if key.startswith("https://") else ""
    return f"/etc/apt/keyrings/{name}{address}.asc"


def _key_file(path: str) -> str:
    """The key in a file of the controller, in the form that apt takes under the name *.asc."""
    try:
        key = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DeployError(f"the key of the package source cannot be read: {path}: {error.strerror}") from error
    if key.startswith(ARMOR.encode()):
        return key.decode()
    return f"{ARMOR}\n\n{base64.encodebytes(key).decode()}{ARMOR_END}\n"


def _are_installed(names: tuple[str, ...], version: str) -> bool:
    installed = host.get_fact(DebPackages)
    return all(any(satisfies(one, version) for one in installed.get(name, ())) for name in names)


@operation()
def key_from_url(url: str, dest: str, names: tuple[str, ...], version: str) -> Commands:
    """The OpenPGP key at `url`, fetched once by the host itself. It can wait while `names` need nothing."""
    if host.get_fact(File, path=dest):
        host.noop(f"{dest} is there")
        return
    if _are_installed(names, version) and not host.get_fact(Answers, url=url):
        host.noop(f"{url} does not answer, and nothing is needed from its source")
        return
    new = shlex.quote(f"{dest}.new")
    yield (
        f"set -e; rm -f {new}; {DOWNLOAD} {shlex.quote(url)} {new}; "
        f"if ! head -n 1 {new} | grep -qe '^{ARMOR}'; then "
        f"{{ echo '{ARMOR}'; echo; base64 {new}; echo '{ARMOR_END}'; }} > {new}.armored; "
        f"mv {new}.armored {new}; fi; chmod 644 {new}; mv {new} {shlex.quote(dest)}"
    )


class Answers(FactBase[bool]):
    """Whether apt's downloader gets what is at a URL."""

    def command(self, url: str) -> str:
        return (
            f"scratch=$(mktemp -d); timeout 20 {DOWNLOAD} {shlex.quote(url)} $scratch/file >/dev/null 2>&1 "
            "&& echo yes || echo no; rm -rf $scratch"
        )

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


@operation()
def pinned_packages(names: tuple[str, ...], version: str, sources: str) -> Commands:
    """Packages in a version that satisfies the pin, without starting or restarting anything."""
    if _are_installed(names, version):
        host.noop(f"{', '.join(names)}: installed")
        return
    # Its index alone is read anew, and whatever is wrong with it (a key that did not sign it) ends this here.
    only = f"-o Dir::Etc::sourcelist={sources} -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0"
    yield apt_install(list(names), f"apt-get update -qq -o APT::Update::Error-Mode=any {only}")
