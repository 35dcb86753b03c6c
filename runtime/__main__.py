"""Entry point of the console script `deploy`: heeds Ctrl-C before anything that takes long to import."""

from __future__ import annotations

from .command_line import App, run


def main() -> None:
    """Run `deploy`."""
    run(_load, "deploy")


def _load() -> App:
    from .cli import app

    return app


if __name__ == "__main__":
    main()
