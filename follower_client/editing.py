"""Takes one of several leaders out of a configuration file.

Belongs here: the change of the text, checked by reading it again. Does not belong here: what leaving means
(`closing`), reading (`reading`).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from follower_client.errors import ConfigurationError, FollowerError
from follower_client.reading import load_settings

__all__ = ["take_out"]

_HEADER = re.compile(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}")


def take_out(file: Path, leader_id: str) -> Path:
    """Rewrite the file without that leader; the first of the others takes his place if he was [leader]. The
    text as it was is kept beside it, in the file that is returned. Raises `FollowerError`.
    """
    wanted = [leader.id for leader in load_settings(file).leaders if leader.id != leader_id]
    kept = file.with_name(f"{file.name}.before-leaving-{leader_id}")
    draft = file.with_name(f"{file.name}.new")
    try:
        text = file.read_text(encoding="utf-8")
        draft.touch(mode=0o600)
        draft.write_text(_without(text, leader_id), encoding="utf-8")
        try:
            is_right = [leader.id for leader in load_settings(draft).leaders] == wanted
        except ConfigurationError:
            is_right = False
        if not is_right:
            draft.unlink()
            raise FollowerError(f"{file}: {leader_id} is not taken out, allowed: by hand")
        kept.touch(mode=0o600)
        kept.write_text(text, encoding="utf-8")
        draft.chmod(file.stat().st_mode & 0o777)
        draft.replace(file)
    except OSError as error:
        raise FollowerError(f"{file}: cannot be written ({error.strerror})") from None
    return kept


def _without(text: str, leader_id: str) -> str:
    """Cut the leader's table out, from its header to the next one."""
    more = [row.get("id") for row in tomllib.loads(text).get("more_leaders", [])]
    lines, kept, table, number = text.splitlines(keepends=True), [], "", -1
    for line in lines:
        header = _HEADER.match(line)
        if header is not None:
            table = header[1]
            number += table == "more_leaders"
        if table == "more_leaders" and leader_id in more:
            if more[number] == leader_id:
                continue
        elif table == "leader" and leader_id not in more:
            continue
        is_next = table == "more_leaders" and leader_id not in more and number == 0 and header is not None
        kept.append(line.replace("[[more_leaders]]", "[leader]") if is_next else line)
    return "".join(kept)
