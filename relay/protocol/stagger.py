"""Which wave a follower enters in, and how long that wave waits.

Belongs here: the arithmetic both sides must agree on. The plan itself comes signed inside each signal; how
long a follower is willing to wait is the follower's.
"""

from __future__ import annotations

import hashlib

from relay.protocol.messages import StaggerPlan

__all__ = ["delay_ms", "wave_of"]


def wave_of(follower_id: str, seq: int, waves: int) -> int:
    """The follower's wave for this signal, 0 .. waves-1.

    A fixed place from the id plus the seq: spread evenly over ids, and whoever was first is last next time.
    """
    if waves <= 1:
        return 0
    place = int.from_bytes(hashlib.sha256(follower_id.encode()).digest()[:8], "big")
    return (place + seq) % waves


def delay_ms(plan: StaggerPlan, follower_id: str, seq: int) -> int:
    """Milliseconds between the signal and the start of this follower's wave (entries only; exits never
    wait).
    """
    return wave_of(follower_id, seq, plan.waves) * plan.spacing_ms
