"""Looks at passwords: never too many at a time, and slower for who guesses."""

from __future__ import annotations

import hmac
import threading

from freellmapi.core.clock import Clock
from freellmapi.dashboard.throttle import Source, Throttle
from freellmapi.router.asking import OffHub
from freellmapi.storage.accounts import Account, AccountStore

AT_ONCE = 2
"""Passwords hashed at a time; each takes 32 MiB."""


class TooMany(Exception):
    """This source has to wait ``seconds`` before its next guess."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many wrong passwords from here. Try again in {seconds:.0f} s.")
        self.seconds = seconds


class Doorman:
    """What every form that takes a password asks."""

    def __init__(self, accounts: AccountStore, clock: Clock, off_hub: OffHub) -> None:
        self._accounts = accounts
        self._throttle = Throttle(clock)
        self._off_hub = off_hub
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def admit(self, source: str, name: str, password: str) -> Account | None:
        """The account that this is the password of; ``TooMany`` without a look at it."""
        # Names that do not exist share one count: there is no end of them to try.
        is_known = name in self._accounts.names()
        guess = self._book(source, f"account {name}" if is_known else "no account")
        with self._places:
            account = self._off_hub(lambda: self._accounts.checked(name, password))
        if account is not None:
            self._throttle.clear(guess)
        return account

    def knows_setup_code(self, source: str, code: str) -> bool:
        """Whether this is the code printed in the log; ``TooMany`` as for passwords."""
        guess = self._book(source, "setup")
        wanted = self._accounts.setup_code().replace("-", "")
        given = code.replace("-", "").replace(" ", "").upper()
        is_right = hmac.compare_digest(given.encode(), wanted.encode())
        if is_right:
            self._throttle.clear(guess)
        return is_right

    def create_first(self, name: str, password: str) -> Account:
        """The first account; ``AccountExists`` when somebody was quicker."""
        with self._places:
            return self._off_hub(lambda: self._accounts.create(name, password, only_first=True))

    def set_password(self, name: str, password: str) -> Account:
        with self._places:
            return self._off_hub(lambda: self._accounts.set_password(name, password))

    def _book(self, source: str, target: str) -> Source:
        guess = (source, target)
        seconds = self._throttle.wait(guess)
        if seconds > 0:
            raise TooMany(max(1.0, seconds))
        return guess
