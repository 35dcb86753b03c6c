"""One file per family of operators; importing a file registers its legalisations."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache


@cache
def load_legalizations() -> None:
    """Import every file of this package."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
