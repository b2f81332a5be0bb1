"""A leader's contradiction as a file of the follower whose feed it locked.

Belongs here: keeping the document once, finding those that are kept. Does not belong here: what a document
proves (`relay.protocol.evidence`), what follows from it for copying (`executor`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from relay.protocol.errors import ProtocolError
from relay.protocol.evidence import EVIDENCE_FOLDER, evidence_name, proven

__all__ = ["keep_evidence", "kept_evidence"]


def keep_evidence(data_dir: Path, leader_id: str, document: str) -> Path:
    """Write a document below the follower's folder, once; returns its file. Raises `OSError`."""
    file = data_dir / EVIDENCE_FOLDER / evidence_name(leader_id, document)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(document)
            out.flush()
            os.fsync(out.fileno())
    return file


def kept_evidence(data_dir: Path) -> list[dict[str, str]]:
    """Every document below the follower's folder: its file, and what it proves, if it does by itself."""
    rows = []
    for file in sorted((data_dir / EVIDENCE_FOLDER).glob("*.json")):
        try:
            proves = proven(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, ProtocolError) as error:
            proves = f"nothing by itself: {error}"
        rows.append({"file": str(file), "proves": proves})
    return rows
