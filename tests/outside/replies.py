"""Answers to mails, bounces and complaints, while the daemon is killed (kill -9): each counts once, whichever way it comes in.

usage: replies.py PROGRAM [PEOPLE]. Each answer is made of the mail that arrived, as a mail program makes it, and comes in by the door, by a pipe
of a mail server, and in a Maildir that is read again and again: some ways at once, some after another.
"""

import email, email.message, email.policy, http.client, json, mailbox, os, random, re, socket, sqlite3, subprocess, sys, tempfile, threading, time, urllib.error, urllib.request
from pathlib import Path

from aiosmtpd.controller import Controller

FILES = {
    "schema.journey": """contact { email: email?, words: text? }
channel email { sends "smtp", address contact.email, class message, abilities [replies] }
policy rules { consent marketing on email }
""",
    "journeys/hello.journey": """journey hello "Hello" {
  purpose marketing
  reenter never
  enter by start
  send email hello as mail
  wait up to 30 days for mail.replied, mail.bounced, mail.complained, mail.failed as reaction
  if mail.replied {
    set contact.words = reaction.text otherwise "none"
    exit as replied
  }
  if mail.bounced { exit as bounced }
  if mail.complained { exit as complained }
  exit as other
}
""",
    "templates/hello/email.en.subject.hbs": "Grüße, are you coming?",
    "templates/hello/email.en.html.hbs": '<html><body><p>Just reply. <a href="{{links.unsubscribe}}">No more</a></p></body></html>',
    "fahrplan.toml": """[project]
name = "replies"
[smtp]
from = "Shop <news@shop.example>"
reply_to = "Shop <reply@shop.example>"
return_path = "bounce@shop.example"
[brand]
name = "Shop"
""",
}
KINDS = ["answer", "answer", "references", "sealed", "html", "away", "stranger", "bounce", "policy", "complaint", "unsubscribe"]
ENDS = {"answer": "replied", "references": "replied", "sealed": "replied", "html": "replied", "bounce": "bounced", "policy": "other",
        "complaint": "complained", "unsubscribe": "consent_withdrawn", "stranger": "replied"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mails:
    def __init__(self):
        self.all = {}
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.controller.start()

    async def handle_DATA(self, server, session, envelope):
        self.all[envelope.rcpt_tos[0]] = (envelope.mail_from, email.message_from_bytes(envelope.content, policy=email.policy.default), envelope.content)
        return "250 kept"


class Project:
    def __init__(self, program, folder):
        self.program, self.folder, self.port = str(Path(program).resolve()), Path(folder), free_port()
        for name, text in FILES.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.mails, self.base = Mails(), f"http://127.0.0.1:{self.port}"
        self.env = dict(os.environ, NO_COLOR="1", FAHRPLAN_DATABASE_URL=f"sqlite:{self.folder}/replies.db",
                        FAHRPLAN_HTTP_LISTEN=f"127.0.0.1:{self.port}", FAHRPLAN_HTTP_PUBLIC_URL=self.base,
                        FAHRPLAN_SMTP_URL=f"smtp://127.0.0.1:{self.mails.controller.port}")
        self.log, self.process = open(self.folder / "log", "ab"), None

    def cli(self, *args, given=None):
        done = subprocess.run([self.program, *args], cwd=self.folder, env=self.env, capture_output=True, input=given)
        assert done.returncode == 0, f"fahrplan {' '.join(args)} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return (done.stdout + done.stderr).decode()

    def serve(self):
        self.process = subprocess.Popen([self.program, "serve", "--allow-root"], cwd=self.folder, env=self.env, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def query(self, sql):
        with sqlite3.connect(f"file:{self.folder}/replies.db?mode=ro", uri=True, timeout=20) as db:
            return db.execute(sql).fetchall()

    def post(self, mail):
        """What the door takes it for, tried until the daemon says something."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                request = urllib.request.Request(self.base + "/v1/mail", data=mail, headers={"content-type": "message/rfc822", "authorization": f"Bearer {self.key}"})
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.load(answer)["result"]
            except urllib.error.HTTPError as error:
                with error:
                    assert error.code in (429, 503), error.read()
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise AssertionError("no answer:\n" + (self.folder / "log").read_text()[-3000:])


class Person:
    def __init__(self, number):
        self.kind, self.name = KINDS[number % len(KINDS)], f"p{number}"
        self.email = f"{self.name}@example.org"

    def replies(self, mails):
        """What comes back, made of the mail that arrived."""
        came_from, sent, raw = mails.all[self.email]
        sealed = str(sent["Reply-To"].addresses[0].addr_spec)
        assert re.fullmatch(r"reply\+[0-9a-z]{13}-[0-9a-z]{12}@shop\.example", sealed), sealed
        assert re.fullmatch(r"bounce\+[0-9a-z]{13}-[0-9a-z]{12}@shop\.example", came_from), came_from
        assert f"<mailto:{sealed}?subject=unsubscribe>" in re.sub(r"\s+", " ", sent["List-Unsubscribe"]), sent["List-Unsubscribe"]
        reply = email.message.EmailMessage(policy=email.policy.SMTP)
        reply["From"], reply["To"], reply["Message-ID"] = f"Ann <{self.email.upper()}>", "news@shop.example", f"<{self.name}@mail.example>"
        reply["Subject"] = "Re: " + sent["Subject"]
        text = f"Yes, {self.name} – gern!\n\nOn Monday, Shop wrote:\n> Just reply.\n"
        if self.kind in ("bounce", "policy", "complaint"):
            return self.report(came_from, raw, sent)
        if self.kind == "unsubscribe":
            reply.replace_header("Subject", "unsubscribe")
            reply.replace_header("To", sealed)
            text = ""
        elif self.kind == "sealed":
            reply.replace_header("To", sealed.upper())
            reply.replace_header("Subject", "Hallo")
        elif self.kind == "references":
            reply["References"] = f"<before@x> {sent['Message-ID']}"
        else:
            reply["In-Reply-To"] = sent["Message-ID"]
        if self.kind == "away":
            reply["Auto-Submitted"] = "auto-replied"
        if self.kind == "stranger":
            reply.replace_header("From", f"{self.name}@work.example")
        if self.kind == "html":
            reply.set_content(f"<p>Yes, {self.name} – gern!</p><blockquote>On Monday, Shop wrote:<br>Just reply.</blockquote>", subtype="html")
        else:
            reply.set_content(text, cte="base64", charset="iso-8859-15" if self.kind == "sealed" and not "–" in text else "utf-8")
        return reply.as_bytes()

    def report(self, came_from, raw, sent):
        head = lambda to, kind: f"From: MAILER-DAEMON@mx.example\r\nTo: {to}\r\nMessage-ID: <{self.name}@mx.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type={kind}; boundary=\"bb\"\r\n\r\n--bb\r\n\r\nSorry.\r\n"
        if self.kind == "complaint":
            body = "--bb\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n\r\n--bb\r\nContent-Type: message/rfc822\r\n\r\n"
            blacked = raw.replace(self.email.encode(), b"redacted@provider.example")
            return head("fbl@shop.example", "feedback-report").encode() + body.encode() + blacked + b"\r\n--bb--\r\n"
        status = "5.1.1" if self.kind == "bounce" else "5.7.1"
        body = f"--bb\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {self.email}\r\nAction: failed\r\nStatus: {status}\r\n\r\n"
        headers = raw.split(b"\r\n\r\n")[0]
        to = came_from if self.kind == "bounce" else "news@shop.example"
        return head(to, "delivery-status").encode() + body.encode() + b"--bb\r\nContent-Type: text/rfc822-headers\r\n\r\n" + headers + b"\r\n--bb--\r\n"


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


def play(project, count):
    project.cli("deploy", "--yes")
    project.key = project.cli("key", "create", "--scope", "ingest", "--scope", "read").split()[-1]
    people, rng = [Person(number) for number in range(count)], random.Random(count)
    rows = "".join(f"{p.name},{p.email},yes,2026-01-05T10:00:00Z\n" for p in people)
    (project.folder / "people.csv").write_text("user_id,email,consent_marketing_email,consent_marketing_email_at\n" + rows)
    project.cli("import", "contacts", "people.csv")
    project.serve()
    for person in people:
        project.cli("enroll", person.name, "hello")
    until(lambda: f"{len(project.mails.all)} of {count} mails", lambda: len(project.mails.all) == count)
    box = mailbox.Maildir(project.folder / "Maildir", create=True)
    over, wrong, kills = threading.Event(), [], 0

    def disturb():
        nonlocal kills
        while not over.wait(rng.uniform(0.02, 0.2)) and kills < 3 + count // 6:
            project.kill()
            project.serve()
            kills += 1

    def tell(person, number):
        try:
            mail = person.replies(project.mails)
            box.add(mail)
            ways = [lambda: project.post(mail), lambda: project.post(mail), lambda: project.cli("import", "replies", "-", given=b"From x Mon Nov 23 10:00:00 2026\n" + mail)]
            if number % 2:
                both = [threading.Thread(target=way) for way in ways]
                for way in both:
                    way.start()
                for way in both:
                    way.join()
            else:
                for way in ways:
                    way()
        except BaseException as error:
            wrong.append(f"{person.name} ({person.kind}): {error!r}")

    disturber = threading.Thread(target=disturb)
    disturber.start()
    for start in range(0, count, 4):
        speakers = [threading.Thread(target=tell, args=[person, number]) for number, person in list(enumerate(people))[start:start + 4]]
        for speaker in speakers:
            speaker.start()
        for speaker in speakers:
            speaker.join()
    over.set()
    disturber.join()
    assert not wrong, wrong
    judge(project, people, kills)


def judge(project, people, kills):
    strangers = [p for p in people if p.kind == "stranger"]
    listed = json.loads(project.cli("replies", "list", "--format", "json", "--limit", "1000"))
    assert sorted(one["from"] for one in listed) == sorted(f"{p.name}@work.example" for p in strangers), listed
    # They are known one day, and what they said is told by itself.
    rows = "".join(f"{p.name},{p.name}@work.example\n" for p in strangers)
    (project.folder / "more.csv").write_text("user_id,email\n" + rows)
    project.cli("import", "contacts", "more.csv")
    assert f"{len(strangers)} taken" in project.cli("replies", "list", "--retry")
    # The mailbox is read again and again, and nothing new is in it.
    for _ in range(2):
        told = project.cli("import", "replies", "Maildir")
        assert "taken as an answer" not in told and "that report what" not in told, told
    ends = "SELECT contacts.attributes, names.name FROM enrollments JOIN contacts ON contacts.id = enrollments.contact JOIN names ON names.id = enrollments.reason"
    expected = sorted((p.name, ENDS[p.kind]) for p in people if p.kind in ENDS)
    found = lambda: sorted((json.loads(a)["email"].split("@")[0], reason) for a, reason in project.query(ends))
    until(lambda: f"left {found()}, expected {expected}", lambda: found() == expected)
    words = {json.loads(a)["email"].split("@")[0]: json.loads(a).get("words") for a, in project.query("SELECT attributes FROM contacts")}
    for person in people:
        said = f"Yes, {person.name} – gern!" if ENDS.get(person.kind) == "replied" else None
        assert words[person.name] == said, (person.name, person.kind, words[person.name])
    reasons = dict(project.query("SELECT address, reason FROM suppressions"))
    whose = {"bounce": "bounce", "complaint": "complaint", "unsubscribe": "unsubscribe"}
    assert reasons == {p.email: whose[p.kind] for p in people if p.kind in whose}, reasons
    again = project.query("SELECT COUNT(*), COUNT(DISTINCT name) FROM replies WHERE state = 'taken'")[0]
    assert again[0] == again[1] == sum(p.kind != "away" for p in people), again
    print(f"{len(people)} people, {len(expected)} outcomes, {kills} kills: each counts once, whichever way it came")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 22)
