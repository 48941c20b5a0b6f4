"""Sizes that follow from a host: memory and cores in, PostgreSQL settings out. Every one can be overridden."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
GIB = 1024 * MIB
HUGE_PAGE = 2 * MIB
# Below this much shared memory the page tables are small, and pages set aside are pages nobody else can use.
HUGE_PAGES_FROM = 1024 * MIB


@dataclass(frozen=True)
class Sizes:
    """What one host gives PostgreSQL. Memory in bytes; `huge_pages` is a count of 2 MiB pages, 0 for none."""

    shared_buffers: int
    effective_cache_size: int
    max_parallel_workers: int
    max_parallel_workers_per_gather: int
    huge_pages: int

    def settings(self) -> dict[str, str]:
        """As PostgreSQL settings."""
        return {
            "shared_buffers": f"{self.shared_buffers // MIB}MB",
            "effective_cache_size": f"{self.effective_cache_size // MIB}MB",
            "max_parallel_workers": str(self.max_parallel_workers),
            "max_parallel_workers_per_gather": str(self.max_parallel_workers_per_gather),
        }


def sizes(memory: int, cores: int) -> Sizes:
    """For a host with `memory` bytes and `cores`: a quarter as shared buffers, within 256 MiB and 16 GiB.

    The quarter is the PostgreSQL manual's starting point (section 20.4.1).
    """
    if memory <= 0 or cores <= 0:
        raise ValueError(f"a host has memory and cores, not {memory} bytes and {cores} cores")
    shared = min(max(memory // 4, 256 * MIB), 16 * 1024 * MIB) // MIB * MIB
    # Shared memory is more than its buffers: lock tables, WAL buffers and the like come to a few per cent.
    pages = -(-shared * 108 // 100 // HUGE_PAGE) if shared >= HUGE_PAGES_FROM else 0
    return Sizes(
        shared_buffers=shared,
        effective_cache_size=max(memory * 3 // 4, shared),
        max_parallel_workers=max(2, cores),
        max_parallel_workers_per_gather=max(1, min(4, cores // 2)),
        huge_pages=pages,
    )


# Slots for parallel workers where the inventory does not say how many cores a member has. All members must have the
# same number of slots, whatever their size, and a slot that is not used costs about a kilobyte of shared memory.
PARALLEL_SLOTS = 32
BUILT_IN_WORKERS = 3


def analytics_parameters(background_workers: int, cores: int | None) -> dict[str, str | int | float | bool]:
    """What TimescaleDB asks of a whole cluster, beyond what every cluster has.

    Worker processes by the rule of timescaledb-tune (pkg/pgtune/parallel.go): 3 for PostgreSQL's own, those of
    TimescaleDB, and the parallel workers. Locks by its upper values (misc.go): a query takes one for each chunk that
    it may read, and the table of 256 for each of 100 sessions comes to about 7 MB.
    """
    parallel = max(2, cores) if cores else PARALLEL_SLOTS
    return {
        "timescaledb.max_background_workers": background_workers,
        "timescaledb.telemetry_level": "off",
        "max_worker_processes": BUILT_IN_WORKERS + background_workers + parallel,
        "max_locks_per_transaction": 256,
    }


def analytics_member(memory: int, cores: int, connections: int) -> dict[str, str]:
    """The memory of one member's sorts and hashes: by timescaledb-tune's rule (pkg/pgtune/memory.go).

    work_mem is 128 MB for each GiB of memory, shared by the sessions and by half the cores (parallel queries use it
    several times); maintenance_work_mem an eighth of the memory, at most 2047 MB. Never less than any cluster has.
    """
    work = 128 * MIB * memory // GIB // connections // max(1, round(cores / 2))
    maintenance = min(memory // 8, 2047 * MIB)
    return {
        "work_mem": f"{max(work, 4 * MIB) // 1024}kB",
        "maintenance_work_mem": f"{max(maintenance, 64 * MIB) // MIB}MB",
    }
