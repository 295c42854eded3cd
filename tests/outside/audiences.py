"""Audiences, as files and by calls, while the daemon is killed between all steps: a network knows whom it should, and each once.

usage: audiences.py PROGRAM [PEOPLE [ROUNDS [sqlite|postgres|both]]]. In each round people come, leave, and withdraw consent; an hour passes, so that
batches are cut; the daemon is killed (kill -9) at one of its steps and started again. Whoever reads all folders in their order knows the same
as the network that was called, which is whom a simple model has in the audience. A call that is repeated has the same key and the same bytes;
a folder that is written again is the same byte for byte.
"""

import hashlib, json, shutil, sys, tempfile, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

from _letters import await_, files
from _load import argument, databases
from _postgres import Postgres
from _shop import HOUR, Shop, rfc3339

START = "2026-05-04T10:00:00Z"
# Where the daemon halts, so that it can be killed there.
STEPS = ("cut", "closed", "written", "renamed", "taken", "noted")
SCHEMA = """
event eyed { sku: text }
event bought_it
audience filed "Told by files" { consent_to marketing, consent_on ads, matches [contact.email], sends "file" }
audience told "Told by calls" { consent_to marketing, consent_on ads, matches [contact.email], sends "secret:network" }
"""
JOURNEY = """journey eyeing "Looked, and has not bought" {
  purpose transactional because "a test"
  enter on eyed as it per it.sku
  reenter when finished
  lasts up to 90 days
  exit as bought on bought_it
  add contact to filed
  add contact to told
  wait 80 days
  exit as done
}
"""


class Network:
    """Takes each key once, and knows the hashes that it was told. The first call it turns away; of the second it loses the answer."""

    def __init__(self):
        network, self.keys, self.known, self.calls, self.lock = self, {}, set(), 0, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with network.lock:
                    status = network.take(self.headers["Idempotency-Key"], body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://shop:token@127.0.0.1:{self.server.server_port}/lists"
        self.wrong = []

    def take(self, key, body):
        self.calls += 1
        if self.calls == 1:
            return 503
        if key in self.keys:
            if self.keys[key] != body:
                self.wrong.append(f"{key} came with other bytes")
            return 200
        self.keys[key] = body
        said = json.loads(body)
        for person in said["remove"]:
            if person["email"] not in self.known:
                self.wrong.append(f"{said['batch']} removes somebody who is not there")
            self.known.discard(person["email"])
        for person in said["add"]:
            if person["email"] in self.known:
                self.wrong.append(f"{said['batch']} adds somebody twice")
            self.known.add(person["email"])
        return 502 if len(self.keys) == 1 else 204


def hashed(who):
    return hashlib.sha256(f"{who}@example.org".encode()).hexdigest()


def listed(shop):
    return json.loads(shop.cli("audiences", "list", "--limit", "100000", "--format", "json"))["batches"]


def told_by_files(shop):
    """What somebody knows who takes all folders in their order."""
    known = set()
    for batch in reversed([batch for batch in listed(shop) if batch["audience"] == "filed"]):
        folder = shop.project / "audiences" / batch["name"]
        assert sorted(path.name for path in folder.iterdir()) == ["add.csv", "remove.csv"], batch
        lines = {name: (folder / name).read_text().splitlines()[1:] for name in ("remove.csv", "add.csv")}
        assert (len(lines["add.csv"]), len(lines["remove.csv"])) == (batch["added"], batch["removed"]), batch
        for line in lines["remove.csv"]:
            assert line in known, f"{batch['name']} removes somebody who is not there"
            known.remove(line)
        for line in lines["add.csv"]:
            assert line not in known, f"{batch['name']} adds somebody twice"
            known.add(line)
    return {line.split(",")[0] for line in known}


def happen(shop, chance, people, inside, agreed, number):
    """What people do in a round, and what the model makes of it."""
    at, items, withdrawn = rfc3339(shop.now), [], []
    for who in people:
        dice = chance.random()
        if dice < 0.4 and who not in inside:
            items.append({"type": "track", "userId": who, "event": "eyed", "messageId": f"e{number}{who}", "timestamp": at, "properties": {"sku": "s"}})
            # Whoever has not agreed is in the journey, and in no audience.
            inside[who] = who in agreed
        elif dice < 0.6 and who in inside:
            items.append({"type": "track", "userId": who, "event": "bought_it", "messageId": f"b{number}{who}", "timestamp": at, "properties": {}})
            del inside[who]
        elif dice < 0.65 and who in agreed:
            withdrawn.append({"userId": who, "purpose": "marketing", "channel": "ads", "permit": False, "at": at, "source": "form"})
            agreed.discard(who)
            if who in inside:
                inside[who] = False
    shop.deliver(items)
    for one in withdrawn:
        status, answer = shop.post("/v1/consents", one)
        assert status in (200, 202), (status, answer)
    shop.settle()


def is_halted(shop, log, begins):
    return "halted, as a test asks" in log.read_text()[begins:]


def round_of(shop, step):
    """An hour passes, and the daemon is killed at that step, if it comes there; then it goes on to the end."""
    log = shop.folder / "log"
    shop.kill()
    shop.set_clock(shop.now + HOUR)
    begins = log.stat().st_size
    shop.env["FAHRPLAN_TEST_AUDIENCES_HALT"] = step
    shop.serve()
    await_(f"the halt at `{step}`", lambda: is_halted(shop, log, begins))
    shop.kill()
    del shop.env["FAHRPLAN_TEST_AUDIENCES_HALT"]
    shop.serve()
    await_("the end of the batches", lambda: all(batch["state"] == "done" for batch in listed(shop)), patience=90)


def run(program, count, rounds, database):
    postgres = Postgres() if database == "postgres" else None
    network, chance = Network(), Random(5)
    try:
        with tempfile.TemporaryDirectory() as folder:
            shop = Shop(program, folder, START, postgres and postgres.new()[1])
            shop.env.update(FAHRPLAN_SECRET_NETWORK=network.url, FAHRPLAN_REQUESTS_ALLOW="127.0.0.1", FAHRPLAN_TEST_LEASE_MS="2000")
            schema = shop.project / "schema.journey"
            schema.write_text(schema.read_text() + SCHEMA)
            (shop.project / "journeys" / "eyeing.journey").write_text(JOURNEY)
            shop.cli("deploy", "--yes")
            try:
                play(shop, network, chance, count, rounds, database)
            finally:
                shop.close()
    finally:
        network.server.shutdown()
        if postgres:
            postgres.stop()


def play(shop, network, chance, count, rounds, database):
    people = [f"p{n}" for n in range(count)]
    table = shop.folder / "people.csv"
    rows = (f"{p},{p}@example.org,{'yes' if n % 4 else ''},{START}\n" for n, p in enumerate(people))
    table.write_text("user_id,email,consent_marketing_ads,consent_marketing_ads_at\n" + "".join(rows))
    shop.cli("import", "contacts", str(table))
    agreed, inside = {p for n, p in enumerate(people) if n % 4}, {}
    shop.serve()
    for number in range(rounds):
        happen(shop, chance, people, inside, agreed, number)
        round_of(shop, STEPS[number % len(STEPS)])
        wanted = {hashed(who) for who, counts in inside.items() if counts}
        assert not network.wrong, network.wrong[:3]
        assert network.known == wanted, f"round {number}: the network has {len(network.known - wanted)} too many and misses {len(wanted - network.known)}"
        assert told_by_files(shop) == wanted, f"round {number}: the folders tell of others"
        for name in ("filed", "told"):
            lines = shop.cli("audiences", "export", name).splitlines()[1:]
            assert {line.split(",")[0] for line in lines} == wanted, f"round {number}: {name}"
    place = shop.project / "audiences"
    assert not [path for path in place.iterdir() if path.name.startswith(".") or ".other-" in path.name], list(place.iterdir())
    calls, keys = network.calls, len(network.keys)
    newest = next(batch["name"] for batch in listed(shop) if batch["audience"] == "told")
    for batch in listed(shop):
        if batch["audience"] == "told" and batch["name"] != newest:
            # A network that had forgotten the key would take up again whoever has left since.
            shop.cli("audiences", "again", batch["name"], ok=(2,))
            continue
        before = files(place / batch["name"]) if batch["audience"] == "filed" else None
        if before is not None:
            shutil.rmtree(place / batch["name"])
        shop.cli("audiences", "again", batch["name"])
        assert before is None or files(place / batch["name"]) == before, f"{batch['name']} is another one"
    assert len(network.keys) == keys and not network.wrong, "a call that is repeated has another key"
    assert 0 < network.calls - calls < keys, "the calls of the newest batch alone were repeated"
    print(f"{database}: {count} people, {rounds} rounds with a kill each, {keys} calls and {calls - keys} repeats of them: nobody too many, nobody missing", flush=True)


if __name__ == "__main__":
    for database in databases(4, "sqlite"):
        run(sys.argv[1], argument(2, 60), argument(3, 12), database)
