"""An example to copy: the shape of a real site. No line names a primary: Patroni and Sentinel know who leads."""

etcd = ["pg1.pend.example", "pg2.pend.example", "pg3.pend.example"]
pg_main = ["pg1.pend.example", "pg2.pend.example", "pg3.pend.example"]
pg_analytics = ["ts1.pend.example", "ts2.pend.example"]  # with TimescaleDB
redis_cache = [f"r{n}.pend.example" for n in range(1, 7)]  # Redis Cluster, each key on two of them
router = ["lb1.pend.example", "lb2.pend.example"]
drill = ["drill1.pend.example"]  # where restores are proven; never a database host
monitoring = ["mon1.pend.example", "mon2.pend.example"]
