"""Peers as an operator sees them, by command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from dcmtk import free_port
from delivery.parcels import Scene, peer, scp
from waiting import PATIENCE_SECONDS

from node.cli import main
from node.database import Database
from node.delivery.destinations import echo_peers, list_peers, pause_destination
from node.errors import DeliveryRefused
from node.settings import Settings


def configure(folder: Path, **ports: int) -> str:
    """Write a configuration with these peers and return its node.toml."""
    tables = [f'[peer.{name}]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {ports[name]}\n' for name in ports]
    (folder / "peers.toml").write_text("\n".join(tables))
    (folder / "routes.toml").write_text("")
    (folder / "node.toml").write_text(f"[delivery]\ntimeout_seconds = {PATIENCE_SECONDS}\n")
    return str(folder / "node.toml")


def test_every_peer_is_listed_with_whether_it_is_paused(scene: Scene) -> None:
    settings = Settings(peers={"PACS": peer(104), "ARCHIVE": peer(105, "ARC")})
    pause_destination(scene.side.database, settings, "PACS", "moving house")
    archive, pacs = list_peers(settings, scene.side.database)
    assert (archive.name, archive.ae_title, archive.port, archive.is_paused) == ("ARCHIVE", "ARC", 105, False)
    assert (pacs.name, pacs.is_paused, pacs.reason) == ("PACS", True, "moving house")


def test_peers_that_answer_and_one_that_does_not_are_told_apart() -> None:
    with scp() as port:
        lines = list(echo_peers(Settings(peers={"UP": peer(port), "DOWN": peer(free_port())})))
    assert [(line.name, line.is_answering) for line in lines] == [("DOWN", False), ("UP", True)]
    assert "no connection (Connection refused); check that it runs" in lines[0].answer
    assert lines[1].milliseconds is not None
    assert lines[1].milliseconds > 0


def test_a_peer_that_is_not_in_peers_toml_is_no_peer() -> None:
    with pytest.raises(DeliveryRefused, match=r"peer 'PCAS': not in peers.toml; expected one of: PACS"):
        list(echo_peers(Settings(peers={"PACS": peer(104)}), ["PCAS"]))


def test_peers_echo_ends_with_1_when_one_of_them_is_silent(tmp_path: Path) -> None:
    with scp() as port:
        config = configure(tmp_path, UP=port, DOWN=free_port())
        all_of_them = CliRunner().invoke(main, ["peers", "echo", "--json", "--config", config])
        one = CliRunner().invoke(main, ["peers", "echo", "UP", "--json", "--config", config])
    assert (all_of_them.exit_code, one.exit_code) == (1, 0)
    assert [line["is_answering"] for line in json.loads(all_of_them.stdout)] == [False, True]
    assert json.loads(one.stdout)[0]["name"] == "UP"


def test_deliveries_are_paused_and_resumed_by_command(tmp_path: Path) -> None:
    config = configure(tmp_path, PACS=104)
    (tmp_path / "radnode-data").mkdir()
    Database(tmp_path / "radnode-data" / "radnode.db").migrate()
    said = [
        CliRunner().invoke(main, ["deliveries", verb, "PACS", "--config", config]).stdout
        for verb in ("pause", "pause", "resume", "resume")
    ]
    assert said == ["PACS: paused\n", "PACS: was paused already\n", "PACS: resumed\n", "PACS: was not paused\n"]
    listed = CliRunner().invoke(main, ["peers", "list", "--json", "--config", config])
    assert json.loads(listed.stdout)[0]["is_paused"] is False


def test_peers_are_listed_before_the_node_ever_ran(tmp_path: Path) -> None:
    listed = CliRunner().invoke(main, ["peers", "list", "--json", "--config", configure(tmp_path, PACS=104)])
    assert [line["name"] for line in json.loads(listed.stdout)] == ["PACS"]
