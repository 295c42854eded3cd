"""Text messages by a gateway that speaks Twilio's API, and the way back: reports, answers, STOP, each signed and counted once.

usage: gateway.py PROGRAM
"""

import base64, hashlib, hmac, json, os, socket, sqlite3, subprocess, sys, tempfile, threading, time, urllib.error, urllib.parse, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCHEMA = """contact { email: email?, phone: phone?, plan: one of [free, pro] = free, code: text = "none" }
channel email { sends "smtp", address contact.email, class message }
channel sms { sends "secret:sms", address contact.phone, class message, abilities [replies] }
policy rules { consent marketing on sms }
"""
JOURNEY = """journey asked "Asked" {
  purpose marketing
  reenter never
  lasts up to 30 days
  enter by start
  send sms hello as text
  wait up to 1 day for text.delivered as arrival
  wait up to 1 day for text.replied as reaction
  set contact.code = reaction.text otherwise "none"
  exit as served
}
"""
PEOPLE = "user_id,email,phone,consent_marketing_sms\n" + "".join(f"u{n},u{n}@example.org,+49 151 0000000{n},yes\n" for n in (1, 2, 3))


def provider():
    """Takes messages; gives its port and what it was handed."""
    handed = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            handed.append((self.path, self.headers["authorization"], dict(urllib.parse.parse_qsl(body))))
            self.send_response(201)
            self.send_header("content-length", "13")
            self.end_headers()
            self.wfile.write(b'{"sid":"SM1"}')

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], handed


def until(what, is_so):
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Doors:
    """Our doors, as those knock who report."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def post(self, path, headers, body):
        try:
            with urllib.request.urlopen(urllib.request.Request(self.base + path, data=body, headers=headers), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def twilio(self, path, fields, token="geheim"):
        signed = self.base + path + "".join(name + fields[name] for name in sorted(fields))
        signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
        headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
        return self.post(path, headers, urllib.parse.urlencode(fields).encode())[0]

    def generic(self, body, secret="siegel", late=0):
        body, at = json.dumps(body).encode(), str(int(time.time()) - late)
        signature = "sha256=" + hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        return self.post("/v1/receipts/generic", {"x-fahrplan-timestamp": at, "x-fahrplan-signature": signature}, body)


def main(program):
    program = str(Path(program).resolve())
    gateway, handed = provider()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, text in [("schema.journey", SCHEMA), ("journeys/asked.journey", JOURNEY), ("people.csv", PEOPLE),
                           ("templates/hello/sms.en.txt.hbs", "Hello, you are {{contact.plan}}."),
                           ("fahrplan.toml", '[project]\nname = "gateway"\n[smtp]\nfrom = "Shop <news@example.org>"\n')]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        env = dict(os.environ, FAHRPLAN_DATABASE_URL=f"sqlite:{folder}/gateway.db", FAHRPLAN_HTTP_LISTEN=f"127.0.0.1:{port}", NO_COLOR="1",
                   FAHRPLAN_SMTP_URL="smtp://127.0.0.1:1", FAHRPLAN_REQUESTS_ALLOW="127.0.0.1", FAHRPLAN_SECRET_RECEIPTS="siegel")

        def cli(*args):
            return subprocess.run([program, *args], cwd=folder, env=env, capture_output=True, text=True)

        missing = cli("deploy", "--yes")
        assert missing.returncode == 1 and "the secret `sms` cannot be had" in missing.stderr, missing
        env["FAHRPLAN_SECRET_SMS"] = f"twilio://AC1:geheim@127.0.0.1:{gateway}?from=+4930123"
        for args in [("deploy", "--yes"), ("import", "contacts", "people.csv")]:
            done = cli(*args)
            assert done.returncode == 0, done
        log = open(folder / "log", "wb")
        daemon = subprocess.Popen([program, "serve", "--allow-root"], cwd=folder, env=env, stdout=log, stderr=log)
        try:
            for n in (1, 2, 3):
                done = cli("enroll", f"u{n}", "asked")
                assert done.returncode == 0, done
            database = sqlite3.connect(f"file:{folder}/gateway.db?mode=ro", uri=True)
            query = lambda sql: database.execute(sql).fetchall()
            until("three messages", lambda: query("SELECT state, result FROM deliveries") == [("accepted", "SM1")] * 3)
            doors, reports = Doors(port), {}
            for path, login, form in handed:
                assert path == "/2010-04-01/Accounts/AC1/Messages.json" and login == "Basic QUMxOmdlaGVpbQ=="
                assert (form["From"], form["Body"]) == ("+4930123", "Hello, you are free."), form
                reports[form["To"]] = form["StatusCallback"].removeprefix(doors.base)
            one, two, three = (reports[f"+491510000000{n}"] for n in (1, 2, 3))

            assert doors.twilio(one, {"MessageStatus": "delivered"}, "geraten") == 401
            for _ in range(2):
                assert doors.twilio(one, {"MessageStatus": "delivered"}) == 200
            assert doors.twilio(three, {"MessageStatus": "undelivered", "ErrorCode": "30005"}) == 200
            items = [{"id": two.split("=")[1], "outcome": "delivered"}, {"id": "dl_0", "outcome": "failed"}]
            assert doors.generic(items, "falsch")[0] == 401 and doors.generic(items, late=400)[0] == 401
            assert doors.generic(items) == (200, '{"accepted":1,"repeated":0,"unknown":1}')
            assert doors.generic(items) == (200, '{"accepted":0,"repeated":1,"unknown":1}')
            heard = "SELECT COUNT(*) FROM history WHERE notes LIKE '%delivered%'"
            until("both reports heard", lambda: query(heard)[0][0] >= 2)

            inbound = lambda sid, sender, text: doors.twilio("/v1/receipts/twilio", {"MessageSid": sid, "From": sender, "Body": text})
            assert [inbound("SM7", "+4999", "Hallo?"), inbound("SM8", "+4915100000001", "Gut so"), inbound("SM9", "+4915100000002", "Stopp!")] == [200] * 3
            until("an answer", lambda: any("Gut so" in attributes for attributes, in query("SELECT attributes FROM contacts")))
            wanted = [("+49 151 00000002", "unsubscribe"), ("+49 151 00000003", "bounce")]
            until("no more to two", lambda: sorted(query("SELECT address, reason FROM suppressions")) == wanted)
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
        text = (folder / "log").read_text()
        assert not any(word in text for word in ["geheim", "+4915", "Gut so"]), "a secret, a number or a text stands in the log"
    print(json.dumps({"messages": len(handed), "suppressed": len(wanted)}))


if __name__ == "__main__":
    main(sys.argv[1])
