"""What calls tell about their model, and that it is saved."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.core.measurement import Average, Measurement
from freellmapi.core.route import Attempt
from freellmapi.router.measurements import MAX_SPEED, TELLING, Measurements

NOW = 1_790_000_000.0


def attempt(
    ref: str = "alpha/m",
    *,
    duration: float = 2.0,
    tokens: int | None = None,
    error: ErrorKind | None = None,
) -> Attempt:
    provider, _, model = ref.partition("/")
    usage = None if tokens is None else Usage(10, tokens)
    return Attempt(provider, model, "1", NOW, duration, error=error, usage=usage)


def test_an_answer_is_a_success_at_the_time_it_ended() -> None:
    measurements = Measurements()
    measurements.record(attempt())
    assert measurements.of("alpha/m") == Measurement("alpha/m", NOW + 2, Average(1.0, 1.0))


@pytest.mark.parametrize("kind", ErrorKind, ids=lambda kind: kind.value)
def test_only_failures_that_tell_about_the_model_count_against_it(kind: ErrorKind) -> None:
    measurements = Measurements()
    measurements.record(attempt(error=kind))
    counted = measurements.of("alpha/m").success == Average(0.0, 1.0)
    told = kind in {
        ErrorKind.SERVER_ERROR,
        ErrorKind.BAD_ANSWER,
        ErrorKind.TIMEOUT,
        ErrorKind.UNREACHABLE,
        ErrorKind.STREAM_BROKEN,
    }
    assert counted == told == (kind in TELLING)
    assert (measurements.of("alpha/m").at > 0) == told


def test_models_with_slashes_in_their_ids_are_told_apart() -> None:
    measurements = Measurements()
    measurements.record(attempt("groq/openai/gpt"))
    assert measurements.of("groq/openai/gpt").success.weight == 1
    assert measurements.of("groq/openai").success.weight == 0


@pytest.mark.parametrize(
    ("tokens", "duration", "first_token", "speed"),
    [
        pytest.param(100, 3.0, 1.0, 50.0, id="stream: after its first token"),
        pytest.param(100, 3.0, None, 50.0, id="whole answer: after a typical wait"),
        pytest.param(100, 1.0, None, 200.0, id="quick whole answer: half of it was waiting"),
        pytest.param(100, 1.0, 1.0, MAX_SPEED, id="sent at once"),
        pytest.param(10**12, 3.0, 1.0, MAX_SPEED, id="absurd usage"),
        pytest.param(100, 0.0, None, MAX_SPEED, id="no time at all"),
        pytest.param(15, 3.0, 1.0, None, id="too short to tell"),
        pytest.param(-5, 3.0, 1.0, None, id="nonsense usage"),
        pytest.param(None, 3.0, 1.0, None, id="no usage"),
    ],
)
def test_speed(
    tokens: int | None, duration: float, first_token: float | None, speed: float | None
) -> None:
    measurements = Measurements()
    measurements.record(attempt(duration=duration, tokens=tokens), first_token)
    found = measurements.of("alpha/m")
    assert found.speed.value == pytest.approx(speed or 0.0)
    assert found.speed.weight == (speed is not None)
    assert found.first_token == (Average() if first_token is None else Average(first_token, 1.0))


def test_the_wait_of_a_whole_answer_is_that_of_the_models_streams() -> None:
    measurements = Measurements([Measurement("alpha/m", NOW, first_token=Average(0.2, 5.0))])
    measurements.record(attempt(duration=2.2, tokens=100))
    assert measurements.of("alpha/m").speed.value == pytest.approx(50.0)


def test_what_changed_is_saved_once() -> None:
    measurements = Measurements([Measurement("beta/m", NOW)])
    saved: list[tuple[Measurement, ...]] = []
    measurements.save(saved.append)
    assert saved == []
    measurements.record(attempt())
    measurements.record(attempt(error=ErrorKind.TIMEOUT))
    measurements.record(attempt("gamma/m", error=ErrorKind.RATE_LIMITED))
    measurements.save(saved.append)
    measurements.save(saved.append)
    assert saved == [(measurements.of("alpha/m"),)]


def test_what_could_not_be_saved_is_saved_the_next_time() -> None:
    measurements = Measurements()
    measurements.record(attempt())

    def locked(changed: tuple[Measurement, ...]) -> None:
        measurements.record(attempt("beta/m"))  # Meanwhile, as the write is off the hub.
        raise OSError("locked")

    with pytest.raises(OSError, match="locked"):
        measurements.save(locked)
    saved: list[tuple[Measurement, ...]] = []
    measurements.save(saved.append)
    assert [[m.ref for m in changed] for changed in saved] == [["alpha/m", "beta/m"]]
