"""What answers teach: caps from their headers, and how each model counts tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from types import MappingProxyType

import pytest

from freellmapi.core.limits import Limits
from tests.fakes.answers import Answer
from tests.fakes.provider import FakeProvider, Reply, says, status, streams
from tests.router.conftest import Lab, chat, model, provider, snapshot

HEADERS = MappingProxyType(
    {"x-left": "remaining_rpm", "x-cap": "limit_rpm", "x-opens": "reset_rpm:seconds"}
)


class School:
    """One provider whose answers say what is left."""

    def __init__(self, fake: FakeProvider, lab: Lab) -> None:
        self.fake, self.lab = fake, lab

    def ask(self, reply: Reply, *, stream: bool = False, max_tokens: int | None = 10) -> None:
        self.fake.script = [reply]
        outcome = self.lab.run(chat(stream=stream, max_tokens=max_tokens))
        for _ in outcome.stream or ():
            pass

    @property
    def left(self) -> int:
        candidate = self.lab.the("alpha/m")
        headroom = self.lab.ledger.headroom(candidate.buckets, self.lab.clock.now())
        window = headroom.tightest_requests()
        assert window is not None
        return window.left


@pytest.fixture
def school(labs: list[Lab]) -> Iterator[School]:
    with ExitStack() as stack:
        fake = stack.enter_context(FakeProvider())
        alpha = provider("alpha", fake.base_url, ratelimit_headers=HEADERS)
        labs.append(Lab(snapshot(model(limits=Limits(rpm=30)), providers=[alpha])))
        yield School(fake, labs[0])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_lower_cap_in_the_headers_is_believed(school: School, stream: bool) -> None:
    answer: Answer = streams("hi") if stream else says("hi")
    school.ask(answer.with_headers(x_cap="5"), stream=stream)
    assert school.left == 4


def test_others_who_use_the_key_are_counted(school: School) -> None:
    school.ask(says("hi").with_headers(x_cap="30", x_left="12"))
    assert school.left == 12


def test_a_refusal_teaches_too(school: School) -> None:
    school.ask(status(429, x_cap="3", Retry_After="1"))
    assert school.left == 3


def test_estimates_follow_what_the_provider_counts(school: School) -> None:
    calibration = school.lab.tools.calibration
    for _ in range(5):
        school.ask(says("hi", usage=(25, 3)))
    assert calibration.factor("alpha/m") > 1.5


def test_the_length_of_answers_is_learned_only_where_none_was_stated(school: School) -> None:
    calibration, serves = school.lab.tools.calibration, school.lab.the("alpha/m").model
    unknown = calibration.expected_output(serves, None)
    for _ in range(12):
        school.ask(says("hi", usage=(10, 3)), max_tokens=10)
    assert calibration.expected_output(serves, None) == unknown
    for _ in range(12):
        school.ask(says("hi", usage=(10, 3)), max_tokens=None)
    assert calibration.expected_output(serves, None) < unknown
