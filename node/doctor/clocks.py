"""Checks the machine's clocks: results carry their time, leases and quiet times count on the other."""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import partial

from node.clock import Clock
from node.doctor.check import Check, Outcome, fault, fine, warning

EARLIEST_YEAR, LATEST_YEAR = 2025, 2099
_PATIENCE_SECONDS = 10.0


def clock_checks(clock: Clock) -> list[Check]:
    """Return the checks of the wall clock, the boot clock and what keeps the first right."""
    return [
        Check("clock", partial(check_wall_clock, clock)),
        Check("boot clock", partial(check_boot_clock, clock)),
        Check("time synchronisation", check_synchronisation),
    ]


def check_wall_clock(clock: Clock) -> Outcome:
    """Find a year that cannot be."""
    now = clock.now()
    if not EARLIEST_YEAR <= now.year <= LATEST_YEAR:
        return fault(f"the clock says {now:%Y-%m-%d}", "set the clock: results would carry a wrong date")
    local = now.astimezone()
    return fine(f"{local:%Y-%m-%d %H:%M:%S}, time zone {time.tzname[0]} ({local:%z})")


def check_boot_clock(clock: Clock) -> Outcome:
    """Find a machine that does not tell one boot from the next."""
    if not clock.boot_id or clock.boot_seconds() <= 0:
        return fault("the kernel names no boot", "mount /proc; leases are counted within one boot")
    return fine(f"{clock.boot_seconds() / 3600:.1f} h since boot")


def check_synchronisation() -> Outcome:
    """Find a clock that nothing keeps right, where systemd can say so."""
    program = shutil.which("timedatectl")
    if program is None:
        return fine("not known here: no timedatectl; in a container the host's clock counts")
    command = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return fine("not known here: timedatectl does not answer")
    match answer.stdout.strip():
        case "yes":
            return fine("synchronised")
        case "no":
            return warning("not synchronised", "timedatectl set-ntp true, or ask for your hospital's time server")
        case _:
            return fine("not known here: timedatectl needs systemd; in a container the host's clock counts")
