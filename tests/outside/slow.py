"""A relay that answers some recipients after 5 s, never answers others, and sends others away (4xx, 421): the rest goes on, and nothing is lost.

usage: slow.py PROGRAM [MAILS]. Four connections; one recipient in a hundred is slow, one in two hundred gets no answer at all on the first try, one in fifty
is put off, and now and then the relay says 421.
"""

import asyncio, re, sys, time
from collections import Counter

from _load import Load, Relay, argument, compare, open_house, reckon


class Slow(Relay):
    """Decides by the number in the address; only the first try is met with a bad mood."""

    def __init__(self):
        super().__init__()
        self.tried, self.moods = Counter(), Counter()
        self.down = self.mood

    def mood(self, to):
        n = int(re.search(r"\d+", to)[0])
        self.tried[to] += 1
        if self.tried[to] > 2:
            return None
        if n % 50 == 3:
            self.moods["451"] += 1
            return "451 4.7.1 come back later"
        if n % 150 == 4:
            self.moods["421"] += 1
            return "421 4.3.2 too busy"
        return None

    async def before_answer(self, to, id):
        n = int(re.search(r"\d+", to)[0])
        if len(self.kept[id]) == 1 and n % 100 == 1:
            self.moods["slow"] += 1
            await asyncio.sleep(5)
        elif len(self.kept[id]) == 1 and n % 200 == 2:
            self.moods["no answer"] += 1
            self.unanswered[id] += 1
            await asyncio.sleep(60)
            raise ConnectionError


def main(program, mails):
    with open_house(program, "sqlite", mails // 2, Slow(), lease_ms=8_000) as house:
        worker = house.serve()
        load = Load(house, 1_000, batch=50)
        load.start()
        longest, last, before = 0.0, time.monotonic(), 0
        load.join()
        states, deadline = {}, time.monotonic() + 240
        while time.monotonic() < deadline:
            count = len(house.relay.kept)
            if count > before:
                before, last = count, time.monotonic()
            elif before < 0.9 * mails:
                longest = max(longest, time.monotonic() - last)
            states = dict(house.query("SELECT state, COUNT(*) FROM deliveries GROUP BY state"))
            if sum(states.values()) == len(load.acknowledged) and not set(states) - {"accepted", "unknown"}:
                break
            if states.get("deferred"):
                house.hurry()
            time.sleep(0.05)
        line = reckon(house, load, ())
        print(f"{mails} mails: {line}; the longest silence of the relay {longest:.1f} s; {states}; moods {dict(house.relay.moods)}")
        # Four connections, and the slow ones take five seconds: who waits longer waits for something else.
        compare("the longest silence", longest, 5)
        assert set(house.relay.moods) == {"451", "421", "slow", "no answer"}, "not every mood was met"
        assert worker.stop()[0] == 0


if __name__ == "__main__":
    main(sys.argv[1], argument(2, 800))
