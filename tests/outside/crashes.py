"""kill -9 at random moments under load, with a relay that keeps mails and hangs up without an answer: nothing is lost, nobody gets another's mail.

usage: crashes.py PROGRAM [KILLS [sqlite|postgres|both]]. On PostgreSQL two workers run, and one at a time is killed. A transactional mail may come
twice if it was on its way at a kill or its answer was lost, and then with the same Message-ID, byte for byte; marketing never.
"""

import sys, time
from random import Random

from _load import Load, Relay, argument, databases, open_house, reckon

RATE = 200


def run(program, kills, database):
    chance = Random(kills)
    with open_house(program, database, int(kills * 0.9 + 3) * RATE // 2, Relay(lose=0.02, delay=0.01), lease_ms=2_000) as house:
        workers, owners = [], []
        for _ in range(2 if house.postgres else 1):
            workers.append(house.serve())
            owners.append(house.newest_worker())
        load, doubtful, slowest, busy = Load(house, RATE, batch=10), set(), 0.0, 0
        load.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, 0.8))
            which = chance.randrange(len(workers))
            workers[which].kill()
            held = house.left_by(owners[which])
            doubtful.update(held)
            busy += bool(held)
            begun = time.monotonic()
            workers[which].start()
            slowest = max(slowest, time.monotonic() - begun)
            owners[which] = house.newest_worker()
        load.stopped.set()
        load.join()
        house.settle(len(load.acknowledged))
        line = reckon(house, load, doubtful)
        print(f"{database}: {kills} kills, {busy} in the midst of sends: {line}; slowest restart {slowest:.2f} s; not answered: {dict(load.refusals)}", flush=True)
        assert [worker.stop()[0] for worker in workers] == [0] * len(workers), "it did not stop as asked"


if __name__ == "__main__":
    for database in databases(3, "both"):
        run(sys.argv[1], argument(2, 10), database)
