"""Any interleaving of reserving, booking, settling, waiting and restarting, against a model
that keeps every call and recounts every window each time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.core.route import Reservation
from freellmapi.router.counter import MINUTE_SLOTS, UNKNOWN
from freellmapi.router.ledger import Earlier
from tests.router import ledgers
from tests.router.ledgers import NewLedger

DAY = 86_400
# A little before midnight, so that days end within a run.
START = 20_700 * DAY - 100.0
MODEL = Limits(rpm=4, tpm=100, rpd=8, tpd=400, concurrency=5)
ACCOUNT = Limits(rpm=6, rpd=11)
BUCKETS = {
    "x": (Bucket("x", MODEL), Bucket("account", ACCOUNT)),
    "y": (Bucket("y", MODEL), Bucket("account", ACCOUNT)),
}
WHICH = st.sampled_from(sorted(BUCKETS))


@dataclass(eq=False)
class Call:
    """A call as an outside observer sees it."""

    which: str
    at: float
    tokens: int
    reservation: Reservation
    open: bool = True


class LedgerMachine(RuleBasedStateMachine):
    new_ledger: NewLedger = staticmethod(ledgers.memory)

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.new_ledger()
        self.now = START
        self.calls: list[Call] = []

    @rule(which=WHICH, tokens=st.integers(1, 100))
    def reserve(self, which: str, tokens: int) -> None:
        self.reserved(which, tokens)

    def reserved(self, which: str, tokens: int) -> Call | None:
        """A call for which there is room, if and only if there is."""
        reservation = self.ledger.reserve(BUCKETS[which], tokens, self.now)
        assert (reservation is not None) == self.has_room(which, tokens, self.now)
        if reservation is None:
            return None
        self.calls.append(Call(which, reservation.at, tokens, reservation))
        return self.calls[-1]

    @rule(which=WHICH, tokens=st.integers(1, 100), patience=st.sampled_from([0, 15, 70, 200]))
    def book(self, which: str, tokens: int, patience: int) -> None:
        reservation = self.ledger.book(BUCKETS[which], tokens, self.now, self.now + patience)
        if reservation is None:
            assert not self.has_room(which, tokens, self.now)
            return
        assert self.now <= reservation.at <= self.now + patience
        assert self.has_room(which, tokens, reservation.at)
        for second in range(int(self.now) + 1, int(reservation.at)):
            assert not self.has_room(which, tokens, second), "it is the earliest place"
        self.calls.append(Call(which, reservation.at, tokens, reservation))

    @precondition(lambda self: any(call.open for call in self.calls))
    @rule(
        data=st.data(),
        spent=st.sampled_from([True, True, False]),
        used=st.integers(0, 100),
        again=st.booleans(),
    )
    def settle(self, data: st.DataObject, spent: bool, used: int, again: bool) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.open]))
        call.open = False
        if spent and call.at <= self.now:
            call.tokens = min(used, call.tokens)
            self.ledger.settle(call.reservation, Usage(call.tokens, 0), spent=True)
        else:
            self.ledger.settle(call.reservation, None, spent=False)
            self.calls.remove(call)
        if again:
            self.ledger.settle(call.reservation, None, spent=False)

    @rule(which=WHICH, tokens=st.integers(1, 40), times=st.integers(2, 5))
    def serve(self, which: str, tokens: int, times: int) -> None:
        """Calls that are answered at once, a few seconds apart."""
        for _ in range(times):
            self.now += 4
            call = self.reserved(which, tokens)
            if call is not None:
                call.open = False
                self.ledger.settle(call.reservation, Usage(tokens, 0), spent=True)

    @precondition(lambda self: any(call.open for call in self.calls))
    @rule()
    def settle_all(self) -> None:
        for call in [call for call in self.calls if call.open]:
            call.open = False
            self.ledger.settle(call.reservation, None, spent=call.at <= self.now)
            if call.at > self.now:
                self.calls.remove(call)

    @rule(seconds=st.sampled_from([0.1, 0.9, 1, 7, 30, 61.5, 62]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def prune(self) -> None:
        self.ledger.prune(self.now)

    @precondition(lambda self: not any(call.open for call in self.calls))
    @rule()
    def restart(self) -> None:
        """All calls are in the log; those under way at a crash are in none."""
        self.ledger = self.new_ledger()
        for bucket in {bucket for buckets in BUCKETS.values() for bucket in buckets}:
            calls = [c for c in self.calls if bucket in BUCKETS[c.which]]
            today = [c for c in calls if c.at // DAY == self.now // DAY]
            minute = tuple((int(c.at), 1, c.tokens) for c in calls if c.at > self.now - 62)
            month = (len(calls), sum(c.tokens for c in calls))
            day = (len(today), sum(c.tokens for c in today))
            self.ledger.restore(bucket, Earlier(minute, day, month), self.now)
        for which in BUCKETS:
            self.reserve(which, 1)

    @invariant()
    def no_window_is_exceeded(self) -> None:
        for bucket in {bucket for buckets in BUCKETS.values() for bucket in buckets}:
            calls = [c for c in self.calls if bucket in BUCKETS[c.which]]
            limits = bucket.limits
            for last in calls:
                minute = [c for c in calls if last.at - 60 < c.at <= last.at]
                day = [c for c in calls if c.at // DAY == last.at // DAY]
                assert len(minute) <= (limits.rpm or 10**9)
                assert sum(c.tokens for c in minute) <= (limits.tpm or 10**9)
                assert len(day) <= (limits.rpd or 10**9)
                assert sum(c.tokens for c in day) <= (limits.tpd or 10**9)
            assert sum(c.open for c in calls) <= (limits.concurrency or 10**9)

    @invariant()
    def no_reservation_is_lost(self) -> None:
        assert ledgers.open_ids(self.ledger) == {c.reservation.id for c in self.calls if c.open}
        for name, counter in ledgers.accounts(self.ledger).items():
            calls = [c for c in self.calls if name in (c.which, "account")]
            assert counter.in_flight == sum(c.open for c in calls)
            assert len(counter.slots) <= MINUTE_SLOTS + 201

    @invariant()
    def what_is_kept_is_as_if_found_anew(self) -> None:
        def seen() -> list[object]:
            found = BUCKETS.values()
            pressures = [self.ledger.pressure(buckets, self.now) for buckets in found]
            return [*pressures, *(self.ledger.headroom(buckets, self.now) for buckets in found)]

        kept = seen()
        for account in ledgers.accounts(self.ledger).values():
            account.pressed = UNKNOWN
        assert seen() == kept

    def has_room(self, which: str, tokens: int, at: float) -> bool:
        """Whether one more call would be within every cap, counting in slots of seconds."""
        for bucket in BUCKETS[which]:
            calls = [c for c in self.calls if bucket in BUCKETS[c.which]]
            limits = bucket.limits
            for end in range(int(at), int(at) + MINUTE_SLOTS):
                minute = [c for c in calls if end - MINUTE_SLOTS < int(c.at) <= end]
                if not _fits(minute, limits.rpm, limits.tpm, tokens):
                    return False
            day = [c for c in calls if c.at // DAY == at // DAY]
            if not _fits(day, limits.rpd, limits.tpd, tokens):
                return False
            if limits.concurrency and sum(c.open for c in calls) >= limits.concurrency:
                return False
        return True


def _fits(calls: list[Call], requests: int | None, tokens: int | None, more: int) -> bool:
    used = sum(call.tokens for call in calls)
    return (requests is None or len(calls) < requests) and (
        tokens is None or used + more <= tokens or used == 0
    )


class SharedLedgerMachine(LedgerMachine):
    new_ledger: NewLedger = staticmethod(ledgers.shared)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestSharedLedgerMachine = SharedLedgerMachine.TestCase
TestSharedLedgerMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
