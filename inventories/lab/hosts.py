"""The lab: a fleet on this machine, booted by `ops lab up`. No line names a primary: Patroni and Sentinel know."""

etcd = ["pg1", "pg2", "pg3"]
pg_main = ["pg1", "pg2", "pg3"]
pg_analytics = ["ts1", "ts2"]  # with TimescaleDB, where its packages can be had
redis_cache = ["r1", "r2", "r3"]  # a data node and a Sentinel on each
router = ["lb1"]
object_store = ["s3"]
drill = ["drill1"]
monitoring = ["mon1"]
