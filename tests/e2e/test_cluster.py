"""Two machines behind nginx under load, while their Redis, their PostgreSQL and one of them die
and come back. ``python -m bench.cluster`` does the same for longer, with 200 clients.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.e2e import disasters
from tests.e2e.cluster import Cluster, asked_of, cluster
from tests.e2e.disasters import ROOMS, Story
from tests.e2e.owner import Owner
from tests.e2e.server import CLOCK, config
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.e2e

CLIENTS, PAUSE, SECONDS = 24, 0.25, 64.0
"""More than a minute, so that what was used before the mishaps comes free after them."""
IN_FORCE = 2.0
"""Seconds within which every worker follows a write to one of them."""
PROBES, SPACING = 2, 5.0
"""So many probes of a key are waited for; one worker alone leaves twice this time, in seconds,
between those of one provider."""

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return disasters.told(tmp_path_factory.mktemp("story"), CLIENTS, PAUSE, SECONDS, log.info)


def test_no_provider_ever_has_to_say_429(story: Story) -> None:
    assert story.violations == dict.fromkeys(ROOMS, 0)
    assert all(story.served.values())


def test_every_answer_that_a_client_saw_is_in_the_log_once(story: Story) -> None:
    rows = Counter(row.request_id for row in story.rows if row.status == 200)
    assert {id: rows[id] for _, id in story.answered if rows[id] != 1} == {}


def test_only_what_the_killed_machine_was_at_is_lost(story: Story) -> None:
    assert story.unexplained() == []
    assert len(story.lost) <= CLIENTS


def test_the_service_goes_on_through_everything(story: Story) -> None:
    assert [mishap.name for mishap in story.mishaps] == ["redis", "postgres", "machine"]
    for mishap in story.mishaps:
        meanwhile = [at for at, _ in story.answered if mishap.began <= at <= mishap.over]
        assert len(meanwhile) >= CLIENTS


def test_nothing_is_logged_that_nobody_expects(story: Story) -> None:
    """Whoever reads the log learns of each mishap in a line, not in a stack of calls."""
    lines = [line for log in story.logs for line in log.splitlines()]
    assert [line for line in lines if "Traceback" in line or " ERROR " in line] == []


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, FakeProvider]]:
    with FakeProvider() as alpha, FakeProvider() as beta:
        yield {"alpha": alpha, "beta": beta}


@pytest.fixture(scope="module")
def site(
    fakes: dict[str, FakeProvider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    text = config(
        {name: fake.base_url for name, fake in fakes.items()},
        keys=[(name, f"key-of-{name}") for name in fakes],
        probe_interval=1,
        sticky_ttl=0,
    )
    with cluster(tmp_path_factory.mktemp("quiet"), text) as site:
        yield site


def test_the_chain_changed_on_one_machine_rules_the_next_call_on_the_other(site: Cluster) -> None:
    here, there = site.machines
    owner = Owner(here)
    for machine, ref in ((here, "beta/m"), (there, "alpha/m")):
        owner.put_first(machine, ref)
        CLOCK.sleep(IN_FORCE)
        (other,) = (m for m in site.machines if m is not machine)
        assert asked_of(other) == ref


def test_what_is_to_be_done_once_is_done_once(
    site: Cluster, fakes: dict[str, FakeProvider]
) -> None:
    """Each key is asked after by one of the four workers."""
    site.until(lambda: any(site.leaders()), "one worker leads")

    def probes(fake: FakeProvider) -> list[float]:
        return [seen.at for seen in list(fake.requests) if seen.method == "GET"]

    for fake in fakes.values():
        site.until(lambda fake=fake: len(probes(fake)) >= PROBES, "keys are probed")  # type: ignore[misc]
        assert all(later - earlier > SPACING for earlier, later in pairwise(probes(fake)))
    assert sum(site.leaders()) == 1
