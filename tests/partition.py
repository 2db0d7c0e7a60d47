"""Two sites with a router between them, each a network namespace, and what may cut them off from each other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from orthanc import Namespace, namespace

HERE, THERE = "10.213.1.1", "10.213.2.2"
_ROUTER_HERE, _ROUTER_THERE = "10.213.1.2", "10.213.2.1"
_BOTH_WAYS = (HERE, THERE)


@dataclass(frozen=True)
class Sites:
    """Two sites whose whole traffic a router forwards."""

    here: Namespace
    there: Namespace
    router: Namespace

    def cut(self, how: str) -> None:
        """Take the far link down, of which the near site is told, or let packets vanish, of which nobody is."""
        if how == "link down":
            _ip(self.router, "link", "set", "there", "down")
            return
        for address in _BOTH_WAYS:
            _ip(self.router, "route", "add", "blackhole", f"{address}/32")

    def heal(self, how: str) -> None:
        if how == "link down":
            _ip(self.router, "link", "set", "there", "up")
            return
        for address in _BOTH_WAYS:
            _ip(self.router, "route", "del", "blackhole", f"{address}/32")

    def slow_down(self, bits_to_here: int, bits_to_there: int) -> None:
        """Forward so many bits per second from now on."""
        for link, bits in (("here", bits_to_here), ("there", bits_to_there)):
            shaping = ("root", "tbf", "rate", str(bits), "burst", "4kb", "latency", "400ms")
            subprocess.run(self.router.command("tc", "qdisc", "add", "dev", link, *shaping), check=True)

    def hurry(self) -> None:
        """Forward as fast as the machine can from now on."""
        for link in ("here", "there"):
            subprocess.run(self.router.command("tc", "qdisc", "del", "dev", link, "root"), check=True)


@contextmanager
def sites() -> Iterator[Sites]:
    """Make two sites; only root may."""
    with ExitStack() as made:
        here, there, router = (made.enter_context(namespace()) for _ in range(3))
        for site, at, link, address in ((here, HERE, "here", _ROUTER_HERE), (there, THERE, "there", _ROUTER_THERE)):
            _ip(router, "link", "add", link, "type", "veth", "peer", "name", "out", "netns", site.name)
            _ip(router, "address", "add", f"{address}/24", "dev", link)
            _ip(router, "link", "set", link, "up")
            _ip(site, "address", "add", f"{at}/24", "dev", "out")
            _ip(site, "link", "set", "out", "up")
            _ip(site, "route", "add", "default", "via", address)
        subprocess.run(router.command("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"), check=True)
        yield Sites(here, there, router)


def _ip(where: Namespace, *words: str) -> bytes:
    return subprocess.run(["ip", "-n", where.name, *words], check=True, capture_output=True).stdout
