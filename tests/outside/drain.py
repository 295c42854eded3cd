"""SIGTERM under load, again and again: it ends with 0 in time, what is on its way is awaited, and nothing is left in doubt.

usage: drain.py PROGRAM [TIMES [sqlite|postgres|both]]. The relay answers after a third of a second.
"""

import sys, time
from random import Random

from _load import House, Load, Relay, reckon
from _postgres import Postgres

RATE, SECONDS = 100, 30


def run(program, times, database):
    postgres, house, chance = Postgres() if database == "postgres" else None, None, Random(times)
    try:
        house = House(program, postgres or "sqlite", (times * 2 + 3) * RATE // 2, Relay(delay=0.3))
        worker = house.serve()
        load, slowest, busy = Load(house, RATE, batch=5), 0.0, 0
        load.start()
        for _ in range(times):
            time.sleep(chance.uniform(0.4, 1.2))
            busy += bool(house.under_way())
            code, took = worker.stop()
            slowest = max(slowest, took)
            assert code == 0 and took <= SECONDS, f"it ended with {code} after {took:.1f} s:\n{worker.tail()}"
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
    finally:
        house and house.close()
        postgres and postgres.stop()


if __name__ == "__main__":
    databases = sys.argv[3] if len(sys.argv) > 3 else "both"
    for database in ("sqlite", "postgres") if databases == "both" else (databases,):
        run(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3, database)
