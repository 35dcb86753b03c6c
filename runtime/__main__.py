"""Entry point of the console script `deploy`: heeds Ctrl-C before anything that takes long to import."""

from __future__ import annotations

from .collection import collecting_rarely
from .command_line import App, run


def main() -> None:
    """Run `deploy`."""
    with collecting_rarely():  # What is imported stays, too.
        run(_load, "deploy")


def _load() -> App:
    from .cli import app

    return app


if __name__ == "__main__":
    main()
