"""The parts that several workers share in Redis, put together. Needs the ``redis`` extra."""

from __future__ import annotations

from collections.abc import Callable

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.ledger import Ledger
from freellmapi.router.noticeboard import Noticeboard
from freellmapi.router.rejoin import Membership, new_name
from freellmapi.router.shared_benches import share_benches
from freellmapi.router.shared_ledger import SharedLedger
from freellmapi.router.shared_sticky import SharedSticky
from freellmapi.router.sticky import Sticky
from freellmapi.storage.shared import Shared


@dataclass(frozen=True, slots=True)
class Sharing:
    """The ledger, the benches and the memory of conversations of all workers."""

    ledger: Ledger
    cooldowns: Cooldowns
    sticky: Sticky
    cluster: Membership


def sharing(
    url: str, installation: str, clock: Clock, restore: Callable[[Ledger], None]
) -> Sharing:
    """Joins the other workers; ``restore`` fills an empty ledger from the request log."""
    shared = Shared(url, installation, clock)
    ledger = SharedLedger(shared, clock, new_name())
    board = Noticeboard(shared)
    cooldowns = Cooldowns(clock)
    share_benches(cooldowns, board, clock)
    cluster = Membership(ledger, clock, lambda: restore(ledger), board)
    cluster.start()
    return Sharing(ledger, cooldowns, SharedSticky(shared), cluster)
