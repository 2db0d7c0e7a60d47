"""Patience: how long a delivery waits after a failure."""

from __future__ import annotations

import random

from node.delivery.patience import wait_seconds
from node.settings import DeliverySection


def test_deliveries_that_failed_together_do_not_come_again_together() -> None:
    jitter = random.Random(1)
    limits = DeliverySection(first_retry_seconds=10.0, longest_retry_seconds=600.0)
    waits = [wait_seconds(limits, 3, jitter) for _ in range(50)]
    assert len(set(waits)) == 50
    assert all(32.0 <= wait <= 48.0 for wait in waits)
    assert max(waits) - min(waits) > 10.0
