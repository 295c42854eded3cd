"""Of two workers on PostgreSQL one is stopped (SIGSTOP) for 2 to 5 lease lengths while the other goes on, and then goes on as if nothing had been.

usage: freezes.py PROGRAM [FREEZES [LEASE_MS]]. Whatever the frozen one had leased is sent, or kept back, by the other one. What it says
when it wakes is too late and is not believed. Nothing comes twice but what was on its way at the stop. The lease must be longer than the 5 s after
which the server cuts a transaction that stands still: so long the other one may have to wait before it can record a result.
"""

import signal, sys, time
from random import Random

from _load import Load, Relay, argument, open_house, reckon


def main(program, freezes, lease_ms):
    chance, rate, length = Random(freezes), 120, 3.5 * lease_ms / 1000 + 0.8
    with open_house(program, "postgres", int((freezes * length + 4) * rate / 2), Relay(delay=0.03), lease_ms=lease_ms) as house:
        workers, owners = [], []
        for _ in range(2):
            workers.append(house.serve())
            owners.append(house.newest_worker())
        load, doubtful, stale, busy = Load(house, rate, batch=6), set(), 0, 0
        load.start()
        for turn in range(freezes):
            time.sleep(chance.uniform(0.2, 0.8))
            which = chance.randrange(2)
            # In the midst of something, where there is something.
            for _ in range(30):
                workers[which].signal(signal.SIGSTOP)
                held = house.under_way(owners[which])
                if held:
                    break
                workers[which].signal(signal.SIGCONT)
                time.sleep(chance.uniform(0.005, 0.05))
            else:
                workers[which].signal(signal.SIGSTOP)
                held = house.under_way(owners[which])
            busy += bool(held)
            doubtful.update(held)
            before = len(house.relay.kept)
            time.sleep(1)
            # The server ends what it was asked for before the stop: a lease may begin after it.
            doubtful.update(house.under_way(owners[which]))
            time.sleep(chance.uniform(2, 5) * lease_ms / 1000 - 1)
            assert len(house.relay.kept) > before or not load.is_alive(), "the other worker did nothing meanwhile"
            workers[which].signal(signal.SIGCONT)
        load.stopped.set()
        load.join()
        states = house.settle(len(load.acknowledged))
        stale = sum(worker.metric("fahrplan_stale_results_total") for worker in workers)
        line = reckon(house, load, doubtful)
        ends = [worker.stop()[0] for worker in workers]
        print(f"{freezes} freezes with a lease of {lease_ms} ms, {busy} in the midst of sends: {line}; {stale:.0f} stale results refused; {states}; not answered: {dict(load.refusals)}")
        assert ends == [0, 0], f"the workers ended with {ends}"
        assert stale > 0, "no stale result was refused"


if __name__ == "__main__":
    main(sys.argv[1], argument(2, 2), argument(3, 6_000))
