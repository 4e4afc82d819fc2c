"""What may be inside at once, and what those outside are told."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import GatewayError
from freellmapi.router.entrance import LARGE, Entrance


def refusal(entrance: Entrance, token: int, length: int = 10) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        entrance.enter(token, length)
    return caught.value


def test_one_client_cannot_take_the_places_of_another() -> None:
    entrance = Entrance(each=2)
    first, _ = entrance.enter(1, 10), entrance.enter(1, 10)
    error = refusal(entrance, 1)
    assert (error.status, error.retry_after) == (429, 1)
    entrance.enter(2, 10)
    first.leave()
    entrance.enter(1, 10)
    refusal(entrance, 1)


def test_leaving_twice_is_leaving_once() -> None:
    entrance = Entrance(each=1)
    visit = entrance.enter(1, LARGE)
    visit.leave()
    visit.leave()
    entrance.enter(1, 10)
    refusal(entrance, 1)


def test_large_bodies_share_a_room_and_small_ones_always_pass() -> None:
    entrance = Entrance(each=100, room=2 * LARGE)
    visits = [entrance.enter(client, LARGE) for client in (1, 3)]
    error = refusal(entrance, 2, LARGE)
    assert (error.status, error.retry_after) == (503, 1)
    entrance.enter(2, LARGE - 1)
    visits[0].leave()
    entrance.enter(2, LARGE)


def test_one_client_leaves_room_for_the_large_body_of_another() -> None:
    entrance = Entrance(each=100, room=4 * LARGE)
    visits = [entrance.enter(1, LARGE) for _ in range(3)]
    assert refusal(entrance, 1, LARGE).status == 503
    other = entrance.enter(2, LARGE)
    refusal(entrance, 3, LARGE)
    other.leave()
    for visit in visits:
        visit.leave()
    for _ in range(3):
        entrance.enter(2, LARGE)
