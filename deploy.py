"""What runs where, in what order, and why in that order.

    pyinfra inventories/lab/hosts.py deploy.py

Run it as often as you like: a second run changes nothing and restarts nothing. Each line below is one service; it
knows from the inventory which hosts it is for, and its module in ops/deploys/ is where to look further.
"""

from ops.deploys.base import base
from ops.deploys.etcd import etcd
from ops.deploys.platform import platform, postgres_packages
from ops.deploys.postgres import postgres
from ops.deploys.seaweedfs import seaweedfs
from ops.deploys.site import this_host

this = this_host()

base(this)  # time, limits, kernel and the CA: everything else leans on them
seaweedfs(this)  # WAL must have somewhere to go before there is a database (lab only)
etcd(this)  # the leader lock must exist before anybody can hold it
postgres_packages(this)  # the user `postgres` owns what the next line writes
platform(this)  # PostgreSQL's archive_command is ours: before its first segment
postgres(this)  # Patroni, the clusters, and what is declared in them
