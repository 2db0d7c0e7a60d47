"""What the doctor says of the certificate and its key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from certificates import Certificate, issue, make_authority, needs_openssl

from node.clock import SystemClock
from node.doctor.check import CheckResult, State, carry_out
from node.doctor.port import check_reach
from node.doctor.tls import tls_checks
from node.peers import Peer, TlsToPeer
from node.settings import Settings, TlsSection

pytestmark = needs_openssl


class LaterClock(SystemClock):
    """The machine's clock, some days ahead."""

    def __init__(self, days: int) -> None:
        super().__init__()
        self._ahead = timedelta(days=days)

    def now(self):
        return super().now() + self._ahead


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_authority(tmp_path_factory.mktemp("certificates"))


def judge(certificate: Path, key: Path, days: int = 0) -> list[CheckResult]:
    settings = Settings(tls=TlsSection(certificate=str(certificate), key=str(key)))
    return list(carry_out(tls_checks(settings, LaterClock(days))))


def test_without_tls_nothing_is_checked() -> None:
    assert tls_checks(Settings(), SystemClock()) == []


def test_a_good_certificate_is_told_with_its_days(authority: Certificate) -> None:
    good = issue(authority, "good", days=400)
    good.key.chmod(0o600)
    certificate, key = judge(good.file, good.key)
    assert (certificate.state, key.state) == (State.OK, State.OK)
    assert "valid for 400 days" in certificate.found


def test_a_certificate_that_expires_within_a_month_is_a_warning(authority: Certificate) -> None:
    good = issue(authority, "late", days=400)
    result, _ = judge(good.file, good.key, days=380)
    assert result.state is State.WARNING
    assert "expires in 20 days" in result.found


def test_an_expired_certificate_is_an_error(authority: Certificate) -> None:
    expired = issue(authority, "expired", days=-1)
    result, _ = judge(expired.file, expired.key)
    assert result.state is State.ERROR
    assert "expired" in result.found
    assert "reads it anew" in result.advice


def test_what_we_show_to_those_we_send_to_is_checked_too(authority: Certificate) -> None:
    late = issue(authority, "requestor", days=400)
    late.key.chmod(0o640)
    tls = TlsToPeer(fingerprints=("0" * 64,), certificate=str(late.file), key=str(late.key))
    settings = Settings(peers={"PACS": Peer(ae_title="PACS", host="h", port=104, tls=tls)})
    certificate, key = carry_out(tls_checks(settings, LaterClock(0)))
    assert (certificate.state, key.state) == (State.OK, State.WARNING)
    assert "to PACS" in certificate.found
    certificate, _ = carry_out(tls_checks(settings, LaterClock(390)))
    assert certificate.state is State.WARNING


def test_an_expired_certificate_for_those_we_send_to_is_an_error(authority: Certificate) -> None:
    expired = issue(authority, "expired requestor", days=-1)
    tls = TlsToPeer(fingerprints=("0" * 64,), certificate=str(expired.file), key=str(expired.key))
    settings = Settings(peers={"PACS": Peer(ae_title="PACS", host="h", port=104, tls=tls)})
    result, _ = carry_out(tls_checks(settings, LaterClock(0)))
    assert (result.state, "expired" in result.found) == (State.ERROR, True)


def test_a_key_of_another_certificate_is_an_error(authority: Certificate) -> None:
    result, _ = judge(issue(authority, "one").file, issue(authority, "two").key)
    assert result.state is State.ERROR
    assert "key values mismatch" in result.found.replace("_", " ").lower()


def test_a_key_that_others_can_read_is_a_warning(authority: Certificate) -> None:
    open_key = issue(authority, "open")
    open_key.key.chmod(0o644)
    _, result = judge(open_key.file, open_key.key)
    assert (result.state, result.advice) == (State.WARNING, f"chmod 600 {open_key.key}")


def test_peers_elsewhere_may_reach_us_over_tls_alone(authority: Certificate) -> None:
    remote = {"PACS": Peer(ae_title="PACS", host="192.0.2.1", port=104)}
    secured = TlsSection(host="0.0.0.0", certificate="a", key="b")
    local = TlsSection(certificate="a", key="b")
    assert check_reach(Settings(peers=remote, tls=secured)).state is State.OK
    assert check_reach(Settings(peers=remote, tls=local)).state is State.ERROR
    assert not Settings(tls=secured).accepts_anyone
