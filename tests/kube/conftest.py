"""Which fixtures do the cluster tests share? Those of the rig."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.kube.rig.fixtures")
