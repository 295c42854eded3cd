"""SIGTERM under load, again and again: it ends with 0 in time, what is on its way is awaited, and nothing is left in doubt.

usage: drain.py PROGRAM [TIMES [sqlite|postgres|both]]. The relay answers after a third of a second.
"""

import sys, time
from random import Random

from _load import Load, Relay, argument, compare, databases, open_house, reckon

RATE, SECONDS = 100, 30


def run(program, times, database):
    chance = Random(times)
    with open_house(program, database, (times * 2 + 3) * RATE // 2, Relay(delay=0.3)) as house:
        worker = house.serve()
        load, slowest, busy = Load(house, RATE, batch=5), 0.0, 0
        load.start()
        for _ in range(times):
            time.sleep(chance.uniform(0.4, 1.2))
            busy += bool(house.under_way())
            code, took = worker.stop()
            slowest = max(slowest, took)
            assert code == 0, f"it ended with {code} after {took:.1f} s:\n{worker.tail()}"
            compare("the drain", took, SECONDS)
            left = house.under_way()
            assert not left, f"{len(left)} leases were not given back"
            doubts = house.query("SELECT COUNT(*) FROM deliveries WHERE state = 'unknown' OR doubtful > 0")[0][0]
            assert doubts == 0, f"{doubts} results are unknown"
            worker.start()
        house.relay.delay = 0.0
        load.stopped.set()
        load.join()
        house.settle(len(load.acknowledged))
        line = reckon(house, load, ())
        print(f"{database}: {times} times, {busy} in the midst of sends: {line}; slowest {slowest:.2f} s; not answered: {dict(load.refusals)}", flush=True)
        assert worker.stop()[0] == 0


if __name__ == "__main__":
    for database in databases(3, "both"):
        run(sys.argv[1], argument(2, 3), database)
