from __future__ import annotations

import gc

import pytest
from gunicorn.config import Config

from freellmapi.core.errors import SettingsError
from freellmapi.worker import Worker


class Refusing:
    """An application that cannot be had with these settings."""

    def wsgi(self) -> None:
        raise SettingsError("There is no key.")


@pytest.mark.parametrize(
    ("age", "code"),
    [
        pytest.param(1, 2, id="the first: starting again would not help"),
        pytest.param(2, 3, id="one in another's place: it was right before"),
    ],
)
def test_a_refusal_is_one_sentence(age: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    worker = Worker(age, 1, [], Refusing(), 30, Config(), None)
    try:
        with pytest.raises(SystemExit) as ended:
            worker.load_wsgi()
    finally:
        worker.tmp.close()
    assert ended.value.code == code
    assert capsys.readouterr().err == "freellmapi: There is no key.\n"
    assert gc.isenabled()
