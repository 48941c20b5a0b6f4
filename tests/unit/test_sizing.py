"""Sizes from memory and cores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.sizing import MIB, sizes

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("memory", "shared"), [(512 * MIB, 256), (1 * GIB, 256), (8 * GIB, 2048), (64 * GIB, 16384), (512 * GIB, 16384)]
)
def test_shared_buffers_are_a_quarter_within_bounds(memory: int, shared: int) -> None:
    assert sizes(memory, 4).settings()["shared_buffers"] == f"{shared}MB"


@given(st.integers(512 * MIB, 4096 * GIB), st.integers(1, 256))
def test_every_host_gets_settings_that_fit_it(memory: int, cores: int) -> None:
    found = sizes(memory, cores)
    assert found.shared_buffers >= 256 * MIB, "what the platform requires"
    assert found.shared_buffers <= max(memory // 2, 256 * MIB)
    assert found.huge_pages * 2 * MIB < memory
    assert found.huge_pages == 0 or found.huge_pages * 2 * MIB > found.shared_buffers
    assert found.max_parallel_workers_per_gather <= found.max_parallel_workers


@pytest.mark.parametrize(("memory", "cores"), [(0, 1), (GIB, 0)])
def test_nonsense_is_refused(memory: int, cores: int) -> None:
    with pytest.raises(ValueError, match="memory and cores"):
        sizes(memory, cores)
