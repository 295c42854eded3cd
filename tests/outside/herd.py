"""A herd: so many contacts fall due in the same moment, while transactional mail goes on and must not wait for them.

usage: herd.py PROGRAM [CONTACTS [sqlite|postgres|both]]. The journey clock stands until all wait, then jumps to where all are due; each of them is owed a
marketing mail. Meanwhile receipts are asked for; the time from the question to the mail counts.
"""

import sys, time
from datetime import datetime, timezone

from _load import Load, argument, compare, databases, open_house

P95_SECONDS, RECEIPTS = 2.0, 50
HOUR = 3_600


def rfc3339(at):
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main(program, contacts, database):
    begun = time.monotonic()
    with open_house(program, database, contacts) as house:
        clock = house.folder / "clock"
        start = int(time.time()) + 1
        clock.write_text(rfc3339(start + 60))
        with open(house.folder / "events.jsonl", "w") as file:
            file.writelines(f'{{"type":"track","userId":"u{i}","event":"invited","messageId":"h{i}","timestamp":"{rfc3339(start)}","properties":{{"source":"x"}}}}\n'
                            for i in range(contacts))
        house.cli("import", "events", str(house.folder / "events.jsonl"), "--live", timeout=1200)
        worker = house.serve("--clock", str(clock), "--really-send")
        while worker.metric("fahrplan_backlog{kind=\"inbox\"}") > 0:
            time.sleep(0.5)
        waiting = house.query("SELECT COUNT(*) FROM timers")[0][0]
        assert waiting >= contacts, f"only {waiting} wait"
        set_up, calm = time.monotonic() - begun, worker.rss()
        beside = house.folder / "clock.new"
        beside.write_text(rfc3339(start + 2.5 * HOUR))
        beside.rename(clock)
        due = time.monotonic()
        load, most, advanced = Load(house, RECEIPTS, batch=1, kinds=("ordered",)), 0.0, None
        load.start()
        # Until the herd is through, and ten seconds at least.
        while advanced is None or time.monotonic() - due < 10:
            most = max(most, worker.rss())
            if advanced is None and house.query(f"SELECT COUNT(*) FROM timers WHERE wake_at <= {(start + int(2.5 * HOUR)) * 1000}")[0][0] == 0:
                advanced = time.monotonic() - due
            assert time.monotonic() - due < 900, "the herd does not come through"
            time.sleep(0.25)
        load.stopped.set()
        load.join()
        asked = {f"p{i}@example.org" for i, _ in load.acknowledged}
        deadline = time.monotonic() + 30
        receipts = lambda: {to: at for to, at in first(house).items() if to in asked}
        while len(receipts()) < len(asked) and time.monotonic() < deadline:
            time.sleep(0.2)
        came = receipts()
        assert len(came) == len(asked), f"{len(asked) - len(came)} receipts of {len(asked)} did not come"
        waits = sorted(came[f"p{i}@example.org"] - load.sent_at[i, "ordered"] for i, _ in load.acknowledged)
        p95 = waits[int(len(waits) * 0.95)]
        notes = len(house.relay.kept) - len(came)
        lateness = [line for line in worker.get("/metrics")[1].splitlines() if "late" in line and not line.startswith("#") and "bucket" not in line]
        print(f"{database}: {contacts:,} due in one moment, all through after {advanced:.1f} s ({contacts / advanced:,.0f}/s, the last one late by as much); meanwhile {len(waits)} receipts: "
              f"median {waits[len(waits) // 2] * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, slowest {waits[-1] * 1000:.0f} ms; {notes:,} mails of the herd came; "
              f"memory {calm:.0f} MiB before, {most:.0f} MiB at most; set up in {set_up:.0f} s; {lateness}")
        compare("95 of 100 receipts behind the herd", p95, P95_SECONDS)
        assert most <= max(512, 1.5 * calm), "memory is not bounded"


def first(house):
    """When the receipt of each recipient came."""
    # A copy is made in one piece, which no loop over it is: the relay's thread goes on.
    return {to[8:]: at for to, at in house.relay.came.copy().items() if to.startswith("receipt:")}


if __name__ == "__main__":
    for database in databases(3, "sqlite"):
        main(sys.argv[1], argument(2, 20_000), database)
