"""Which fixtures do the GitOps tests share? The commands of the cluster tests' rig."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("tests.kube.rig.fixtures")
