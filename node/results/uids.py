"""UIDs of result objects: the same for the same study, inputs, model and kind, whenever they are made."""

from __future__ import annotations

import hashlib
import uuid


def result_uid(inputs_digest: str, model_sha256: str, kind: str, index: int) -> str:
    """Return a UUID-derived UID (PS3.5 B.2) that only these four values decide."""
    return _hashed_uid(inputs_digest, model_sha256, kind, str(index))


def device_uid(ae_title: str) -> str:
    """Return the Device Observer UID of the node with this AE title."""
    return _hashed_uid("radnode", "device", ae_title)


def _hashed_uid(*parts: str) -> str:
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"
