"""The pages and the API answer fast in a house that has a long past and much to do.

usage: pages.py PROGRAM [EVENTS [TASKS [sqlite|postgres|both]]]. So many events of the past are imported, one contact has a thousand of
them, and each contact has an open call. Then each page is asked for, once after the other, for contacts and tasks by chance; half of
the answers come within the first figure, and 95 of a hundred within the second. What took longer than was promised is told, and fails
nothing: machines differ. The figures of the promise: 1000000 100000.
"""

import base64, html, http.client, json, random, re, statistics, sys, time, urllib.parse

import _load
from _load import argument, databases, open_house

ASKED, BUSY, P95_MS = 150, 1_000, 50
_load.SCHEMA += """
event gone { reason: text }
channel phone { sends "tasks", class task }
team service { hours monday to sunday 00:00 to 23:59 project time }
task ask_why "Ask why" {
  outcomes [reached, missed]
  answers { mood: one of [good, bad]? }
}
"""
_load.JOURNEYS += """
journey calls "Calls" {
  purpose transactional because "asks what went wrong"
  enter on gone
  reenter never
  lasts up to 30 days
  call ask_why by service with { reason: "it is quiet" } up to 20 days as talk
  exit as done
}
"""


class Door:
    """One connection, kept, with the headers of somebody who may."""

    def __init__(self, port, headers):
        self.door, self.headers = http.client.HTTPConnection("127.0.0.1", port, timeout=60), headers

    def get(self, path):
        """What is answered, and how many milliseconds that took."""
        begun = time.perf_counter()
        self.door.request("GET", path, headers=self.headers)
        answer = self.door.getresponse()
        text = answer.read().decode()
        taken = (time.perf_counter() - begun) * 1000
        assert answer.status == 200, (path, answer.status, text[:300])
        return text, taken


def basic(key):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def logged_in(port, key):
    door = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    door.request("POST", "/login", urllib.parse.urlencode({"key": key}), {"Content-Type": "application/x-www-form-urlencoded"})
    answer = door.getresponse()
    assert answer.status == 303, (answer.status, answer.read())
    return {"Cookie": answer.getheader("Set-Cookie").split(";")[0]}


def fill(house, events, tasks):
    """Events of the last weeks, quietly; then the one that brings a call to everybody."""
    moment = lambda back: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - back))
    line = '{"type":"track","userId":"u%d","event":"%s","messageId":"%s%d","timestamp":"%s","properties":{"%s":"x"}}\n'
    past, now = house.folder / "past.jsonl", house.folder / "now.jsonl"
    with open(past, "w") as file:
        for n in range(events):
            who = 0 if n < BUSY else n % tasks
            file.write(line % (who, "joined", "p", n, moment(60 + n % 2_000_000), "source"))
    with open(now, "w") as file:
        file.writelines(line % (n, "gone", "g", n, moment(1), "reason") for n in range(tasks))
    begun = time.monotonic()
    house.cli("import", "events", str(past), timeout=3600)
    imported = time.monotonic() - begun
    house.cli("import", "events", str(now), "--live", timeout=3600)
    return imported


def compare(house, looker, tasks):
    """What the pages show is what the commands tell."""
    text = looker.get("/journeys/calls")[0]
    status = json.loads(house.cli("status", "--format", "json"))
    calls = next(one for one in status["journeys"] if one["name"] == "calls")
    assert calls["active"] == calls["entered"] == calls["waiting"]["talk"] == tasks, calls
    assert f"<strong>{tasks}</strong></span><div lang=\"en\">call ask_why by service" in text, text[-3000:]
    text = html.unescape(looker.get("/people/u1")[0])
    shown = json.loads(house.cli("contact", "show", "u1", "--format", "json"))
    (task,), (enrollment,) = shown["tasks"], shown["enrollments"]
    assert enrollment["step"] == "talk" and enrollment["waits_for"] == "the outcome of the call `ask_why`", enrollment
    for part in (task["id"], enrollment["id"], f"(version {calls['version']})", "waits for the outcome of the call `ask_why`"):
        assert part in text, (part, text[-5000:])
    for story in json.loads(house.cli("why", "u1", "--format", "json"))["journeys"]:
        assert story["answer"] in text, (story, text[-5000:])


def run(program, events, tasks, database):
    with open_house(program, database, tasks) as house:
        # Whoever imports while the program runs has what comes in taken meanwhile.
        worker = house.serve()
        imported = fill(house, events, tasks)
        while worker.metric("fahrplan_backlog{kind=\"inbox\"}") > 0:
            time.sleep(0.5)
        there = house.query("SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM tasks WHERE state = 'open')")[0]
        assert there[0] >= events and there[1] == tasks, f"{there} events and tasks of {events} and {tasks}"
        read, service, all_teams = (house.cli("key", "create", "--scope", scope, *more).split()[-1]
                                    for scope, more in (("read", ()), ("tasks", ("--team", "service")), ("tasks", ())))
        chance = random.Random(7)
        reader, worker_door = Door(worker.port, basic(read)), Door(worker.port, basic(service))
        page, every = Door(worker.port, logged_in(worker.port, service)), Door(worker.port, basic(all_teams))
        looker = Door(worker.port, logged_in(worker.port, read))
        ids = re.findall(r'"id":"(tk_\w+)"', worker_door.get("/v1/tasks?limit=500")[0])
        assert len(ids) == min(tasks, 500), len(ids)
        somebody = lambda: f"u{chance.randrange(1, tasks)}"
        asked = [
            ("/v1/tasks", worker_door, lambda: "/v1/tasks"),
            ("/v1/tasks of all teams", every, lambda: "/v1/tasks?limit=500"),
            ("/v1/tasks/{id}", worker_door, lambda: f"/v1/tasks/{chance.choice(ids)}"),
            ("/agent", page, lambda: "/agent"),
            ("/agent/{task}", page, lambda: f"/agent/{chance.choice(ids)}"),
            ("/v1/contacts/{key}", reader, lambda: f"/v1/contacts/{somebody()}"),
            ("its timeline", reader, lambda: f"/v1/contacts/{somebody()}/timeline"),
            (f"a timeline of {BUSY}", reader, lambda: "/v1/contacts/u0/timeline"),
            ("/people/{key}", looker, lambda: f"/people/{somebody()}"),
            (f"with {BUSY} events", looker, lambda: "/people/u0"),
            ("its last page", looker, lambda: "/people/u0?page=20"),
            ("/v1/journeys", reader, lambda: "/v1/journeys"),
            ("/journeys", looker, lambda: "/journeys"),
            ("/journeys/{name}", looker, lambda: "/journeys/calls"),
        ]
        compare(house, looker, tasks)
        print(f"{database}: {events} events, imported in {imported:.0f} s, and {tasks} open tasks", flush=True)
        slow = []
        for name, door, path in asked:
            door.door.close()  # it has been idle, and comes anew with the first request
            door.get(path())
            times = sorted(door.get(path())[1] for _ in range(ASKED))
            half, most = statistics.median(times), times[int(ASKED * 0.95)]
            print(f"  {name:24} p50 {half:6.1f} ms  p95 {most:6.1f} ms  at most {times[-1]:6.1f} ms", flush=True)
            if most > P95_MS:
                slow.append(name)
        if slow:
            print(f"  slower than {P95_MS} ms: {', '.join(map(str, slow))}", flush=True)
        assert worker.stop()[0] == 0


if __name__ == "__main__":
    for database in databases(4, "sqlite"):
        run(sys.argv[1], argument(2, 20_000), argument(3, 2_000), database)
