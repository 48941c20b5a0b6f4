"""What runs where, in what order, and why in that order.

    pyinfra inventories/lab/hosts.py deploy.py

Run it as often as you like: a second run changes nothing and restarts nothing. Each line below is one service; it
knows from the inventory which hosts it is for, and its module in ops/deploys/ is where to look further.
"""

from ops.deploys.alertmanager import alertmanager
from ops.deploys.base import base
from ops.deploys.debian import debian
from ops.deploys.etcd import etcd
from ops.deploys.exporters import exporters
from ops.deploys.fleet import fleet
from ops.deploys.haproxy import haproxy
from ops.deploys.pgbouncer import pgbouncer
from ops.deploys.platform import platform
from ops.deploys.postgres import postgres
from ops.deploys.preflight import preflight
from ops.deploys.prometheus import prometheus
from ops.deploys.redis import redis
from ops.deploys.schedules import schedules
from ops.deploys.seaweedfs import seaweedfs
from ops.deploys.site import this_host
from ops.deploys.timescaledb import timescaledb

this = preflight(this_host())  # whatever is wrong anywhere stops it here, before the first change

debian(this)  # what all of the services below are made of, and the users that own their files
base(this)  # time, limits, kernel and the CA: everything else leans on them
seaweedfs(this)  # WAL must have somewhere to go before there is a database (lab only)
etcd(this)  # the leader lock must exist before anybody can hold it
timescaledb(this)  # on all members, before one of them makes or updates the extension
platform(this)  # PostgreSQL's archive_command is ours: before its first segment
postgres(this)  # Patroni, the clusters, and what is declared in them
fleet(this)  # what there is to look at, for whoever looks at more than one host
schedules(this)  # backups, and what looks after them: there is something to back up now
pgbouncer(this)  # it looks passwords up in the database
haproxy(this)  # the way in, last: what it leads to is there
redis(this)  # the cache: nothing above leans on it
exporters(this)  # what all of that tells of itself
alertmanager(this)  # who is told, before there is anything to tell
prometheus(this)  # who asks them all, and judges
