"""Configuration files and environment, and what is said of a wrong one."""

import re
from pathlib import Path

import pytest

from node.catalog import bundled_config
from node.errors import SettingsError
from node.peers import Peer, TlsToPeer
from node.settings import Rule, Settings, load_settings, variable_name
from node.vocabulary import ResultProfile

SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if name not in {"peers", "rules"} and field.annotation
}


def write_config(folder: Path, node: str = "", peers: str = "", routes: str = "") -> Path:
    (folder / "node.toml").write_text(node)
    (folder / "peers.toml").write_text(peers)
    (folder / "routes.toml").write_text(routes)
    return folder / "node.toml"


def test_the_bundled_files_state_exactly_the_defaults() -> None:
    settings = load_settings(bundled_config() / "node.toml", {})
    assert settings.dicom == Settings().dicom
    assert settings.workers == Settings().workers
    assert settings.delivery == Settings().delivery
    assert settings.gathering == Settings().gathering
    assert settings.archive == Settings().archive
    assert settings.node.ae_title == "RADNODE"


def test_every_setting_is_described_in_node_toml() -> None:
    text = (bundled_config() / "node.toml").read_text()
    for section, kind in SECTIONS.items():
        body = text.split(f"\n[{section}]\n")[1].split("\n[")[0]
        for key in kind.model_fields:
            assert re.search(rf"^{key} = .*# \S", body, re.MULTILINE), f"[{section}] {key} has no comment"


def test_every_criterion_of_a_rule_is_described_in_routes_toml() -> None:
    text = (bundled_config() / "routes.toml").read_text()
    for key in Rule.model_fields:
        assert re.search(rf"^(# )?{key} = .*# \S", text, re.MULTILINE), f"{key} has no comment"


def test_every_key_of_a_peer_is_described_in_peers_toml_and_all_of_them_together_can_be_read(tmp_path: Path) -> None:
    text = (bundled_config() / "peers.toml").read_text()
    for key in {*Peer.model_fields, *TlsToPeer.model_fields} - {"tls"}:
        assert re.search(rf"^# {key} = .*# \S", text, re.MULTILINE), f"{key} has no comment"
    stated = re.sub(r"^# ", "", text, flags=re.MULTILINE).replace("AB:CD:...", "AB:" * 31 + "AB")
    peer = load_settings(write_config(tmp_path, peers=stated.partition("\n")[2]), {}).peers["PACS"]
    assert peer.model_fields_set == set(Peer.model_fields)
    assert peer.tls is not None
    assert {key for key in TlsToPeer.model_fields if getattr(peer.tls, key)} == set(TlsToPeer.model_fields)


@pytest.mark.parametrize(
    ("variable", "value", "section", "key", "expected"),
    [
        ("RADNODE_DICOM_PORT", "11113", "dicom", "port", 11113),
        ("RADNODE_AE_TITLE", "LUNGS", "node", "ae_title", "LUNGS"),
        ("RADNODE_GATHERING_QUIET_SECONDS", "0.5", "gathering", "quiet_seconds", 0.5),
    ],
)
def test_the_environment_goes_before_the_file(
    tmp_path: Path, variable: str, value: str, section: str, key: str, expected: object
) -> None:
    config = write_config(tmp_path, "[dicom]\nport = 1\n[node]\nae_title = 'FILE'\n")
    settings = load_settings(config, {variable: value})
    assert getattr(getattr(settings, section), key) == expected
    assert variable_name(section, key) == variable


def test_the_data_folder_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    assert load_settings(write_config(tmp_path), {}).node.data == tmp_path / "radnode-data"
    assert load_settings(write_config(tmp_path), {"RADNODE_DATA": "/srv/x"}).node.data == Path("/srv/x")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("[dicom]\nport = 70000", r"node\.toml:2: dicom\.port: found 70000; expected less than or equal to 65535"),
        ("[dicom]\nprot = 104", r"node\.toml:2: dicom\.prot: found 104; this key is unknown; did you mean port\?"),
        ("[node]\nae_title = 'SEVENTEEN LETTERS'", r"toml:2: node\.ae_title: found 'SEVENTEEN LETTERS'; .*1 to 16"),
        ("[node]\nae_title = 'A\\B'", r"AE title is 1 to 16 printable characters without backslash"),
        ("[dicom\nport = 1", r"node\.toml: not valid TOML"),
    ],
)
def test_a_wrong_value_is_reported_with_file_key_found_and_expected(
    tmp_path: Path, node: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(write_config(tmp_path, node), {})


def test_a_destination_that_is_no_peer_is_reported_with_the_peers_there_are(tmp_path: Path) -> None:
    rule = "[[rule]]\nname = 'r'\nmodel = 'm'\ndestination = ['PASC']\n"
    peers = "[peer.PACS]\nae_title = 'P'\nhost = 'h'\nport = 104\n"
    message = r"routes\.toml:4: rule 'r': destination: found 'PASC'; expected one of PACS, sender; add \[peer\.PASC\]"
    with pytest.raises(SettingsError, match=message):
        load_settings(write_config(tmp_path, peers=peers, routes=rule), {})


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    rule = "[[rule]]\nname = 'r'\nmodel = 'm'\ndestination = ['sender']\n"
    with pytest.raises(SettingsError, match=r"routes\.toml:6: rule 'r': found twice"):
        load_settings(write_config(tmp_path, routes=rule + rule), {})


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="radnode init"):
        load_settings(tmp_path / "node.toml", {})


def test_a_peer_may_have_a_quiet_time_of_its_own(tmp_path: Path) -> None:
    peers = "[peer.FAST]\nae_title = 'FAST'\nhost = 'h'\nport = 104\nquiet_seconds = 0.5\n"
    settings = load_settings(write_config(tmp_path, peers=peers), {})
    assert settings.quiet_seconds_of("FAST") == 0.5
    assert settings.quiet_seconds_of("OTHER") == settings.gathering.quiet_seconds


def test_every_fault_of_all_three_files_and_the_environment_is_said_at_once(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        node="[dicom]\nport = 70000\n[workers]\ncount = -1\n",
        peers="[peer.PACS]\nae_title = 'P'\nhost = 'h'\n",
        routes="[[rule]]\nname = 'r'\nmodel = 'm'\ndestination = ['sender']\nkernel = '('\n",
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(config, {"RADNODE_WORKERS_THREADS": "many", "RADNODE_DICOM_PROT": "1"})
    places = [line.split(": found")[0].split(": no setting")[0].replace(f"{tmp_path}/", "")
              for line in str(caught.value).splitlines()]
    assert places == [
        "environment variable RADNODE_DICOM_PROT",
        "node.toml:2: dicom.port",
        "node.toml:4: workers.count",
        "environment variable RADNODE_WORKERS_THREADS: workers.threads",
        "peers.toml:1: peer.PACS.port",
        "routes.toml:5: rule.0.kernel",
    ]


def test_a_variable_that_is_no_setting_is_named_with_the_one_it_resembles(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"RADNODE_DICOM_PROT: no setting .*did you mean RADNODE_DICOM_PORT\?"):
        load_settings(write_config(tmp_path), {"RADNODE_DICOM_PROT": "104"})


def test_variables_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    assert load_settings(write_config(tmp_path), {"PATH": "/bin", "RADNODEX": "1"}).rules == ()


def test_two_missing_files_are_both_named(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("")
    with pytest.raises(SettingsError, match=r"(?s)peers\.toml: no such file.*routes\.toml: no such file"):
        load_settings(tmp_path / "node.toml", {})


def test_a_rule_may_be_urgent_or_switched_off(tmp_path: Path) -> None:
    rule = "[[rule]]\nname = '{0}'\nmodel = 'm'\ndestination = ['sender']\n{1}\n"
    routes = rule.format("a", "priority = 'stat'") + rule.format("b", "enabled = false")
    first, second = load_settings(write_config(tmp_path, routes=routes), {}).rules
    assert (first.priority.rank, second.priority.rank) == (0, 2)
    assert (first.enabled, second.enabled) == (True, False)


def test_a_peer_gets_everything_unless_its_results_are_named(tmp_path: Path) -> None:
    peer = "[peer.{0}]\nae_title = '{0}'\nhost = 'h'\nport = 104\n{1}\n"
    peers = peer.format("PACS", "") + peer.format("VIEWER", "results = 'ohif'")
    known = load_settings(write_config(tmp_path, peers=peers), {}).peers
    assert (known["PACS"].results, known["VIEWER"].results) == (ResultProfile.ARCHIVE, ResultProfile.OHIF)


def test_the_files_of_tls_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    tls = load_settings(write_config(tmp_path, "[tls]\ncertificate = 'a.pem'\nkey = '/b.key'\n"), {}).tls
    assert (tls.certificate, tls.key, tls.authority) == (str(tmp_path / "a.pem"), "/b.key", "")


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ("certificate = 'a.pem'", "expected both `certificate` and `key`"),
        ("certificate = 'a'\nkey = 'b'\nrequire_client_certificate = true", "needs `authority`"),
    ],
)
def test_half_of_what_tls_needs_is_refused(tmp_path: Path, tls: str, message: str) -> None:
    with pytest.raises(SettingsError, match=rf"node\.toml:1: tls: .*{message}"):
        load_settings(write_config(tmp_path, f"[tls]\n{tls}\n"), {})
