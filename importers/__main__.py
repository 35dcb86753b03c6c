"""Entry point of the console script `tosa-import`: heeds Ctrl-C before anything that takes long to import."""

from __future__ import annotations

from ..runtime.command_line import App, run


def main() -> None:
    """Run `tosa-import`."""
    run(_load, "tosa-import")


def _load() -> App:
    from .cli import app

    return app


if __name__ == "__main__":
    main()
