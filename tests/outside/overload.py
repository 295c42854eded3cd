"""Far more comes in than can be taken for a while: memory stays bounded, who is sent away is told when to come again, and 200 means stored.

usage: overload.py PROGRAM [SECONDS [CLIENTS [sqlite|postgres|both]]]. Each client sends batches of 2,000 new contacts as fast as it can, whatever it is
answered. The figure of memory is compared with a calm phase of one client.
"""

import base64, http.client, json, multiprocessing, sys, time
from collections import Counter

from _load import argument, databases, open_house

ITEMS = 2_000
# What the doors hold at most: calls that wait to be stored, and the bodies of those that are being read.
ROOM_MIB = 128


def client(port, key, name, seconds, answers):
    """Sends until the time is over; tells the batches that were stored, and how often it was answered what."""
    stored, told, bad, slowest, turn, until = [], Counter(), 0, 0.0, 0, time.monotonic() + seconds
    auth = base64.b64encode(f"{key}:".encode()).decode()
    while time.monotonic() < until:
        turn += 1
        calls = [{"type": "identify", "userId": f"{name}.{turn}.{i}", "messageId": f"{name}.{turn}.{i}", "traits": {"locale": "en"}} for i in range(ITEMS)]
        door = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
        begun = time.monotonic()
        try:
            door.request("POST", "/v1/batch", json.dumps({"batch": calls}), {"Content-Type": "application/json", "Authorization": f"Basic {auth}"})
            answer = door.getresponse()
            text = answer.read()
            told[answer.status] += 1
            if answer.status == 200:
                assert json.loads(text)["accepted"] == ITEMS, text
                stored.append(turn)
            elif answer.status not in (429, 503) or not answer.getheader("Retry-After"):
                bad += 1
        except (OSError, http.client.HTTPException) as error:
            told[type(error).__name__] += 1
        finally:
            door.close()
        slowest = max(slowest, time.monotonic() - begun)
    answers.put((name, stored, told, bad, slowest))


def phase(worker, house, prefix, clients, seconds):
    """What so many clients were told, and the most memory meanwhile."""
    answers = multiprocessing.Queue()
    everybody = [multiprocessing.Process(target=client, args=(worker.port, house.key, f"{prefix}{n}", seconds, answers)) for n in range(clients)]
    for one in everybody:
        one.start()
    all, most = [], 0.0
    while len(all) < clients:
        most = max(most, worker.rss())
        while not answers.empty():
            all.append(answers.get())
        assert all or any(one.is_alive() for one in everybody), "the clients ended"
        time.sleep(0.05)
    for one in everybody:
        one.join()
    return all, most


def run(program, seconds, clients, database):
    with open_house(program, database, 1) as house:
        worker = house.serve()
        calm, steady = phase(worker, house, "calm", 1, max(3, seconds / 4))
        wild, most = phase(worker, house, "wild", clients, seconds)
        begun = time.monotonic()
        while worker.metric("fahrplan_backlog{kind=\"inbox\"}") > 0:
            assert time.monotonic() - begun < 240, "what came in is not taken"
            time.sleep(0.2)
        caught_up = time.monotonic() - begun
        stored = {f"{name}.{turn}" for name, turns, *_ in calm + wild for turn in turns}
        there = Counter(value.rsplit(".", 1)[0] for value, in house.query("SELECT value FROM identities WHERE kind = 1 AND value LIKE '%.%.%'"))
        told = sum((told for _, _, told, _, _ in wild), Counter())
        rate = sum(len(turns) for _, turns, *_ in wild) * ITEMS / seconds
        asked = told.total() * ITEMS / seconds
        print(f"{database}: {clients} clients for {seconds:g} s: {asked:,.0f} items/s asked, {rate:,.0f}/s stored, answers {dict(told)}, slowest {max(one[4] for one in wild):.1f} s; "
              f"memory {steady:.0f} MiB steady, {most:.0f} MiB at most; caught up after {caught_up:.1f} s; {len(stored)} batches stored, all there", flush=True)
        assert all(there[batch] == ITEMS for batch in stored), "what was answered with 200 is not there"
        assert sum(one[3] for one in wild) == 0, "a refusal does not say when to come again, or is of the wrong kind"
        assert set(told) <= {200, 429, 503}, told
        assert most <= max(1.5 * steady, steady + ROOM_MIB), f"memory grew from {steady:.0f} to {most:.0f} MiB"
        assert worker.stop()[0] == 0


if __name__ == "__main__":
    for database in databases(4, "sqlite"):
        run(sys.argv[1], argument(2, 6.0), argument(3, 40), database)
