"""The clients that people have, unmodified, while the daemon is killed (kill -9): what they were told is in, had its effect once.

usage: clients.py PROGRAM [EVENTS [KILLS [node|python|both [sqlite|postgres|both]]]]. `@segment/analytics-node` and `segment-analytics-python` each send so many events,
three of ten twice and all in disorder, with pages, screens, groups and aliases between them. Of each event a journey makes a mark.

Their packages are taken from the folder that FAHRPLAN_TEST_CLIENTS names, or from the registries.
"""

import json, os, subprocess, sys, tempfile, threading, time
from collections import Counter
from pathlib import Path
from random import Random

import _load
from _load import databases, open_house

NODE, PYTHON = "@segment/analytics-node@3.1.0", "segment-analytics-python==2.4.0"
_load.SCHEMA += """
event seen { code: id }
event marked { code: id }
"""
_load.JOURNEYS = """
journey marks "Marks" {
  purpose transactional because "marks"
  enter on seen as it
  reenter always
  lasts up to 2 days
  record marked with { code: it.code }
  exit as done
}
"""

# Each prints what it was told: `in ID` or `out ID`.
NODE_SCRIPT = """
const { Analytics } = require('@segment/analytics-node')
const [key, host, file] = process.argv.slice(2)
const analytics = new Analytics({ writeKey: key, host, flushAt: 7, flushInterval: 50, maxRetries: 1000, httpRequestTimeout: 5000 })
analytics.on('error', () => {})
const items = require('fs').readFileSync(file, 'utf8').trim().split('\\n').map(JSON.parse)
const told = (item) => (error) => console.log((error ? 'out ' : 'in ') + item.messageId)
async function main() {
  for (const { kind, ...item } of items) {
    analytics[kind](item, told(item))
    await new Promise((done) => setTimeout(done, 4))
  }
  await analytics.closeAndFlush({ timeout: 300000 })
}
main()
"""
PYTHON_SCRIPT = """
import json, sys, time
from segment.analytics.client import Client
key, host, file = sys.argv[1:]
lost = set()
def failed(error, batch):
    lost.update(item["messageId"] for item in batch)
client = Client(key, host=host, on_error=failed, upload_size=7, upload_interval=0.05, max_retries=1000, timeout=5, max_queue_size=1000000, gzip=True)
items = [json.loads(line) for line in open(file)]
for item in items:
    kind = item.pop("kind")
    say = {"userId": "user_id", "anonymousId": "anonymous_id", "previousId": "previous_id", "groupId": "group_id", "messageId": "message_id"}
    getattr(client, kind)(**{say.get(name, name): value for name, value in item.items()})
    time.sleep(0.004)
client.flush()
client.join()
for item in items:
    print("out" if item["messageId"] in lost else "in", item["messageId"])
"""


def install(folder, which):
    quiet = dict(stdout=subprocess.DEVNULL, check=True)
    if which == "node" and not (folder / "node_modules/@segment/analytics-node").exists():
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, NODE], **quiet)
    if which == "python" and not (folder / "python/segment").exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", folder / "python", PYTHON], **quiet)


def command(folder, which, *args):
    script = folder / f"send.{'cjs' if which == 'node' else 'py'}"
    script.write_text(NODE_SCRIPT if which == "node" else PYTHON_SCRIPT)
    env = dict(os.environ, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", PYTHONPATH=str(folder / "python"))
    with_what = "node" if which == "node" else sys.executable
    return subprocess.Popen([with_what, script, *args], env=env, stdout=subprocess.PIPE, text=True)


def items_of(which, events, contacts, chance):
    """What is sent, in order: events with ids, repeats with the same ones, and all that clients send besides."""
    items = []
    for n in range(events):
        item = {"kind": "track", "userId": f"u{chance.randrange(contacts)}", "event": "seen", "messageId": f"{which}{n}", "properties": {"code": f"{which}{n}"}}
        items += [item] * (2 if chance.random() < 0.3 else 1)
    for n in range(max(1, events // 40)):
        user, id = f"u{chance.randrange(contacts)}", lambda kind: f"{which}-{kind}-{n}"
        items += [
            {"kind": "identify", "userId": user, "messageId": id("identify"), "traits": {"locale": "en", "company": {"name": "x"}}},
            {"kind": "page", "userId": user, "name": "Home", "messageId": id("page"), "properties": {"path": "/"}},
            {"kind": "screen", "userId": user, "name": "Home", "messageId": id("screen"), "properties": {}},
            {"kind": "group", "userId": user, "groupId": "g1", "messageId": id("group"), "traits": {"employees": 3}},
            {"kind": "alias", "previousId": f"{which}-browser-{n}", "userId": user, "messageId": id("alias")},
        ]
    chance.shuffle(items)
    return items


def send(folder, house, which, items):
    file = folder / f"{which}.jsonl"
    file.write_text("".join(json.dumps(item) + "\n" for item in items))
    process = command(folder, which, house.key, f"http://127.0.0.1:{house.workers[0].port}", str(file))
    told = [line.split() for line in process.communicate(timeout=900)[0].splitlines()]
    assert process.returncode == 0, f"the client ended with {process.returncode}"
    return {id for word, id in told if word == "in"}, {id for word, id in told if word == "out"}


def kill(house, kills, stopped, chance, done):
    for _ in range(kills):
        if stopped.wait(chance.uniform(0.3, 1.0)):
            return
        house.workers[0].kill()
        begun = time.monotonic()
        house.workers[0].start()
        done.append(time.monotonic() - begun)


def codes(house, name):
    """Of each person, which codes there are of an event, and how often."""
    rows = house.query(f"""SELECT identities.value, events.fields FROM events JOIN names ON names.id = events.name AND names.name = '{name}'
                           JOIN identities ON identities.kind = 1 AND identities.contact = events.contact AND identities.value LIKE 'u%'""")
    return Counter((who, json.loads(fields)["code"]) for who, fields in rows)


def settle(house, patience=120):
    deadline = time.monotonic() + patience
    while house.workers[0].metric("fahrplan_backlog") and time.monotonic() < deadline:
        time.sleep(0.1)


def run(program, folder, which, events, kills, database):
    contacts = max(10, events // 20)
    chance, stopped, restarts = Random(f"{which}{events}"), threading.Event(), []
    with open_house(program, database, contacts) as house:
        house.serve()
        items = items_of(which, events, contacts, chance)
        killer = threading.Thread(target=kill, args=(house, kills, stopped, chance, restarts))
        killer.start()
        acknowledged, refused = send(folder, house, which, items)
        stopped.set()
        killer.join()
        settle(house)
        sent = Counter(item["messageId"] for item in items)
        owner = {item["messageId"]: item["userId"] for item in items}
        assert acknowledged | refused == set(sent), f"nothing was told of {len(set(sent) - acknowledged - refused)}"
        owed = {(owner[id], id) for id in acknowledged if "-" not in id}
        # How many fall into the sending depends on how long that takes.
        assert restarts, "no kill while it sent"
        for name in ("seen", "marked"):
            there = codes(house, name)
            lost, many = owed - set(there), [key for key, count in there.items() if count > 1]
            strange = set(there) - {(owner[id], id) for id in sent}
            assert not lost, f"{name}: {len(lost)} were acknowledged and lost: {sorted(lost)[:5]}"
            assert not many and not strange, f"{name}: {len(many)} came twice, {len(strange)} were never sent"
        rejected = house.cli("events", "rejected")
        assert rejected.startswith("Nothing was rejected"), rejected
        links = {row[0] for row in house.query("SELECT value FROM identities WHERE kind = 2")}
        missing = {f"{which}-browser-{id.rsplit('-', 1)[1]}" for id in acknowledged if "-alias-" in id} - links
        assert not missing, f"{len(missing)} aliases had no effect"
        repeats = sum(count - 1 for count in sent.values())
        slowest = max(restarts, default=0)
        print(f"{which}, {database}: {len(sent)} items and {repeats} repeats, {len(acknowledged)} acknowledged, {len(refused)} given up, {len(restarts)} kills "
              f"(slowest restart {slowest:.2f} s): lost 0, twice 0", flush=True)


if __name__ == "__main__":
    program = sys.argv[1]
    events, kills = (int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((2, 400), (3, 3)))
    which = sys.argv[4] if len(sys.argv) > 4 else "both"
    with tempfile.TemporaryDirectory(prefix="fahrplan-clients-") as made:
        folder = Path(os.environ.get("FAHRPLAN_TEST_CLIENTS") or made)
        for client in ("node", "python"):
            if which in (client, "both"):
                install(folder, client)
                for database in databases(5, "sqlite"):
                    run(program, folder, client, events, kills, database)
