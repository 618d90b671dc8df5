"""Imports the whole plugin into a run of other tests: `make supervisor-tests`."""

import importlib
import pkgutil

import supervisor_restarter

for module in pkgutil.walk_packages(supervisor_restarter.__path__, 'supervisor_restarter.'):
    importlib.import_module(module.name)
