"""Leaders' contradictions as files of the program that met them, for whoever has to show them.

Belongs here: keeping a document once, listing those that are kept. Does not belong here: what a document
proves (`relay.protocol.evidence`), when one is made (the monitor, a follower's subscriber).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from relay.protocol.errors import ProtocolError
from relay.protocol.evidence import EVIDENCE_FOLDER, evidence_name, proven

__all__ = ["evidence_against", "keep_evidence", "kept_evidence"]


def keep_evidence(folder: Path, leader_id: str, document: str) -> Path:
    """Write a document into `folder`/evidence, once; returns its file. Raises `OSError`."""
    file = folder / EVIDENCE_FOLDER / evidence_name(leader_id, document)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(document)
            out.flush()
            os.fsync(out.fileno())
    return file


def kept_evidence(folder: Path) -> list[tuple[Path, str]]:
    """Every document of `folder`/evidence and what it proves; or why it proves nothing."""
    found = []
    for file in sorted((folder / EVIDENCE_FOLDER).glob("*.json")):
        try:
            found.append((file, proven(file.read_text("utf-8"))))
        except (OSError, UnicodeDecodeError, ProtocolError) as error:
            found.append((file, f"proves nothing by itself: {error}"))
    return found


def evidence_against(folder: Path, leader_id: str) -> str | None:
    """What a kept document proves against a leader; None = nothing. It holds until a person takes it out of
    the folder.
    """
    for file in sorted((folder / EVIDENCE_FOLDER).glob(f"{leader_id}-*.json")):
        with suppress(OSError, UnicodeDecodeError, ProtocolError):
            return proven(file.read_text("utf-8"))
    return None
