"""pyinfra reads this file before it contacts any host: the place to refuse an inventory that has mistakes."""

import sys

from pyinfra import config

from ops.cli.output import print_error
from ops.deploys.inventory import load
from ops.deploys.site import inventory_path
from ops.errors import OpsError

config.REQUIRE_PYINFRA_VERSION = "~=3.10"
config.FAIL_PERCENT = 0  # one host that fails stops the deploy: the others stay as they are

_inventory = inventory_path(sys.argv[1:])
if _inventory is not None:
    try:
        load(_inventory)
    except OpsError as error:
        print_error(error)
        sys.exit(error.exit_code)
