"""Simulation-based calibration of the laplace posterior; nuts is calibrated by benchmarks/calibration.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from forecast.fitting.spec import GAMMA_GAMMA, PARETO_NBD, ModelSpec, purchase_model

SPECS = [*(purchase_model(name) for name in ("bg-nbd", "nbd", "mbg-nbd", "mbg-cnbd-2")), GAMMA_GAMMA]
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "calibration.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the source distribution has no benchmarks")


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_laplace_posteriors_are_calibrated(calibration: ModuleType, spec: ModelSpec) -> None:
    found = calibration.calibrate(spec, "laplace", simulations=50)
    assert found.ranks.shape == (50, len(spec.parameters))
    assert found.outside() == {}
    assert found.doubtful <= 2


def test_the_laplace_posterior_of_pareto_nbd_is_calibrated(calibration: ModuleType) -> None:
    """It needs more customers than the others before a Gaussian resembles its posterior."""
    found = calibration.calibrate(PARETO_NBD, "laplace", simulations=30, customers=600)
    assert found.outside() == {}
    assert found.doubtful <= 2


def test_the_envelope_holds_what_it_should_and_nothing_else(calibration: ModuleType) -> None:
    rng = np.random.default_rng(11)
    limit = calibration.critical_value(50, 100, 0.95)
    uniform = calibration.least_p(rng.integers(0, 100, (4000, 50)))
    assert (uniform >= limit).mean() == pytest.approx(0.95, abs=0.015)
    off = np.floor(100 * rng.beta(2.0, 1.0, (200, 50))).astype(int)  # a posterior that lies too low
    narrow = np.floor(100 * rng.beta(0.4, 0.4, (200, 50))).astype(int)  # one that is too sure of itself
    assert (calibration.least_p(off) < limit).mean() > 0.9
    assert (calibration.least_p(narrow) < limit).mean() > 0.9
