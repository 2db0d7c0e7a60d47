"""The small PACS against a real SCU on loopback: what it confirms can be read back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from builders import CR, DX, chest_dx, shaded_picture
from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from node.demo.pacs import LOOPBACK, VERIFICATION, SmallPacs


@contextmanager
def association_to(pacs: SmallPacs, syntax: str = uid.ExplicitVRLittleEndian) -> Iterator[Association]:
    entity = AE("SENDER")
    for sop_class in (DX, CR):
        entity.add_requested_context(sop_class, syntax)
    entity.add_requested_context(VERIFICATION)
    association = entity.associate(LOOPBACK, pacs.port, ae_title=pacs.ae_title)
    assert association.is_established
    yield association
    association.release()


def test_an_instance_answered_with_success_can_be_read_back(tmp_path: Path) -> None:
    sent = chest_dx(shaded_picture(), bits=12)
    with SmallPacs(tmp_path / "pacs") as pacs, association_to(pacs) as association:
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(sent).Status == 0
        (path,) = pacs.received()
    kept = pydicom.dcmread(path)
    assert kept == sent
    assert kept.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
    assert kept.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian


def test_a_compressed_instance_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    sent = chest_dx(shaded_picture(), bits=12)
    plain = np.array(sent.pixel_array)
    sent.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    with SmallPacs(tmp_path / "pacs") as pacs, association_to(pacs, uid.RLELossless) as association:
        assert association.send_c_store(sent).Status == 0
        kept = pydicom.dcmread(pacs.received()[0])
    assert kept.file_meta.TransferSyntaxUID == uid.RLELossless
    assert np.array_equal(kept.pixel_array, plain)


def test_an_instance_sent_twice_is_seen_twice(tmp_path: Path) -> None:
    with SmallPacs(tmp_path / "pacs") as pacs, association_to(pacs) as association:
        for _ in range(2):
            association.send_c_store(chest_dx(shaded_picture()))
        assert [path.name for path in pacs.received()] == ["000001.dcm", "000002.dcm"]


def test_waiting_ends_when_the_last_instance_arrives_and_not_before(tmp_path: Path) -> None:
    answers: list[bool] = []
    with SmallPacs(tmp_path / "pacs") as pacs, association_to(pacs) as association:
        assert not pacs.wait_for(1, timeout_seconds=0.05)
        waiter = threading.Thread(target=lambda: answers.append(pacs.wait_for(2, timeout_seconds=20)))
        waiter.start()
        association.send_c_store(chest_dx(shaded_picture(seed=1)))
        association.send_c_store(chest_dx(shaded_picture(seed=2)))
        waiter.join()
    assert answers == [True]


def test_an_instance_that_cannot_be_written_is_not_answered_with_success(tmp_path: Path) -> None:
    folder = tmp_path / "pacs"
    with SmallPacs(folder) as pacs, association_to(pacs) as association:
        shutil.rmtree(folder)
        answer: Dataset = association.send_c_store(chest_dx(shaded_picture()))
        assert answer.Status == 0xA700
        assert pacs.received() == []


def test_a_small_pacs_that_is_not_entered_has_no_port(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="SMALLPACS: is not listening"):
        _ = SmallPacs(tmp_path).port
