"""Runs the `radnode` command: `python -m node`, and what the command itself is."""

from node.imports import without_collection


def main() -> None:
    """Import the verbs and run the one that is asked for."""
    with without_collection():
        from node.cli import main as run  # noqa: PLC0415 - within the block

    run()


if __name__ == "__main__":
    main()
