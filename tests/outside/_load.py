"""A house under load for the runs that break things: what goes in is acknowledged, what comes out is kept by a relay, and the books are
compared at the end.

Of each contact two things can happen: `ordered` is answered by a receipt, which is transactional, and `joined` by a note, which is
marketing. Every acknowledged one has its mail, once. A receipt may come twice if it was on its way at a fault or its answer was lost; a
note never: it is listed as unknown instead, and nobody knows whether it came.
"""

import asyncio, base64, http.client, itertools, json, os, re, shutil, signal, sqlite3, subprocess, sys, tempfile, threading, time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from random import Random

from _postgres import Postgres, free_port

SCHEMA = """
contact {
  email: email? unique pii
  locale: one of [en] = en
  timezone: timezone = "Europe/Berlin"
}
event ordered { code: text }
event joined { source: text }
event invited { source: text }
channel email {
  sends "smtp"
  address contact.email
  class message
  abilities [clicks]
}
"""
POLICIES = """
policy house_rules { consent marketing on email }
template receipt transactional because "the receipt of an order"
"""
JOURNEYS = """
journey receipts "Receipts" {
  purpose transactional because "receipts"
  enter on ordered as order
  reenter never
  lasts up to 2 days
  send email receipt as mail
  exit as done
}
journey notes "Notes" {
  purpose marketing
  enter on joined
  reenter never
  lasts up to 2 days
  send email note as mail
  wait up to 1 hour for mail.clicked as look
  exit as done
}
journey herd "A herd" {
  purpose marketing
  enter on invited
  reenter never
  lasts up to 2 days
  wait 2 hours as rest
  send email note as mail
  wait 1 hour as last_rest
  exit as done
}
"""
CONFIG = """
[project]
name = "load"
zone = "Europe/Berlin"
locale = "en"
[database]
url = "sqlite:house.db"
[http]
listen = "127.0.0.1:1"
public_url = "http://127.0.0.1:8600"
[smtp]
url = "smtp://127.0.0.1:1"
from = "House <house@example.org>"
connections = 4
[brand]
name = "House"
address = "1 Example Street"
"""
BODY = "<!doctype html>\n<html lang=\"en\"><head><title>x</title></head><body><p>Hello {{#if contact.email}}{{contact.email}}{{/if}}</p>%s</body></html>\n"


# Whoever is told to stop leaves nothing behind.
signal.signal(signal.SIGTERM, lambda *_: exit(143))


def number(shown):
    """The number of an id, as a Message-ID is made of it: Crockford's base32."""
    number = 0
    for letter in re.match(r"<?dl_(\w{13})", shown)[1]:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    return number


class Relay:
    """Keeps mails by the id of their delivery: [(recipient, bytes)], in order; and when the first of each template came to each."""

    def __init__(self, lose=0.0, delay=0.0, seed=1):
        self.lose, self.delay, self.chance = lose, delay, Random(seed)
        self.kept, self.unanswered, self.came, self.down = defaultdict(list), Counter(), {}, None
        self.loop = asyncio.new_event_loop()
        server = self.loop.run_until_complete(asyncio.start_server(self.talk, "127.0.0.1", 0, limit=2**20, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def before_answer(self, to, id):
        if self.delay:
            await asyncio.sleep(self.delay)

    async def talk(self, reader, writer):
        say = lambda text: writer.write(text.encode() + b"\r\n")
        try:
            say("220 relay")
            to = None
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-relay\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif verb == b"RCPT":
                    to = line[line.index(b"<") + 1:line.index(b">")].decode()
                    refusal = self.down and self.down(to)
                    say(refusal or "250 ok")
                    to = None if refusal else to
                    if refusal and refusal.startswith("421"):
                        return
                elif verb == b"DATA" and not to:
                    say("503 no recipient")
                elif verb == b"DATA":
                    say("354 go")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    id = number(re.search(rb"(?mi)^message-id: *(\S+)", body)[1].decode())
                    self.kept[id].append((to, body))
                    template = re.search(rb"(?mi)^feedback-id: *([^:]*)", body)[1].decode()
                    self.came.setdefault(f"{template}:{to}", time.monotonic())
                    await self.before_answer(to, id)
                    if self.lose and self.chance.random() < self.lose:
                        self.unanswered[id] += 1
                        return
                    say("250 kept")
                elif verb == b"QUIT":
                    return say("221 bye")
                else:
                    say("250 ok")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Worker:
    """One `fahrplan serve`."""

    def __init__(self, house, *args):
        self.house, self.args, self.port = house, args, free_port()
        self.log = open(house.folder / f"log{self.port}", "ab")
        self.start()

    def start(self):
        env = dict(self.house.env, FAHRPLAN_HTTP_LISTEN=f"127.0.0.1:{self.port}")
        self.process = subprocess.Popen([self.house.program, "serve", "--allow-root", *self.args], cwd=self.house.project, env=env, stdout=self.log, stderr=self.log)
        for _ in range(1500):
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, f"the daemon ended:\n{self.tail()}"
            time.sleep(0.02)
        raise AssertionError(f"not ready within 30 s:\n{self.tail()}")

    def tail(self):
        return Path(self.log.name).read_text()[-3000:]

    def signal(self, which):
        self.process.send_signal(which)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; gives the exit code and the seconds it took."""
        begun = time.monotonic()
        self.process.terminate()
        return self.process.wait(60), time.monotonic() - begun

    def get(self, path, timeout=10):
        door = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            door.request("GET", path)
            answer = door.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error))
        finally:
            door.close()

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics")[1].splitlines() if line.startswith(name))

    def rss(self, field="VmRSS"):
        """MiB of memory; VmHWM: the most there was."""
        return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024


class House:
    """A project with so many contacts, a relay, and a database: "sqlite" (maybe in another folder) or a Postgres."""

    def __init__(self, program, database, contacts, relay=None, place=None, lease_ms=None):
        self.program, self.contacts = str(Path(program).resolve()), contacts
        self.folder = Path(tempfile.mkdtemp(prefix="fahrplan-house-"))
        self.project, self.relay, self.workers = self.folder / "project", relay or Relay(), []
        for name, text in {"fahrplan.toml": CONFIG, "schema.journey": SCHEMA, "policies.journey": POLICIES, "journeys/all.journey": JOURNEYS}.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name, footer in (("receipt", ""), ("note", "<p><a href=\"{{links.unsubscribe}}\">unsubscribe</a></p>")):
            folder = self.project / "templates" / name
            folder.mkdir(parents=True)
            (folder / "email.en.html.hbs").write_text(BODY % footer)
            (folder / "email.en.subject.hbs").write_text("A mail")
        self.postgres, self.file = (None, Path(place or self.folder) / "house.db") if database == "sqlite" else (database, None)
        self.name, url = self.postgres.new() if self.postgres else (None, f"sqlite:{self.file}")
        self.env = dict(os.environ, FAHRPLAN_DATABASE_URL=url, FAHRPLAN_SMTP_URL=f"smtp://127.0.0.1:{self.relay.port}", FAHRPLAN_LOG="warn", NO_COLOR="1")
        if lease_ms:
            self.env["FAHRPLAN_TEST_LEASE_MS"] = str(lease_ms)
        self.cli("deploy", "--yes")
        with open(self.folder / "people.csv", "w") as file:
            file.write("user_id,email,consent_marketing_email\n")
            file.writelines(f"u{i},p{i}@example.org,yes\n" for i in range(contacts))
        self.cli("import", "contacts", str(self.folder / "people.csv"))
        self.key = self.cli("key", "create", "--scope", "ingest").split()[-1]

    def cli(self, *args, timeout=600):
        done = subprocess.run([self.program, *args], cwd=self.project, env=self.env, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"fahrplan {' '.join(args)} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self, *args):
        self.workers.append(Worker(self, *args))
        return self.workers[-1]

    def query(self, sql):
        if self.postgres:
            return self.postgres.query(sql, self.name)
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=60) as db:
            return db.execute(sql).fetchall()

    def under_way(self, owner=None):
        """The ids of deliveries that somebody has leased."""
        mine = f" AND owner = {owner}" if owner is not None else ""
        return [row[0] for row in self.query(f"SELECT id FROM deliveries WHERE state = 'leased'{mine}")]

    def left_by(self, owner):
        """What a worker that was just killed had leased. PostgreSQL ends what it was asked for before the kill, so a lease may begin after it."""
        held = set(self.under_way(owner))
        if self.postgres:
            open = self.postgres.transactions(self.name)
            while open & self.postgres.transactions(self.name):
                time.sleep(0.01)
            held.update(self.under_way(owner))
        return held

    def newest_worker(self):
        return self.query("SELECT worker FROM workers ORDER BY leased_until DESC LIMIT 1")[0][0]

    def settle(self, owed, patience=120):
        """Waits until so many deliveries are there and each has its result."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                states = dict(self.query("SELECT state, COUNT(*) AS n FROM deliveries GROUP BY state"))
            except (OSError, sqlite3.OperationalError):
                states = {}
            if sum(states.values()) >= owed and not set(states) - {"accepted", "refused", "unknown"}:
                return states
            if states.get("deferred"):
                self.hurry()
            time.sleep(0.2)
        raise AssertionError(f"{owed} deliveries owed, and after {patience} s there are {states}\n{self.workers[0].tail()[-1500:]}")

    def hurry(self):
        """The next try of what was put off is minutes away; nobody waits for it here."""
        sql = "UPDATE deliveries SET again_at = 1 WHERE state = 'deferred'"
        if self.postgres:
            self.postgres.run("psql", "-X", "-q", "-h", "127.0.0.1", "-p", self.postgres.port, "-U", "postgres", "-d", self.name, "-c", sql)
        else:
            with sqlite3.connect(self.file, timeout=60) as db:
                db.execute(sql)

    def close(self):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def open_house(program, database, *args, **named):
    """A house on "sqlite", or on a PostgreSQL of its own; at the end nothing is left of them."""
    postgres = Postgres() if database == "postgres" else None
    try:
        house = House(program, postgres or database, *args, **named)
        try:
            yield house
        finally:
            house.close()
    finally:
        postgres and postgres.stop()


def argument(place, default):
    """What is said at that place of the command line, as what it is where nothing is said."""
    return type(default)(sys.argv[place]) if len(sys.argv) > place else default


def databases(place, default):
    """The databases that are meant there: one, or both."""
    named = argument(place, default)
    return ("sqlite", "postgres") if named == "both" else (named,)


def compare(what, seconds, promised):
    """Says so where something took longer than was promised. Nothing fails by it: machines differ, and are busy."""
    if seconds > promised:
        print(f"!!! SLOWER THAN PROMISED: {what} took {seconds:.2f} s, {promised} s were promised", flush=True)


class Load(threading.Thread):
    """Says of each contact once that it ordered and once that it joined, in batches; an item counts when it is acknowledged.

    Whoever gets no answer says it again, to the next door, with the same messageId."""

    def __init__(self, house, rate=400, batch=20, kinds=("ordered", "joined")):
        super().__init__(daemon=True)
        self.house, self.rate, self.batch, self.kinds = house, rate, batch, kinds
        self.acknowledged, self.sent_at, self.refusals, self.stopped, self.slowest = set(), {}, Counter(), threading.Event(), 0.0

    def run(self):
        items = ((i, kind) for i in range(self.house.contacts) for kind in self.kinds)
        begun, count = time.monotonic(), 0
        while not self.stopped.is_set() and (batch := list(itertools.islice(items, self.batch))):
            self.post(batch)
            count += len(batch)
            time.sleep(max(0.0, begun + count / self.rate - time.monotonic()))

    def post(self, batch):
        fields = {"ordered": {"code": "1"}, "joined": {"source": "web"}}
        calls = [{"type": "track", "userId": f"u{i}", "event": kind, "messageId": f"{kind}{i}", "properties": fields[kind]} for i, kind in batch]
        body, begun = json.dumps({"batch": calls}), time.monotonic()
        for item in batch:
            self.sent_at.setdefault(item, begun)
        key = base64.b64encode(f"{self.house.key}:".encode()).decode()
        for turn in itertools.count():
            worker = self.house.workers[turn % len(self.house.workers)]
            door = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=10)
            try:
                door.request("POST", "/v1/batch", body, {"Content-Type": "application/json", "Authorization": f"Basic {key}"})
                answer = door.getresponse()
                status, text = answer.status, answer.read()
                if status == 200:
                    told = json.loads(text)
                    assert told["rejected"] == 0, told
                    self.acknowledged.update(batch)
                    self.slowest = max(self.slowest, time.monotonic() - begun)
                    return
                self.refusals[status] += 1
                if status in (429, 503):
                    assert answer.getheader("Retry-After"), "a refusal does not say when to come again"
            except (OSError, http.client.HTTPException):
                self.refusals["no answer"] += 1
            finally:
                door.close()
            if self.stopped.is_set():
                return
            time.sleep(0.05)


def reckon(house, load, doubtful):
    """Compares the books. `doubtful`: the ids that were under way at a fault. Gives a line of figures; stops at the first violation."""
    relay = house.relay
    rows = house.query("SELECT deliveries.id, identities.value AS who, deliveries.transactional, deliveries.state, deliveries.attempts "
                       "FROM deliveries JOIN identities ON identities.kind = 1 AND identities.contact = deliveries.contact")
    owed = {(f"u{i}", 1 if kind == "ordered" else 0) for i, kind in load.acknowledged}
    # What was not acknowledged may have come in all the same.
    possible = {(f"u{i}", 1 if kind == "ordered" else 0) for i, kind in load.sent_at}
    there = Counter((who, transactional) for _, who, transactional, _, _ in rows)
    lost, many = owed - set(there), [key for key, count in there.items() if count > 1]
    assert not lost, f"{len(lost)} were acknowledged and lost: {sorted(lost)[:5]}"
    assert not many and not set(there) - possible, f"{len(many)} steps were done twice, {len(set(there) - possible)} were never asked for"
    doubt = set(doubtful) | set(relay.unanswered)
    repeats = held = came = 0
    for id, who, transactional, state, attempts in rows:
        kept = relay.kept.get(id, [])
        assert all(to == f"p{who[1:]}@example.org" for to, _ in kept), f"the mail of {who} went to {[to for to, _ in kept]}"
        assert len({body for _, body in kept}) <= 1, f"{who} got different mails with one Message-ID"
        assert state in ("accepted", "unknown"), f"the mail of {who} is {state}"
        if len(kept) > 1:
            repeats += len(kept) - 1
            assert transactional, f"marketing came {len(kept)} times to {who}, after {attempts} attempts"
            assert id in doubt, f"a mail came {len(kept)} times to {who}, and was never in doubt"
        if state == "unknown":
            held += 1
            assert not transactional, "a transactional mail was kept back"
            assert id in doubt, f"the mail of {who} is kept back and was never in doubt"
        elif not kept:
            raise AssertionError(f"the mail of {who} counts as sent and never came")
        came += bool(kept)
    strangers = set(relay.kept) - {row[0] for row in rows}
    assert not strangers, f"{len(strangers)} mails came that nobody knows"
    return f"{len(owed)} acknowledged, {came} came, {held} kept back, {repeats} repeats, {len(doubt)} in doubt, lost 0, wrong recipient 0"
