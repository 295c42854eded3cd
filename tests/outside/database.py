"""PostgreSQL is killed (the postmaster, kill -9) and started again, and all connections are cut, under load: it goes on by itself, and nothing is lost.

usage: database.py PROGRAM [KILLS [CUTS]]. After each fault mails must come again within 5 s of the database taking connections.
"""

import sys, time
from random import Random

from _load import Load, Relay, argument, compare, open_house, reckon

RATE, SECONDS = 150, 5
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"


def comes(house, since):
    """Seconds until something new arrives at the relay and the doors take things."""
    before = len(house.relay.kept)
    while len(house.relay.kept) == before:
        assert time.monotonic() - since < 30, f"nothing comes any more\n{house.workers[0].tail()}"
        time.sleep(0.01)
    return time.monotonic() - since


def main(program, kills, cuts):
    chance = Random(kills)
    with open_house(program, "postgres", (kills * 4 + cuts * 2 + 5) * RATE // 2, Relay(delay=0.01), lease_ms=8_000) as house:
        workers = [house.serve(), house.serve()]
        load, doubtful, slowest = Load(house, RATE, batch=6), set(), {"kill": 0.0, "cut": 0.0}
        load.start()
        for fault in chance.sample(["kill"] * kills + ["cut"] * cuts, kills + cuts):
            time.sleep(chance.uniform(0.3, 1.2))
            doubtful.update(house.under_way())
            if fault == "kill":
                house.postgres.kill()
                house.postgres.restart()
            else:
                house.postgres.query(CUT)
            since = time.monotonic()
            doubtful.update(house.under_way())
            slowest[fault] = max(slowest[fault], comes(house, since))
        assert load.is_alive(), "the load ended before the faults"
        load.stopped.set()
        load.join()
        states = house.settle(len(load.acknowledged))
        line = reckon(house, load, doubtful)
        print(f"{kills} kills of the database, {cuts} cuts of all connections: {line}; mails came again after at most {slowest['kill']:.2f} s and "
              f"{slowest['cut']:.2f} s; {states}; not answered: {dict(load.refusals)}")
        compare("going on", max(slowest.values()), SECONDS)
        assert [worker.stop()[0] for worker in workers] == [0, 0], "a worker did not stop as asked"


if __name__ == "__main__":
    main(sys.argv[1], argument(2, 2), argument(3, 4))
