"""A survey by mail link, by text message and on the phone, while the daemon is killed (kill -9): every answer is counted once, in one table.

usage: surveys.py PROGRAM [PEOPLE]. Whoever answers tries again until it is acknowledged, as providers and browsers do; some say it twice.
"""

import email, email.policy, hashlib, hmac, http.client, json, os, random, re, socket, sqlite3, subprocess, sys, tempfile, threading, time, urllib.error, urllib.parse, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.controller import Controller

SCHEMA = """contact { email: email?, phone: phone?, score: number? }
channel email { sends "smtp", address contact.email, class message }
channel sms { sends "secret:sms", address contact.phone, class message, abilities [replies] }
channel phone { address contact.phone, class task, team care }
team care { }
survey nps "One minute, please" {
  score: number from 0 to 10 "Would you send a friend to us?"
  why: text? "Why?"
}
"""
JOURNEY = """journey by_{0} "Asked by {0}" {{
  purpose transactional because "they asked to be asked"
  reenter never
  enter by start
  ask nps by {0} up to 7 days as a
  if a.answered {{
    set contact.score = a.score
    exit as heard
  }}
  exit as missed
}}
"""
WAYS = {"email": "page", "sms": "text", "phone": "phone"}
FILES = {
    "schema.journey": SCHEMA,
    "templates/nps/email.en.subject.hbs": "One minute, please",
    "templates/nps/email.en.html.hbs": '<html><body><p><a href="{{links.survey}}">Answer</a></p></body></html>',
    "templates/nps/sms.en.txt.hbs": "Would you send a friend to us, from 0 to 10? Just reply.",
    "fahrplan.toml": '[project]\nname = "surveys"\n[smtp]\nfrom = "Shop <news@example.org>"\n',
} | {f"journeys/by_{channel}.journey": JOURNEY.format(channel) for channel in WAYS}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mails:
    """Keeps the link of each mail by its recipient."""

    def __init__(self):
        self.links = {}
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.controller.start()

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = mail.get_body(("html",)).get_content()
        self.links[envelope.rcpt_tos[0]] = re.search(r'href="([^"]*/s/[^"]+)"', text)[1].replace("&#x3D;", "=")
        return "250 kept"


class Gateway:
    """Keeps to whom texts went."""

    def __init__(self):
        self.texts = {}
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                text = json.loads(self.rfile.read(int(self.headers["content-length"])))
                gateway.texts[text["to"]] = text["id"]
                self.send_response(200)
                self.send_header("content-length", "13")
                self.end_headers()
                self.wfile.write(b'{"id":"made"}')

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Project:
    def __init__(self, program, folder):
        self.program, self.folder, self.port = str(Path(program).resolve()), Path(folder), free_port()
        for name, text in FILES.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.mails, self.gateway = Mails(), Gateway()
        self.base = f"http://127.0.0.1:{self.port}"
        self.env = dict(os.environ, NO_COLOR="1", FAHRPLAN_DATABASE_URL=f"sqlite:{self.folder}/surveys.db",
                        FAHRPLAN_HTTP_LISTEN=f"127.0.0.1:{self.port}", FAHRPLAN_HTTP_PUBLIC_URL=self.base,
                        FAHRPLAN_SMTP_URL=f"smtp://127.0.0.1:{self.mails.controller.port}", FAHRPLAN_REQUESTS_ALLOW="127.0.0.1",
                        FAHRPLAN_SECRET_RECEIPTS="siegel", FAHRPLAN_SECRET_SMS=f"http://127.0.0.1:{self.gateway.port}/send")
        self.log, self.process = open(self.folder / "log", "ab"), None

    def cli(self, *args):
        done = subprocess.run([self.program, *args], cwd=self.folder, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, f"fahrplan {' '.join(args)} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self):
        self.process = subprocess.Popen([self.program, "serve", "--allow-root"], cwd=self.folder, env=self.env, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def query(self, sql):
        with sqlite3.connect(f"file:{self.folder}/surveys.db?mode=ro", uri=True, timeout=20) as db:
            return db.execute(sql).fetchall()

    def ask(self, path, body=None, headers={}):
        """The status and the body, tried until the daemon says something."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(urllib.request.Request(path if path.startswith("http") else self.base + path, data=body, headers=headers), timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != 503:
                        return error.code, error.read().decode()
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise AssertionError(f"no answer from {path}:\n" + (self.folder / "log").read_text()[-3000:])

    def generic(self, report):
        body, at = json.dumps(report).encode(), str(int(time.time()))
        signature = "sha256=" + hmac.new(b"siegel", at.encode() + b"." + body, hashlib.sha256).hexdigest()
        status, told = self.ask("/v1/receipts/generic", body, {"x-fahrplan-timestamp": at, "x-fahrplan-signature": signature})
        assert status == 200, told
        return json.loads(told)


class Person:
    """Somebody who is asked one way, and answers until it is acknowledged."""

    def __init__(self, project, channel, number, key):
        self.project, self.channel, self.key = project, channel, key
        self.name, self.score = f"{channel}{number}", number % 11
        self.email = f"{self.name}@example.org"
        self.phone = f"+4915{list(WAYS).index(channel)}{number:07}"

    def is_asked(self):
        if self.channel == "email":
            return self.email in self.project.mails.links
        if self.channel == "sms":
            return self.phone in self.project.gateway.texts
        return self.task() is not None

    def task(self):
        _, told = self.project.ask("/v1/tasks?limit=500", headers=self.key)
        return next((task for task in json.loads(told)["tasks"] if task["contact"]["phone"] == self.phone), None)

    def answers(self, rng):
        """Answers, and often says it once more as if the first answer had been lost."""
        if self.channel == "phone":
            task = self.task()
            assert task["verb"] == "ask" and task["outcomes"] == ["answered", "declined"], task
        for again in range(rng.choice([1, 2, 3])):
            if self.channel == "email":
                link = self.project.mails.links[self.email]
                assert self.project.ask(link)[0] == 200
                form = urllib.parse.urlencode({"a.score": self.score, "a.why": f"because {again}"}).encode()
                status, told = self.project.ask(link, form)
                assert status in (200, 409), told
            elif self.channel == "sms":
                told = self.project.generic({"outcome": "replied", "from": self.phone, "text": f"{self.score} because", "message_id": f"m{self.name}"})
                assert told["unknown"] == 0, told
            else:
                report = json.dumps({"outcome": "answered", "answers": {"score": self.score}}).encode()
                status, told = self.project.ask(f"/v1/tasks/{task['id']}/outcome", report, self.key)
                assert status == 200 or json.loads(told)["code"] == "settled", told


def until(what, is_so, patience=60):
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def main(program, people):
    with tempfile.TemporaryDirectory() as folder:
        project = Project(program, folder)
        try:
            play(project, people)
        finally:
            if project.process:
                project.kill()
            project.mails.controller.stop()


def play(project, people):
    project.cli("deploy", "--yes")
    key = {"authorization": "Bearer " + project.cli("key", "create", "--scope", "tasks", "--scope", "read", "--name", "Ana").split()[-1]}
    rng = random.Random(people)
    asked = [Person(project, channel, number, key) for channel in WAYS for number in range(people)]
    rows = "".join(f"{person.name},{person.email},{person.phone}\n" for person in asked)
    (project.folder / "people.csv").write_text("user_id,email,phone\n" + rows)
    project.cli("import", "contacts", "people.csv")
    project.serve()
    for person in asked:
        project.cli("enroll", person.name, f"by_{person.channel}")
    for person in asked:
        until(lambda: f"{person.name} is not asked", person.is_asked)
    over, kills = threading.Event(), 0

    def disturb():
        nonlocal kills
        while not over.wait(rng.uniform(0.2, 0.5)) and kills < 3 + people // 4:
            project.kill()
            project.serve()
            kills += 1

    disturber = threading.Thread(target=disturb)
    disturber.start()
    wrong = []

    def tell(person):
        try:
            person.answers(random.Random(person.name))
        except Exception as error:
            wrong.append(f"{person.name}: {error!r}")

    speakers = [threading.Thread(target=tell, args=[person]) for person in asked]
    for speaker in speakers:
        speaker.start()
        time.sleep(rng.uniform(0, 0.2))
    for speaker in speakers:
        speaker.join()
    over.set()
    disturber.join()
    assert not wrong, wrong
    judge(project, asked, key, kills)


def judge(project, asked, key, kills):
    reasons = """SELECT COUNT(*) FROM enrollments JOIN names ON names.id = enrollments.reason WHERE names.name = 'heard'"""
    left = lambda: project.query(reasons)[0][0]
    until(lambda: f"{left()} of {len(asked)} were heard", lambda: left() == len(asked))
    rows = project.query("""SELECT answers.way, answers.fields, contacts.attributes, names.name FROM answers
                            JOIN contacts ON contacts.id = answers.contact JOIN names ON names.id = answers.survey""")
    assert len(rows) == len(asked), (len(rows), len(asked))
    found = {}
    for way, fields, attributes, survey in rows:
        fields, attributes = json.loads(fields), json.loads(attributes)
        assert survey == "nps" and attributes["score"] == fields["score"], (survey, fields, attributes)
        found[attributes["email"]] = (way, fields)
    for person in asked:
        way, fields = found[person.email]
        assert (way, fields["score"]) == (WAYS[person.channel], person.score), (person.name, way, fields)
        if way != "phone":
            assert fields["why"] == ("because 0" if way == "page" else "because"), fields
    _, told = project.ask("/v1/surveys/nps/answers?limit=1000", headers=key)
    assert len(json.loads(told)["answers"]) == len(asked)
    counts = " ".join(f"{way} {sum(row[0] == way for row in rows)}" for way in WAYS.values())
    print(f"{len(asked)} people, {counts}, {kills} kills: every answer counts once")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 6)
