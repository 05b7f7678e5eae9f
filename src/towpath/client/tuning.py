"""How many connections carry a transfer and how large its chunks are, from what chunks took.

Rules: no I/O and no clock: times are given, in seconds of one clock. What counts is goodput, the
bytes that are safe at the other side over the time that their connections needed, failures and
waits included; so a connection that only shares what others had, or that breaks often, shows no
gain and is given up. At first the number doubles as long as that helps; then the neighbours of
what was found are tried now and then, less often while nothing comes of it. Where a server answers
at once, a fixed few begin; if a chunk of theirs is over at once, no window and no loss holds them
back, and they go on as they are in long chunks: all that they wait for is the other side.
"""

from __future__ import annotations

import math

MIB = 1024 * 1024
MOST = 12  # connections, unless somebody says more
LARGEST = 64 * MIB  # bytes of a chunk, where what came of one that is cut is kept
BRITTLE = 8 * MIB  # the same where a cut may cost all of it
SWIFT = 1024 * MIB  # bytes of a chunk that is over in a moment
NEAR = 4  # connections of an upload to a near server: while it syncs what one sent, others send
SMALLEST = 256 * 1024
PARALLEL_FROM = 16 * MIB  # bytes: less goes by one connection

_FIRST_CHUNK = MIB
_AT_FIRST = 4  # connections
_SOON_ANSWERED = 0.05  # seconds that a small request to a near server takes at most
_NEAR_FIRST = 4 * MIB  # bytes of the first chunks there, together
_UNBOUND = 40 * MIB  # bytes a second of all, from which on nothing on the way holds them back
_LONGEST = 4.0  # seconds that a chunk is to take at most
_MOMENT = 0.25  # seconds: so much may be lost whatever its size
_BRISK = 1.0  # the same while connections double, to learn soon
_FEW, _MANY = 2, 6  # attempts, of each connection where in doubt, before something is decided
_SHORTEST = 0.25  # seconds over which goodput is compared at least
_DOUBLED = 1.05  # a doubling must bring so much, or it is taken back
_MORE, _FEWER = 1.02, 0.97  # what a neighbour must have to be preferred
_SOON, _LATE = 5.0, 60.0  # seconds between two tries of a neighbour
_FAR_MORE = 1.5  # times as much goodput: something else than chance
_SELDOMER = 3  # times as long, after one that was not worth it
_BRIEF, _LONG = 10.0, 300.0  # seconds for which a busy server is not asked for more again


class Tuner:
    """The settings of one transfer. `connections` is how many should be under way now.

    `most`: connections at most. `largest`: bytes of a chunk at most; `swift`: the same where it
    takes a moment. `near`: connections to a server that answers at once.
    """

    def __init__(
        self,
        most: int = MOST,
        *,
        largest: int = LARGEST,
        swift: int = 0,
        near: int = 1,
    ) -> None:
        self._most = most
        self._largest = largest
        self._swift = max(swift, largest)
        self._near = min(most, near)
        self.connections = min(most, _AT_FIRST)
        self._chunk = _power_of_two(min(_FIRST_CHUNK, largest))
        self._rate: float | None = None  # bytes a second of one connection
        self._climbing = True
        self._first = False  # the next chunk is the first one to a near server
        self._at_once = False  # it was over at once
        self._before: tuple[int, float] | None = None  # the last number, and the goodput then
        self._home: tuple[int, float, float] | None = None  # where a try began; goodput, doubt
        self._upward = False  # the direction of the last try
        self._usual = math.inf  # goodput when it was last decided where to stay
        self._wait, self._next_try = _SOON, 0.0
        self._ceiling, self._hold, self._lifted_at = most, _BRIEF, 0.0
        self._refused = most  # connections beyond which the server was busy last
        self._look_anew(float("-inf"))

    def chunk(self, left: int) -> int:
        """Bytes of the next chunk, when `left` are still to be given out.

        The last ones may be half as large, so that all connections end at about the same time.
        """
        size = self._chunk
        share = -(-left // self.connections)
        return min(left, max(min(size, share), size // 2, min(size, SMALLEST)))

    def answered(self, seconds: float) -> None:
        """A small request took so long. It tells something before the first chunk only."""
        if seconds <= _SOON_ANSWERED and self._rate is None and self._swift > self._largest:
            self.connections, self._first = self._near, True
            self._chunk = min(_power_of_two(_NEAR_FIRST // self._near), self._swift)

    def done(self, size: int, began: float, ended: float, *, tells: bool = True) -> None:
        """An attempt ended: `size` bytes are safe because of it, which may be none.

        `tells`: something of `connections`; not if fewer were under way, for want of more.
        """
        seconds = max(ended - began, 1e-6)
        first, self._first = self._first, False
        if first:
            self._after_first(size, seconds, ended)
        if size:
            self._fit(size, seconds)
        if first:
            return
        if began < self._since or not tells:
            return
        self._sample.add(size, seconds)
        enough = max(_FEW, self.connections)
        if self._sample.count >= enough and ended - self._since >= _SHORTEST:
            self._judge(ended)

    def busy(self, others: int, now: float) -> None:
        """The server refused a chunk for being busy; `others` were under way when it began."""
        self._ceiling = max(1, min(self._ceiling, others))
        if now >= self._lifted_at:
            self._lifted_at, self._hold = now + self._hold, min(2 * self._hold, _LONG)
        self._refused = self._ceiling
        if self.connections > self._ceiling:
            self._climbing, self._home = False, None
            self._move(self._ceiling, now)

    def _after_first(self, size: int, seconds: float, now: float) -> None:
        """Those who began go on as they are, or others begin, too."""
        self._at_once = self.connections * size / seconds >= _UNBOUND
        if self._at_once:
            self._climbing, self._next_try = False, now + self._wait
            self._look_anew(now)
        else:
            self._move(min(self._most, _AT_FIRST), now)

    def narrow(self, size: int) -> bool:
        """A chunk of `size` bytes is too large for what lies on the way. False: none is smaller."""
        if size <= SMALLEST:
            return False
        self._largest = self._swift = max(SMALLEST, _power_of_two(size // 2))
        self._chunk = min(self._chunk, self._largest)
        return True

    def _fit(self, size: int, seconds: float) -> None:
        """The largest power of two that a connection carries in time."""
        rate = size / seconds
        self._rate = max(rate, ((self._rate or rate) + rate) / 2)
        seconds = _BRISK if self._climbing else _LONGEST
        fitting = _power_of_two(int(self._rate * seconds))
        swift = min(_power_of_two(int(self._rate * _MOMENT)), self._swift)
        if self._at_once and self.connections <= self._near:  # each answer costs a wait for a disk
            swift = min(fitting, self._swift // self.connections)
        self._chunk = max(min(SMALLEST, self._largest), min(fitting, self._largest), swift)

    def _judge(self, now: float) -> None:
        """What the present number of connections brings is known: keep it or change it."""
        if now >= self._lifted_at and self._ceiling < self._most:
            self._ceiling = self._most
        if self.connections > self._refused:
            self._hold = _BRIEF
        if self._climbing:
            self._climb(now)
        elif self._home is not None:
            self._compare(*self._home, now)
        elif now >= self._next_try or self._is_another_link():
            self._try_neighbour(now)
        elif now - self._since > _LATE:
            self._look_anew(now)

    def _is_another_link(self) -> bool:
        """Whether far more gets through than when it was decided to stay: many may help now."""
        return self._sample.goodput(self.connections)[0] > _FAR_MORE * self._usual

    def _climb(self, now: float) -> None:
        """Double, until that brings nothing."""
        goodput, _ = self._sample.goodput(self.connections)
        self._usual = goodput
        if self._before is not None and goodput < self._before[1] * _DOUBLED:
            self._climbing, self._next_try = False, now + self._wait
            self._move(self._before[0], now)
        elif self.connections >= self._ceiling:
            self._climbing, self._next_try = False, now + self._wait
            self._look_anew(now)
        else:
            self._before = (self.connections, goodput)
            self._move(min(2 * self.connections, self._ceiling), now)

    def _try_neighbour(self, now: float) -> None:
        """One step up or down, in turns."""
        home = self.connections
        self._upward = not self._upward
        step = max(1, home // 6)
        there = min(home + step, self._ceiling) if self._upward else max(1, home - step)
        if there == home:
            self._next_try = now + self._wait
            return
        self._home = (home, *self._sample.goodput(home))
        self._move(there, now)

    def _compare(self, home: int, goodput_there: float, doubt_there: float, now: float) -> None:
        """Stay at the neighbour if it is worth it; look on while that is in doubt."""
        wanted = _MORE if self.connections > home else _FEWER
        goodput, doubt = self._sample.goodput(self.connections)
        better, doubt = goodput - goodput_there * wanted, math.hypot(doubt, doubt_there)
        if abs(better) < doubt and self._sample.count < _MANY * self.connections:
            return
        self._home, self._usual = None, max(goodput, goodput_there)
        self._wait = _SOON if better > doubt else min(_SELDOMER * self._wait, _LATE)
        self._next_try = now + self._wait
        if better <= doubt:
            self._move(home, now)
        elif self.connections > home:  # as at first: the link has become another
            self._climbing, self._before = True, (self.connections, goodput)
            self._move(min(2 * self.connections, self._ceiling), now)
        elif self.connections > 1:  # further down, but measured against where it began
            self._home = (self.connections, max(goodput, goodput_there), doubt_there)
            self._move(max(1, self.connections - max(1, self.connections // 6)), now)

    def _move(self, connections: int, now: float) -> None:
        self.connections = connections
        self._look_anew(now)

    def _look_anew(self, now: float) -> None:
        """Only attempts that begin from now on tell of the present number of connections."""
        self._since = now
        self._sample = _Sample()


class _Sample:
    """Attempts by one number of connections: what they brought, and how sure that is."""

    def __init__(self) -> None:
        self.count = 0
        self._bytes = self._seconds = 0.0
        self._squares = (0.0, 0.0, 0.0)  # sums of bytes^2, bytes x seconds, seconds^2

    def add(self, size: int, seconds: float) -> None:
        """One more attempt."""
        self.count += 1
        self._bytes += size
        self._seconds += seconds
        sizes, products, times = self._squares
        self._squares = (sizes + size**2, products + size * seconds, times + seconds**2)

    def goodput(self, connections: int) -> tuple[float, float]:
        """Bytes a second of so many connections, and the standard error of that (a ratio's)."""
        rate = self._bytes / self._seconds
        sizes, products, times = self._squares
        scatter = max(0.0, sizes - 2 * rate * products + rate**2 * times)
        return connections * rate, connections * math.sqrt(scatter) / self._seconds


def _power_of_two(size: int) -> int:
    """The largest one that is not more than `size`, at least 1."""
    return 1 << max(0, size.bit_length() - 1)
