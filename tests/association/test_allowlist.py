"""Who may come in: by AE title, by address, by certificate, and how many at once."""

from __future__ import annotations

import pytest

from node.association.allowlist import AllowList, Caller, Rejection, resolve_host
from node.association.doorkeeper import Doorkeeper
from node.association.quota import Quota
from node.certificates import ShownCertificate
from node.peers import Peer
from node.settings import Settings

XRAY = Peer(ae_title="XRAY", host="10.1.2.3", port=104)


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


def test_each_rejection_has_the_code_and_the_words_that_peers_and_operators_rely_on() -> None:
    assert {rejection.name: (*rejection.code, rejection.text) for rejection in Rejection} == {
        "UNKNOWN_CALLER": (1, 1, 3, "calling AE title not in peers.toml"),
        "STRANGE_ADDRESS": (
            1, 1, 3, "this AE title calls from an address that peers.toml does not state for it",
        ),
        "STRANGE_CERTIFICATE": (
            1, 1, 3, "this AE title calls without a certificate that peers.toml states for it",
        ),
        "OTHER_CALLED": (1, 1, 7, "called AE title is not ours"),
        "APPLICATION_CONTEXT": (1, 1, 2, "application context name not supported"),
        "PROTOCOL_VERSION": (1, 2, 2, "protocol version not supported"),
        "NOT_RECORDED": (2, 3, 1, "the association could not be recorded; see the log"),
        "TOO_MANY": (2, 3, 2, "too many associations at once"),
        "TOO_MANY_OF_PEER": (2, 3, 2, "too many associations at once from this peer"),
    }  # fmt: skip


def test_a_name_of_this_machine_is_found_and_one_that_nobody_has_is_not() -> None:
    assert resolve_host("localhost") & {"127.0.0.1", "::1"}
    assert resolve_host("127.0.0.1") == {"127.0.0.1"}
    for nobody in ("no such host", "xray..hospital", "x" * 64 + ".hospital"):
        assert resolve_host(nobody) == frozenset()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_the_node_asks_itself_from_each_address_of_its_own(address: str) -> None:
    own = Caller("RADNODE", "RADNODE", address)
    assert allow_list().judge(own) is None
    assert allow_list().knows(own)
    assert not allow_list().knows(Caller("OTHER", "RADNODE", address))


def test_where_anyone_may_come_in_nobody_is_known_for_it() -> None:
    open_house = AllowList("RADNODE", (XRAY,), accepts_anyone=True)
    stranger = Caller("STRANGER", "ANYTHING", "10.9.9.9")
    assert open_house.judge(stranger) is None
    assert not open_house.knows(stranger)
    assert open_house.judge(Caller("XRAY", "ORTHANC", "10.9.9.9")) is None


def shown(letter: str) -> ShownCertificate:
    return ShownCertificate(letter * 64, frozenset())


PINNED = XRAY.model_copy(update={"certificates": ("a" * 64, "b" * 64)})


@pytest.mark.parametrize("accepts_anyone", [True, False])
def test_a_title_with_certificates_needs_one_of_them_even_where_anyone_may_come_in(accepts_anyone: bool) -> None:
    allow = AllowList("RADNODE", (PINNED,), accepts_anyone=accepts_anyone)
    for letter, rejection in (("b", None), ("c", Rejection.STRANGE_CERTIFICATE)):
        assert allow.judge(Caller("XRAY", "RADNODE", "10.1.2.3", shown(letter))) is rejection
        assert allow.knows(Caller("XRAY", "RADNODE", "10.1.2.3", shown(letter))) is (rejection is None)
    assert allow.judge(Caller("XRAY", "RADNODE", "10.1.2.3")) is Rejection.STRANGE_CERTIFICATE


def test_a_certificate_does_not_make_up_for_a_strange_address() -> None:
    caller = Caller("XRAY", "RADNODE", "10.1.2.4", shown("a"))
    assert allow_list(PINNED).judge(caller) is Rejection.STRANGE_ADDRESS


def test_of_two_peers_with_one_title_the_address_counts_for_the_one_whose_certificate_is_shown() -> None:
    other = XRAY.model_copy(update={"host": "10.1.2.4"})
    allow = allow_list(PINNED, other)
    assert allow.judge(Caller("XRAY", "RADNODE", "10.1.2.4")) is None
    assert allow.judge(Caller("XRAY", "RADNODE", "10.1.2.3")) is Rejection.STRANGE_ADDRESS
    assert allow.judge(Caller("XRAY", "RADNODE", "10.1.2.3", shown("a"))) is None


def test_an_address_of_ipv6_is_compared_without_the_name_of_its_interface() -> None:
    def resolve(_host: str) -> frozenset[str]:
        return frozenset({"fe80::1%eth0"})

    named = XRAY.model_copy(update={"host": "xray.hospital"})
    assert judge(allow_list(named, resolve=resolve), address="fe80::1") is None
    assert judge(allow_list(named, resolve=resolve), address="fe80::2") is Rejection.STRANGE_ADDRESS
    six = XRAY.model_copy(update={"host": "fe80::7"})
    assert judge(allow_list(six), address="fe80::7") is None


def test_a_host_name_is_looked_up_again_when_a_minute_is_over() -> None:
    now, asked = [100.0], []

    def resolve(host: str) -> frozenset[str]:
        asked.append(host)
        return frozenset({"10.1.2.3"})

    named = XRAY.model_copy(update={"host": "xray.hospital"})
    allow = AllowList("RADNODE", (named,), accepts_anyone=False, resolve=resolve, monotonic=lambda: now[0])
    for now[0], lookups in ((100.0, 1), (159.9, 1), (160.0, 2), (219.0, 2)):
        judge(allow)
        assert len(asked) == lookups


def test_the_clock_of_the_machine_counts_where_no_other_is_given() -> None:
    allow = AllowList("RADNODE", (XRAY.model_copy(update={"host": "localhost"}),), accepts_anyone=False)
    assert judge(allow, address="127.0.0.1") is None


def house(places: int, each: int, *peers: Peer, accepts_anyone: bool = True) -> Doorkeeper:
    return Doorkeeper(AllowList("RADNODE", peers, accepts_anyone=accepts_anyone), places, each)


def strangers(count: int) -> list[Caller]:
    return [Caller(f"STRANGER{number}", "RADNODE", "10.9.9.9") for number in range(count)]


def test_whom_the_allow_list_rejects_takes_no_place() -> None:
    doorkeeper = house(1, 1, XRAY, accepts_anyone=False)
    assert doorkeeper.admit(Caller("STRANGER", "RADNODE", "10.1.2.3")) is Rejection.UNKNOWN_CALLER
    assert doorkeeper.admit(Caller("XRAY", "RADNODE", "10.1.2.3")) is None


def test_the_last_eighth_of_the_places_is_for_known_peers_that_have_none() -> None:
    doorkeeper = house(16, 16, XRAY)
    known = Caller("XRAY", "RADNODE", "10.1.2.3")
    answers = [doorkeeper.admit(stranger) for stranger in strangers(15)]
    assert answers == [None] * 14 + [Rejection.TOO_MANY]
    assert [doorkeeper.admit(known) for _ in range(2)] == [None, Rejection.TOO_MANY]
    doorkeeper.dismiss(known)
    assert doorkeeper.admit(known) is None


def test_even_a_known_peer_does_not_get_in_where_every_place_is_taken() -> None:
    other = XRAY.model_copy(update={"ae_title": "OTHER"})
    third = XRAY.model_copy(update={"ae_title": "THIRD"})
    doorkeeper = house(8, 8, XRAY, other, third)
    for stranger in strangers(7):
        assert doorkeeper.admit(stranger) is None
    assert doorkeeper.admit(Caller("OTHER", "RADNODE", "10.1.2.3")) is None
    assert doorkeeper.admit(Caller("THIRD", "RADNODE", "10.1.2.3")) is Rejection.TOO_MANY


def test_a_house_of_fewer_than_eight_places_keeps_none_back() -> None:
    doorkeeper = house(7, 7)
    assert [doorkeeper.admit(stranger) for stranger in strangers(7)] == [None] * 7


def test_a_peer_at_two_addresses_is_counted_at_each() -> None:
    doorkeeper = house(7, 1)
    assert doorkeeper.admit(Caller("A", "RADNODE", "10.0.0.1")) is None
    assert doorkeeper.admit(Caller("A", "RADNODE", "10.0.0.2")) is None
    assert doorkeeper.admit(Caller("B", "RADNODE", "10.0.0.1")) is None
    assert doorkeeper.admit(Caller("A", "ELSE", "10.0.0.1")) is Rejection.TOO_MANY_OF_PEER


def test_a_peer_that_left_is_forgotten_and_one_that_stays_is_not() -> None:
    doorkeeper = house(7, 2)
    caller = Caller("A", "RADNODE", "10.0.0.1")
    assert [doorkeeper.admit(caller) for _ in range(3)] == [None, None, Rejection.TOO_MANY_OF_PEER]
    doorkeeper.dismiss(caller)
    assert [doorkeeper.admit(caller) for _ in range(2)] == [None, Rejection.TOO_MANY_OF_PEER]
    for _ in range(2):
        doorkeeper.dismiss(caller)
    assert not doorkeeper._inside
