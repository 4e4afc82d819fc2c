"""Uses of client tokens: noted at once, written in their time."""

from __future__ import annotations

import pytest

from freellmapi.storage.token_use import TokenUse
from freellmapi.storage.tokens import TokenStore


def test_a_use_is_seen_at_once_and_written_by_saving(tokens: TokenStore) -> None:
    tokens.create("laptop")
    (token,) = tokens.live()
    use = TokenUse()
    assert use.at(token.id, None) is None
    use.note(token.id, 5.0)
    assert use.at(token.id, None) == 5.0
    assert tokens.live()[0].last_used_at is None
    use.save(tokens)
    assert tokens.live()[0].last_used_at == 5.0


def test_a_later_use_by_another_process_wins(tokens: TokenStore) -> None:
    use = TokenUse()
    use.note(1, 5.0)
    assert use.at(1, 9.0) == 9.0


class Broken(TokenStore):
    def __init__(self) -> None:
        self.works = False
        self.touched: list[float] = []

    def touch(self, ids: object, now: float) -> None:
        if not self.works:
            raise OSError
        self.touched.append(now)


def test_what_could_not_be_written_is_written_later() -> None:
    store, use = Broken(), TokenUse()
    use.note(1, 5.0)
    with pytest.raises(OSError):
        use.save(store)
    store.works = True
    use.save(store)
    use.save(store)
    assert store.touched == [5.0]
