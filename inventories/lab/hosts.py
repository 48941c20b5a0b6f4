"""The lab: a fleet on this machine, booted by `ops lab up`. No line names a primary: Patroni knows who leads."""

etcd = ["pg1", "pg2", "pg3"]
pg_main = ["pg1", "pg2", "pg3"]
object_store = ["s3"]
drill = ["drill1"]
