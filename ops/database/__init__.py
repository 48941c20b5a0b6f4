"""The databases of applications: their migrations, whether they are as declared, their views, their audit trail.

Everything here acts on one database of one server: this host's own, while it leads its cluster, or one that is named.
"""
