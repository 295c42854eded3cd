"""Three people race for calls over HTTP, and the daemon is killed (kill -9) in between: nobody is called twice, and nothing told is lost.

usage: calls.py PROGRAM [TASKS]. Who is reached leaves by one way, who is not reached twice by another. A call belongs to whoever has it in
hand, its outcome is told once, and each outcome that was acknowledged is the one that the journey went on with. Who is not reached twice
gets a letter, and the folder of the letters is the same, byte for byte, whenever the daemon is killed on the way to it.
"""

import json, random, sqlite3, sys, tempfile, threading, time, urllib.error, urllib.request
from collections import Counter

from _letters import add_letters, add_template, print_with_kills
from _shop import Shop, ms, rfc3339

START = "2026-05-04T10:00:00Z"
# 16:00 in Berlin: the batch of the day.
HOUR = "2026-05-04T14:00:01Z"
SCHEMA = """
team inside_sales { hours monday to friday 09:00 to 18:00 project time }
task winback_call "Call somebody who is gone" {
  outcomes [reached, not_reached]
  answers { mood: one of [good, bad]?, visits: number from 0 to 10? }
}
event went_away "Has not been seen for a while" { reason: text? }
"""
JOURNEY = """journey winback_calls "Calls, then a letter" {
  purpose transactional because "asks what went wrong"
  enter on went_away
  reenter never
  call winback_call by inside_sales with { attempt: 1 } up to 20 days as first
  if first.outcome is reached {
    exit as reached
  }
  call winback_call by inside_sales with { attempt: 2 } up to 20 days as second
  if second.outcome is reached {
    exit as reached
  }
  send letter sorry_to_miss_you as paper
  if paper.unreachable {
    exit as nowhere
  }
  exit as letter
}
"""


def open_shop(program, folder):
    shop = Shop(program, folder, START)
    schema = shop.project / "schema.journey"
    schema.write_text(schema.read_text() + SCHEMA)
    add_letters(shop)
    add_template(shop, "sorry_to_miss_you", "Schade", "Wir haben dich nicht erreicht. Dein Code: {{links.response_code}}\n")
    (shop.project / "journeys" / "winback_calls.journey").write_text(JOURNEY)
    shop.cli("deploy", "--yes")
    return shop


class Caller(threading.Thread):
    """Somebody who takes what is on the list and tells an outcome, until told to stop."""

    def __init__(self, shop, name):
        super().__init__(daemon=True)
        self.key = shop.cli("key", "create", "--scope", "tasks", "--team", "inside_sales", "--name", name).split()[-1]
        self.shop, self.name_, self.rng, self.stopped = shop, name, random.Random(name), threading.Event()
        self.taken, self.lost, self.told, self.wrong = [], 0, {}, []

    def ask(self, method, path, body=None):
        """The answer, or None when the daemon was gone before it came."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body else (b"" if method == "POST" else None)
        request = urllib.request.Request(f"http://127.0.0.1:{self.shop.port}{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except (OSError, ValueError, EOFError):
            time.sleep(0.02)
            return None
        except Exception as error:  # a connection that broke in the middle of an answer
            if type(error).__module__ != "http.client":
                raise
            return None

    def run(self):
        try:
            while not self.stopped.is_set():
                listed = self.ask("GET", "/v1/tasks?team=inside_sales&limit=10")
                if not listed or listed[0] != 200 or not listed[1]["tasks"]:
                    time.sleep(0.02)
                    continue
                self.call(self.rng.choice(listed[1]["tasks"][:3]))
        except Exception as error:
            self.wrong.append(repr(error))

    def call(self, task):
        took = self.ask("POST", f"/v1/tasks/{task['id']}/take")
        if took and took[0] == 409:
            assert took[1]["code"] in ("taken", "settled"), took
            self.lost += 1
            return
        if not took or took[0] != 200:
            return
        assert took[1]["taken_by"] == self.name_, took
        self.taken.append(task["id"])
        outcome = self.rng.choice(["reached", "not_reached"])
        report = {"outcome": outcome, "answers": {"mood": "good", "visits": 3}}
        while not self.stopped.is_set():
            told = self.ask("POST", f"/v1/tasks/{task['id']}/outcome", report)
            if told and told[0] == 200:
                self.told[task["id"]] = outcome
                return
            if told and told[0] == 409:
                # The answer to an earlier try was lost with the daemon, and what was told has lasted; nobody else has it in hand.
                status = self.ask("GET", f"/v1/tasks/{task['id']}")
                if status and status[0] == 200:
                    assert (status[1]["state"], status[1]["outcome"], status[1]["taken_by"]) == ("done", outcome, self.name_), status
                    self.told[task["id"]] = outcome
                    return


def main(program, tasks):
    with tempfile.TemporaryDirectory() as folder:
        shop = open_shop(program, folder)
        try:
            play(shop, tasks)
        finally:
            shop.close()


def play(shop, tasks):
    people = [f"p{n}" for n in range(tasks)]
    shop.serve()
    at = rfc3339(shop.now)
    batch = [{"type": "identify", "userId": p, "messageId": f"i{p}", "timestamp": at, "traits": {"phone": f"+49301{n:06}", "postal": f"Beispielstraße {n}, 10115 Berlin"}} for n, p in enumerate(people)]
    batch += [{"type": "track", "userId": p, "messageId": f"t{p}", "timestamp": at, "event": "went_away", "properties": {}} for p in people]
    shop.deliver(batch)
    callers = [Caller(shop, name) for name in ("Ana", "Ben", "Cleo")]
    for caller in callers:
        caller.start()
    kills, rng, deadline = 0, random.Random(tasks), time.monotonic() + 60 + tasks
    while time.monotonic() < deadline:
        time.sleep(rng.uniform(0.2, 0.6))
        if kills < 3 + tasks // 40:
            shop.kill()
            shop.serve()
            kills += 1
            continue
        settled = sum(len(caller.told) for caller in callers)
        if query(shop, "SELECT COUNT(*) FROM tasks WHERE state = 'open'") == [(0,)] and settled == query(shop, "SELECT COUNT(*) FROM tasks")[0][0]:
            if query(shop, "SELECT COUNT(*) FROM inbox") == [(0,)]:
                break
    for caller in callers:
        caller.stopped.set()
    for caller in callers:
        caller.join(30)
        assert not caller.wrong, caller.wrong
    unreached = judge(shop, callers, people, kills)
    folder = print_with_kills(shop, ms(HOUR))
    streets = [line.split(",")[4] for line in (folder / "addresses.csv").read_text().splitlines()[1:]]
    assert len(streets) == len(set(streets)) == unreached, (len(streets), unreached)
    print(f"{unreached} letters to those whom nobody reached, in a folder that 4 kills did not change")


def query(shop, sql):
    with sqlite3.connect(f"file:{shop.folder}/shop.db?mode=ro", uri=True, timeout=20) as db:
        return db.execute(sql).fetchall()


def judge(shop, callers, people, kills):
    told = Counter(task for caller in callers for task in caller.told)
    assert told and max(told.values()) == 1, f"told by two: {told.most_common(3)}"
    taken = Counter(task for caller in callers for task in set(caller.taken))
    assert max(taken.values()) == 1, f"in the hands of two within half an hour: {taken.most_common(3)}"
    rows = query(shop, "SELECT contact, state, outcome, attempts FROM tasks ORDER BY contact, id")
    assert len(rows) == len(told), (len(rows), len(told))
    assert all(state == "done" and attempts == 1 for _, state, _, attempts in rows), Counter((row[1], row[3]) for row in rows)
    calls = {}
    for contact, _, outcome, _ in rows:
        calls.setdefault(contact, []).append(outcome)
    assert len(calls) == len(people), (len(calls), len(people))
    left = dict(query(shop, """SELECT enrollments.contact, names.name FROM enrollments JOIN names ON names.id = enrollments.reason
                               WHERE enrollments.ended_at IS NOT NULL"""))
    for contact, outcomes in calls.items():
        assert outcomes in (["reached"], ["not_reached", "reached"], ["not_reached", "not_reached"]), outcomes
        assert left.get(contact) == ("reached" if outcomes[-1] == "reached" else "letter"), (outcomes, left.get(contact))
    assert {tuple(outcomes) for outcomes in calls.values()} == {("reached",), ("not_reached", "reached"), ("not_reached", "not_reached")}
    acknowledged = Counter(outcome for caller in callers for outcome in caller.told.values())
    assert acknowledged == Counter(row[2] for row in rows), (acknowledged, Counter(row[2] for row in rows))
    lost = sum(caller.lost for caller in callers)
    shares = ", ".join(f"{caller.name_} {len(caller.told)}" for caller in callers)
    print(f"{len(people)} people, {len(rows)} calls ({shares}), {lost} races lost, {kills} kills: every outcome counts once")
    return sum(outcomes[-1] == "not_reached" for outcomes in calls.values())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40)
