"""Says whether the node answers, for a container's health check: `python -m node.doctor.health NODE_TOML`.

Exit code 0 when it answers C-ECHO, 1 when it does not. A node that rejects the association, because
it is busy or lets only its peers in, answers too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from node.delivery.scu import echo
from node.doctor.port import own_address
from node.errors import DeliveryError, PeerRejects, RadnodeError
from node.settings import load_settings

PATIENCE_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Echo the node of a node.toml once and return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m node.doctor.health NODE_TOML", file=sys.stderr)
        return 2
    try:
        settings = load_settings(Path(arguments[0]))
        seconds = echo(settings.node.ae_title, own_address(settings), PATIENCE_SECONDS)
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 0 if isinstance(error, PeerRejects) else 1
    except RadnodeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"answers in {1000 * seconds:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
