"""The local fleet: hosts of the lab inventory as systemd-nspawn containers (docs: DESIGN.md §12).

`fleet` is the way in (up, down, status); `faults` breaks hosts on purpose.
"""
