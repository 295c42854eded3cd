"""Of two workers on PostgreSQL one gets a machine clock that is days wrong while it runs; then one is killed in the midst of sends.

usage: clocks.py PROGRAM. The clock is libfaketime's (a Debian package). The worker with the wrong clock does nothing by it and says so, the other
one goes on, and both do when it is right. What a killed one was sending is taken up long before those leases end. On SQLite a clock that is set
forward is told in the log and counted.
"""

import json, sys, time
from glob import glob

from _load import Load, Relay, open_house, reckon

WRONG = [("+1d", 86_400), ("-1h", -3_600)]
# The lease of a worker, the time for which it has to be over, and two looks.
DEAD = 60 + 10 + 10


def until(what, is_so, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"{what} did not come to pass within {seconds} s"
        time.sleep(0.1)
    return found


def faked(house, library, offset):
    """A worker whose machine clock is what a file says; and how to set it."""
    file = house.folder / "offset"

    def set(offset):
        (house.folder / "offset.new").write_text(f"{offset}\n")
        (house.folder / "offset.new").rename(file)

    set(offset)
    plain = dict(house.env)
    house.env.update(LD_PRELOAD=library, FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_NO_CACHE="1", DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
    worker = house.serve()
    house.env.clear()
    house.env.update(plain)
    return worker, set


def wait_two_hours(house):
    """Everybody is invited, and waits for two hours."""
    path = house.folder / "invited.jsonl"
    with open(path, "w") as file:
        for i in range(house.contacts):
            file.write(json.dumps({"type": "track", "userId": f"u{i}", "event": "invited", "messageId": f"i{i}", "properties": {"source": "web"}}) + "\n")
    house.cli("import", "events", str(path), "--live")
    until("everybody waits", lambda: house.query("SELECT COUNT(*) FROM timers WHERE kind = 0")[0][0] >= house.contacts)


def wrong_clocks(program, library):
    with open_house(program, "postgres", 400, Relay(delay=0.01)) as house:
        right = house.serve()
        wrong, set = faked(house, library, "+0s")
        # Everybody knocks at the wrong door first.
        house.workers.sort(key=lambda worker: worker is right)
        wait_two_hours(house)
        for number, (offset, _) in enumerate(WRONG):
            came = len(house.relay.kept)
            set(offset)
            begun = time.monotonic()
            until("it is not ready", lambda: wrong.get("/readyz")[0] == 503, 5)
            noticed = time.monotonic() - begun
            assert "clock-wrong" in wrong.get("/readyz")[1]
            until("the metric says so", lambda: wrong.metric("fahrplan_clock_wrong ") == 1, 5)
            time.sleep(8)
            assert len(house.relay.kept) == came, f"{len(house.relay.kept) - came} mails left too early"
            # The lease is renewed with what its clock shows, so that others can tell which one it is.
            until("the doctor names it", lambda: "worker" in (said := doctor(house)) and "database's" in said, 25)
            load = Load(house, 100, batch=5, kinds=("ordered",) if number == 0 else ("joined",))
            load.start()
            load.join()
            assert len(load.acknowledged) == house.contacts, "the other one does not go on"
            assert load.refusals[503] > 0, "what is accepted by a wrong clock has a wrong time"
            set("+0s")
            begun = time.monotonic()
            until("it is ready again", lambda: wrong.get("/readyz")[0] == 200, 10)
            house.settle((number + 1) * house.contacts)
            print(f"clock {offset}: noticed after {noticed:.1f} s, nothing done by it, ready again after {time.monotonic() - begun:.1f} s", flush=True)
        assert len(house.relay.kept) == 2 * house.contacts
        assert [right.stop()[0], wrong.stop()[0]] == [0, 0]


def doctor(house):
    import subprocess
    done = subprocess.run([house.program, "doctor", "--quick"], cwd=house.project, env=house.env, capture_output=True, text=True)
    return "\n".join(line for line in done.stdout.splitlines() if " clock " in line and "error" in line)


def killed(program):
    with open_house(program, "postgres", 600, Relay(delay=0.2)) as house:
        victim = house.serve()
        owner = house.newest_worker()
        house.serve()
        load = Load(house, 200, batch=5)
        load.start()
        until("it is in the midst of sends", lambda: house.under_way(owner))
        victim.kill()
        died, doubtful = time.monotonic(), house.left_by(owner)
        assert doubtful, "it was killed between sends"
        house.workers.remove(victim)
        listed = json.loads(house.cli("deliveries", "list", "--state", "leased", "--format", "json"))
        held = [line for line in listed if line["holder"]["worker"] == owner]
        assert len(held) == len(doubtful) and all(line["holder"]["place"].endswith(f":{victim.process.pid}") for line in held), listed
        load.join()
        until("somebody else takes them up", lambda: not house.under_way(owner), DEAD)
        took = time.monotonic() - died
        house.settle(len(load.acknowledged))
        print(f"killed with {len(doubtful)} under way: taken up after {took:.0f} s; {reckon(house, load, doubtful)}", flush=True)


def set_forward(program, library):
    with open_house(program, "sqlite", 5, Relay()) as house:
        worker, set = faked(house, library, "+0s")
        time.sleep(1)
        set("+10m")
        until("it is counted", lambda: worker.metric("fahrplan_clock_jumps_total") == 1)
        until("it is told", lambda: "was set by more than five minutes" in worker.tail())
        assert worker.get("/readyz")[0] == 200, "the machine's clock is the only one there is"
        assert worker.stop()[0] == 0
        print("a clock that is set forward on SQLite is told", flush=True)


def main(program):
    killed(program)
    library = glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not library:
        return print("!!! NOT TRIED: wrong clocks. libfaketime is not installed: apt-get install libfaketime")
    set_forward(program, library[0])
    wrong_clocks(program, library[0])


if __name__ == "__main__":
    main(sys.argv[1])
