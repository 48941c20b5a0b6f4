"""`python -m ops`: the command, independent of PATH."""

from ops.cli import main

main()
