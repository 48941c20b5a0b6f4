"""The Python environments that a deploy sends: made here, and run where they are unpacked."""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops.deploys.wheels import PYTHON, install, pack

INFO = "greeting-1.0.dist-info"
FILES = {
    "greeting.py": "def main():\n    print('hello')\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n",
    f"{INFO}/RECORD": "",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as `python_environment` unpacks it."""
    top = tmp_path_factory.mktemp("environment")
    wheels, tree, home = top / "wheels", top / "tree", top / "app-1"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
    install(wheels, tree, str(home))
    for file in tree.rglob("*.py"):
        file.chmod(0o600)  # as they are where the controller's umask is strict
    pack(tree, top / "app.tar.gz")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    subprocess.run(["tar", "-xzf", top / "app.tar.gz", "-C", home, "bin"], check=True)
    subprocess.run(["tar", "-xzf", top / "app.tar.gz", "-C", home / "lib" / PYTHON, "site-packages"], check=True)
    return home


def test_its_programs_run_with_the_python_of_the_environment(home: Path) -> None:
    program = home / "bin" / "greet"
    assert program.read_text().startswith(f"#!{home}/bin/python\n")
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "hello\n"


def test_its_bytecode_came_along_and_is_taken(home: Path) -> None:
    command = [str(home / "bin" / "python"), "-v", "-B", "-c", "import greeting"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    [bytecode] = (home / "lib" / PYTHON / "site-packages").glob("__pycache__/greeting.*.pyc")
    assert f"{bytecode} matches" in said


def test_everybody_may_read_it(home: Path) -> None:
    modules = home / "lib" / PYTHON / "site-packages"
    assert {stat.S_IMODE(file.stat().st_mode) for file in modules.rglob("*") if file.is_file()} == {0o644}
