"""A person cancels a study while its job runs: the worker lets go of it and goes on with the next."""

from __future__ import annotations

from pathlib import Path

from builders import chest_dx, shaded_picture, write
from click.testing import CliRunner
from served import ServedNode, hanging_model
from waiting import until

from node.cli import main
from node.demo.pacs import SmallPacs


def test_a_job_that_hangs_is_cancelled_and_its_worker_works_again(tmp_path: Path) -> None:
    model = hanging_model(tmp_path)
    settings = f'[node]\nmodels = ["{model.parent}"]\n[workers]\nlease_seconds = 1.5\n'
    home = tmp_path / "node"
    home.mkdir()
    first, second = (chest_dx(shaded_picture(seed=seed), patient_id=f"P{seed}") for seed in (1, 2))
    with SmallPacs(tmp_path / "pacs", "PACS") as pacs:
        node = ServedNode(home, pacs, settings, model="chest_dx_hanging")
        node.start()
        try:
            node.send(write(first, tmp_path / "sent"))
            until((model / "begun").exists, home / "node.log")
            (worker,) = node.workers()
            verb = ["studies", "cancel", first.StudyInstanceUID, "--config", str(node.config)]
            cancelled = CliRunner().invoke(main, verb)
            until(lambda: worker not in node.workers(), home / "node.log")
            (model / "hang").unlink()
            node.send(write(second, tmp_path / "sent"))
            detail = node.finished(second)
        finally:
            node.stop()
    assert cancelled.stdout == f"{first.StudyInstanceUID}: cancelled\n"
    assert [job.state for job in node.study(first).jobs] == ["cancelled"]
    assert detail.jobs[0].state in ("done", "refused")
    assert "lease lost" in node.log
    assert "worker died" in node.log
