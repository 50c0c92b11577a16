"""No fault costs a run: each suite a few times. `make chaos` runs them for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.damages import damages
from chaos.disks import can_mount, disks
from chaos.figures import Figure
from chaos.kills import kills
from chaos.numbers import losses
from chaos.stops import stops, stops_during_imports
from chaos.writes import writes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SUITES: dict[str, Callable[[Path], Figure]] = {
    "kills": lambda folder: kills(folder, 20),
    "writes": lambda folder: writes(folder, every=12),
    "damages": damages,
    "stops": lambda folder: stops(folder, 8),
    "imports": lambda folder: stops_during_imports(folder, 4),
    "numbers": lambda folder: losses(folder, [1, 2, 11, 25]),
}


@pytest.mark.parametrize("name", SUITES)
def test_fault_costs_no_run(name: str, tmp_path: Path) -> None:
    """All of them end as they must."""
    figure = SUITES[name](tmp_path)
    print(figure)
    assert figure.of > 0
    assert not figure.failures, "\n".join(figure.failures)


@pytest.mark.skipif(not can_mount(), reason="only root may mount the small disks that this needs")
def test_full_disk_costs_no_model(tmp_path: Path) -> None:
    """Whatever the size of the disk, the older model stays until the new one is whole."""
    figure = disks(tmp_path, 8)
    assert not figure.failures, "\n".join(figure.failures)
