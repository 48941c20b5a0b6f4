"""An example to copy: the shape of a real site. No line names a primary: Patroni knows who leads."""

etcd = ["pg1.pend.example", "pg2.pend.example", "pg3.pend.example"]
pg_main = ["pg1.pend.example", "pg2.pend.example", "pg3.pend.example"]
drill = ["drill1.pend.example"]  # where restores are proven; never a database host
