"""The node's side of building: one process that converts networks before the first workers start."""

from __future__ import annotations

import logging
import subprocess
import time

logger = logging.getLogger("radnode.supervisor")

LONGEST_BUILD_SECONDS = 1800.0


class Builder:
    """Runs one process at most, and ends one that takes too long."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        """Build with this command, whose standard input stays open as long as the node runs."""
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    @property
    def is_running(self) -> bool:
        """Tell whether it still builds."""
        return self._process is not None

    def start(self) -> None:
        """Start the process."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._environment)
        self._deadline = time.monotonic() + LONGEST_BUILD_SECONDS
        logger.info("builder starts", extra={"fields": {"pid": self._process.pid}})

    def has_just_ended(self) -> bool:
        """Tell whether the process has ended since the last look, and log how; one that takes too long is ended."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None and time.monotonic() >= self._deadline:
            logger.error("builder takes too long", extra={"fields": {"limit_s": LONGEST_BUILD_SECONDS}})
            self.end()
        elif code is not None:
            level = logging.ERROR if code else logging.INFO
            logger.log(level, "builder ended", extra={"fields": {"exit_code": code}})
            self._forget(self._process)
        return self._process is None

    def end(self) -> None:
        """End the process at once, if there is one; what it has finished stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget(self._process)

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()
        self._process = None
