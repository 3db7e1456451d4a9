"""Imported, it makes the old lines work: `from azureml.datacollector import ModelDataCollector`, and the second
generation's `from azureml.monitoring import ModelDataCollector`.

To be imported on purpose, before those lines. What else there is of `azureml` stays as it is.
"""

from __future__ import annotations

import importlib
import sys
import types

from sidecar.datacollector.collector import ModelDataCollector

_MODULES = ("datacollector", "monitoring")


def _install() -> None:
    try:
        package = importlib.import_module("azureml")
    except ImportError:
        package = types.ModuleType("azureml")
        package.__path__ = []
        sys.modules["azureml"] = package
    for name in _MODULES:
        module = types.ModuleType("azureml." + name)
        vars(module)["ModelDataCollector"] = ModelDataCollector
        sys.modules[module.__name__] = module
        setattr(package, name, module)


_install()
