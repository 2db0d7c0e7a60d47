"""Who may associate: by AE title, by address, and how many at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association as Requested
from pynetdicom.presentation import build_context
from receiving import Node, associated, running, send, wait_until
from sqlalchemy import select

from node.association.acceptor import PendingLimits
from node.association.allowlist import AllowList, Caller, Rejection
from node.association.doorkeeper import Doorkeeper
from node.association.quota import Quota
from node.database import Event
from node.delivery.scu import echo
from node.errors import DeliveryDelayed
from node.peers import Peer
from node.settings import Settings

XRAY = Peer(ae_title="XRAY", host="10.1.2.3", port=104)
MODALITY = Peer(ae_title="MODALITY", host="127.0.0.1", port=104)
ELSEWHERE = Peer(ae_title="ELSEWHERE", host="10.1.2.3", port=104)


def allow_list(*peers: Peer, resolve=lambda _host: frozenset()) -> AllowList:
    return AllowList("RADNODE", peers, accepts_anyone=False, resolve=resolve)


def judge(allow: AllowList, calling: str = "XRAY", called: str = "RADNODE", address: str = "10.1.2.3"):
    return allow.judge(Caller(calling, called, address))


def test_a_known_title_from_its_address_to_ours_comes_in() -> None:
    assert judge(allow_list(XRAY)) is None
    assert judge(allow_list(XRAY), address="::ffff:10.1.2.3") is None


@pytest.mark.parametrize(
    ("caller", "code"),
    [
        ({"calling": "STRANGER"}, (1, 1, 3)),
        ({"calling": "xray"}, (1, 1, 3)),
        ({"address": "10.1.2.4"}, (1, 1, 3)),
        ({"address": ""}, (1, 1, 3)),
        ({"called": "ORTHANC"}, (1, 1, 7)),
        ({"called": ""}, (1, 1, 7)),
    ],
)
def test_anybody_else_does_not(caller: dict[str, str], code: tuple[int, int, int]) -> None:
    rejection = judge(allow_list(XRAY), **caller)
    assert rejection is not None
    assert rejection.code == code


def test_the_node_may_ask_itself_how_it_is_but_nobody_may_borrow_its_name() -> None:
    assert judge(allow_list(XRAY), calling="RADNODE", address="127.0.0.1") is None
    assert judge(allow_list(XRAY), calling="RADNODE", address="10.1.2.3") is Rejection.UNKNOWN_CALLER


def test_a_peer_may_call_from_further_networks() -> None:
    cluster = XRAY.model_copy(update={"calls_from": ("10.9.0.0/16", "10.1.2.9")})
    assert judge(allow_list(cluster), address="10.9.200.1") is None
    assert judge(allow_list(cluster), address="10.1.2.9") is None
    assert judge(allow_list(cluster), address="10.8.0.1") is Rejection.STRANGE_ADDRESS


def test_two_peers_may_share_a_title() -> None:
    other = XRAY.model_copy(update={"host": "10.1.2.4"})
    assert judge(allow_list(XRAY, other), address="10.1.2.4") is None


def test_a_host_name_is_looked_up_once_a_minute() -> None:
    now, asked = [0.0], []

    def resolve(host: str) -> frozenset[str]:
        asked.append(host)
        return frozenset({"10.1.2.3"} if len(asked) == 1 else {"10.1.2.4"})

    named = XRAY.model_copy(update={"host": "xray.hospital"})
    allow = AllowList("RADNODE", (named,), accepts_anyone=False, resolve=resolve, monotonic=lambda: now[0])
    assert judge(allow) is None
    assert judge(allow) is None
    assert asked == ["xray.hospital"]
    now[0] = 61.0
    assert judge(allow) is Rejection.STRANGE_ADDRESS
    assert judge(allow, address="10.1.2.4") is None
    assert asked == ["xray.hospital"] * 2


def test_a_host_name_without_an_address_lets_nobody_in() -> None:
    named = XRAY.model_copy(update={"host": "nowhere.invalid"})
    assert judge(allow_list(named)) is Rejection.STRANGE_ADDRESS


@pytest.mark.parametrize(
    ("host", "accept", "expected"),
    [
        ("127.0.0.1", "auto", True),
        ("::1", "auto", True),
        ("localhost", "auto", True),
        ("0.0.0.0", "auto", False),
        ("10.1.2.3", "auto", False),
        ("127.0.0.1", "known", False),
        ("0.0.0.0", "anyone", True),
    ],
)
def test_strangers_are_let_in_on_loopback_only_unless_the_site_says_so(host: str, accept: str, expected: bool) -> None:
    assert Settings.model_validate({"dicom": {"host": host, "accept": accept}}).accepts_anyone is expected


def test_a_full_house_keeps_places_for_other_peers() -> None:
    doorkeeper = Doorkeeper(AllowList("RADNODE", (), accepts_anyone=True), 4, 2)
    greedy, other = Caller("GREEDY", "RADNODE", "10.0.0.1"), Caller("OTHER", "RADNODE", "10.0.0.2")
    assert [doorkeeper.admit(greedy) for _ in range(3)] == [None, None, Rejection.TOO_MANY_OF_PEER]
    assert [doorkeeper.admit(other) for _ in range(2)] == [None, None]
    assert doorkeeper.admit(Caller("THIRD", "RADNODE", "10.0.0.3")) is Rejection.TOO_MANY
    doorkeeper.dismiss(greedy)
    assert doorkeeper.admit(greedy) is None


def test_a_flood_of_rejections_is_counted_rather_than_recorded() -> None:
    now = [0.0]
    quota = Quota(per_minute=2, monotonic=lambda: now[0])
    assert [quota.take() for _ in range(5)] == [0, 0, None, None, None]
    now[0] = 60.0
    assert [quota.take() for _ in range(3)] == [3, 0, None]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Node]:
    pending = PendingLimits(connections=5)
    with running(tmp_path, accepts_anyone=False, peers=(MODALITY, ELSEWHERE), pending=pending) as node:
        yield node


def hows(node: Node) -> list[str]:
    return [row.closed_how for row in node.associations()]


def request(node: Node, calling: str, called: str = "RADNODE") -> Requested:
    ae = AE(calling)
    ae.requested_contexts = [build_context("1.2.840.10008.1.1")]
    return ae.associate("127.0.0.1", node.listener.port, ae_title=called)


@pytest.mark.parametrize(
    ("calling", "called", "reason", "how"),
    [
        ("STRANGER", "RADNODE", 3, "rejected: calling AE title not in peers.toml"),
        ("MODALITY", "ORTHANC", 7, "rejected: called AE title is not ours"),
        ("ELSEWHERE", "RADNODE", 3, "rejected: this AE title calls from an address that peers.toml does not state"),
    ],
)
def test_a_caller_that_may_not_come_in_is_told_why_and_recorded(
    guarded: Node, caplog: pytest.LogCaptureFixture, calling: str, called: str, reason: int, how: str
) -> None:
    caplog.set_level("WARNING", "radnode")
    refused = request(guarded, calling, called)
    assert refused.is_rejected
    answer = refused.acceptor.primitive
    assert answer is not None
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, reason)
    wait_until(lambda: guarded.endings() != [])
    (row,) = guarded.associations()
    assert row.closed_how.startswith(how)
    assert (row.calling_ae_title, row.called_ae_title, row.calling_address) == (calling, called, "127.0.0.1")
    assert row.opened_at == row.closed_at
    (logged,) = [record for record in caplog.records if record.message == "association rejected"]
    with guarded.database.reading() as session:
        (event,) = session.scalars(select(Event)).all()
    assert (event.name, event.association_id, event.detail["how"]) == (logged.message, row.id, row.closed_how)


def test_a_known_peer_sends_as_before(guarded: Node, ct: Path) -> None:
    assert send(guarded, ct)[0].status == 0x0000


def test_one_peer_cannot_take_all_associations(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, max_associations=3, max_associations_per_peer=1) as node, associated(node, ct):
        refused = request(node, "MODALITY")
        assert refused.is_rejected
        assert refused.acceptor.primitive is not None
        assert refused.acceptor.primitive.diagnostic == 2
        other = request(node, "OTHER")
        assert other.is_established
        other.release()
        wait_until(lambda: "rejected: too many associations at once from this peer" in hows(node))


def test_an_association_that_ended_makes_room_for_the_next(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, max_associations=1) as node:
        for _ in range(3):
            send(node, ct)
            wait_until(lambda: node.endings() != [])
        assert set(node.endings()) == {"released"}


@contextmanager
def hammering(node: Node, threads: int = 4) -> Iterator[list[int]]:
    """Ask for associations as strangers, as fast as it goes; give how often each was turned away."""
    ended = threading.Event()
    rejected = [0] * threads

    def hammer(number: int) -> None:
        while not ended.is_set():
            with suppress(DeliveryDelayed):
                rejected[number] += request(node, f"STRANGER{number}").is_rejected

    workers = [threading.Thread(target=hammer, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield rejected
    finally:
        ended.set()
        for worker in workers:
            worker.join(30)


def test_an_honest_peer_gets_in_while_strangers_hammer_at_the_door(guarded: Node, ct: Path) -> None:
    with hammering(guarded) as rejected:
        wait_until(lambda: all(rejected))
        assert [send(guarded, ct)[0].status for _ in range(10)] == [0x0000] * 10
    assert sum(rejected) >= 4
    recorded = [row for row in guarded.associations() if row.closed_how.startswith("rejected")]
    assert 4 <= len(recorded) <= 100


def test_an_honest_peer_gets_in_beside_connections_that_never_ask(guarded: Node, ct: Path) -> None:
    address = ("127.0.0.1", guarded.listener.port)
    silent = [socket.create_connection(address) for _ in range(20)]
    try:
        assert send(guarded, ct)[0].status == 0x0000
        assert echo("MODALITY", guarded.address, 5.0) < 5.0
        assert silent[0].recv(1) == b""  # the oldest was closed
    finally:
        for connection in silent:
            connection.close()
