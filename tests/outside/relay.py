"""A relay that misbehaves in every way, and a daemon that is killed meanwhile: each mail arrives, or is refused with its reason.

usage: relay.py PROGRAM [MAILS [KILLS]]. The relay answers in pieces and late, puts recipients off, refuses some, says 421, hangs up in the
greeting, at DATA, in the body and after it has kept a mail, and keeps nobody's word for it. It is marketing: what the relay kept without
an answer, or was on its way at a kill, is never sent again by itself, but listed. Who looks into the relay's books decides: what is
there counts as sent, what is not is sent again. So each mail comes once.
"""

import asyncio, json, os, random, re, signal, sqlite3, subprocess, sys, tempfile, threading, time
from collections import Counter, defaultdict
from pathlib import Path

EVENT = '{"type":"track","userId":"u%d","event":"signed_up","messageId":"m%d","properties":{"source":"web"}}\n'


class Relay:
    """For each recipient the mails that were kept: (Message-ID, To, bytes, whether that was told)."""

    def __init__(self):
        self.kept, self.did, self.chance, self.deferring = defaultdict(list), Counter(), random.Random(7), True
        self.loop = asyncio.new_event_loop()
        server = self.loop.run_until_complete(asyncio.start_server(self.talk, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def now_and_then(self, what, odds=0.01):
        happens = self.chance.random() < odds
        self.did[what] += happens
        return happens

    async def talk(self, reader, writer):
        in_pieces = self.now_and_then("answers in pieces", 0.3)

        async def say(text):
            data = (text + "\r\n").encode()
            for piece in [data[i:i + 1] for i in range(len(data))] if in_pieces else [data]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

        try:
            await self.dialogue(reader, say)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def dialogue(self, reader, say):
        if self.now_and_then("hangs up in the greeting", 0.02):
            return
        await say("220-hello\r\n220 there")
        pipelining = "250-PIPELINING\r\n" if self.chance.random() < 0.7 else ""
        to = None
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "EHLO":
                await say(f"250-relay\r\n{pipelining}250-8BITMIME\r\n250 SIZE 10000000")
            elif verb == "MAIL":
                to = None
                if self.now_and_then("goes down"):
                    return await say("421 4.3.2 going down")
                await say("250 ok")
            elif verb == "RCPT":
                address = re.search("<(.*?)>", line)[1]
                if address.startswith("bad"):
                    await say("550 5.1.1 nobody of that name")
                elif self.deferring and self.now_and_then("puts off", 0.5):
                    await say("451 4.7.1 come back later")
                else:
                    to = address
                    await say("250 ok")
            elif verb == "DATA":
                if not to:
                    await say("503 5.5.1 no recipient")
                elif self.now_and_then("hangs up at DATA") or not await self.body(reader, say, to):
                    return
            elif verb == "QUIT":
                return await say("221 bye")
            else:
                await say("250 ok")

    async def body(self, reader, say, to):
        await say("354 go")
        if self.now_and_then("hangs up in the body"):
            return False
        body = b""
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                return False
            body += line
        header = lambda name: re.search(rb"(?mi)^%s: *(.*)\r" % name, body)[1].decode()
        if self.now_and_then("refuses after the dot for now"):
            await say("451 4.3.0 try later")
            return True
        mail = [header(b"message-id"), header(b"to"), body, False]
        self.kept[to].append(mail)
        if self.now_and_then("keeps and hangs up"):
            return False
        if self.now_and_then("takes its time"):
            await asyncio.sleep(1)
        await say("250 2.0.0 kept")
        mail[3] = True
        return True


class Daemon:
    def __init__(self, program, folder, relay):
        self.program, self.folder = str(Path(program).resolve()), Path(folder)
        self.env = dict(os.environ, FAHRPLAN_SMTP_URL=f"smtp://127.0.0.1:{relay.port}", FAHRPLAN_HTTP_LISTEN="127.0.0.1:0", FAHRPLAN_LOG="error")

    def cli(self, *args):
        return subprocess.run([self.program, *args], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def start(self):
        self.process = subprocess.Popen([self.program, "serve", "--allow-root"], cwd=self.folder, env=self.env)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def query(self, sql):
        with sqlite3.connect(next(self.folder.glob("*.db")), timeout=60) as db:
            return db.execute(sql).fetchall()


def prepare(daemon, mails):
    daemon.cli("init")
    policies = daemon.folder / "policies.journey"
    rules = policies.read_text().splitlines(True)
    policies.write_text("".join(rule for rule in rules if not rule.strip().startswith(("quiet hours", "cap"))))
    daemon.cli("deploy", "--yes")
    address = lambda i: f"{'bad' if i % 50 == 0 else 'good'}{i}@example.org"
    people = "".join(f"u{i},{address(i)},N{i},yes\n" for i in range(mails))
    (daemon.folder / "people.csv").write_text("user_id,email,first_name,consent_marketing_email\n" + people)
    (daemon.folder / "events.jsonl").write_text("".join(EVENT % (i, i) for i in range(mails)))
    daemon.cli("import", "contacts", "people.csv")
    daemon.cli("import", "events", "events.jsonl", "--live")
    return {address(i) for i in range(mails)}


def decide(daemon, relay):
    """Says of each mail in doubt what became of it; how many there were."""
    lines = json.loads(daemon.cli("deliveries", "list", "--state", "unknown", "--limit", "1000000", "--format", "json"))
    kept = {re.match("<(.*?)@", mail[0])[1] for mails in list(relay.kept.values()) for mail in mails}
    for verb, there in (("settle", True), ("resend", False)):
        ids = [line["id"] for line in lines if (line["id"] in kept) == there]
        if ids:
            daemon.cli("deliveries", verb, *ids)
    return len(lines)


def run(daemon, relay, mails, kills):
    """Until every mail has its result; how many were on their way at a kill, and how many came into doubt."""
    daemon.start()
    left, in_doubt, decided, chance, begun = kills, 0, 0, random.Random(kills), time.monotonic()
    while True:
        time.sleep(chance.uniform(0.5, 1.5))
        assert daemon.process.poll() is None, "the daemon ended"
        assert time.monotonic() - begun < 600, "it does not come to an end"
        if left and sum(map(len, relay.kept.values())) > mails * (kills - left) / (kills + 1):
            daemon.kill()
            left -= 1
            in_doubt += daemon.query("SELECT COUNT(*) FROM deliveries WHERE state = 'leased'")[0][0]
            daemon.start()
        states = dict(daemon.query("SELECT state, COUNT(*) FROM deliveries GROUP BY state"))
        if sum(states.values()) == mails and not left and not set(states) - {"accepted", "refused"}:
            return states, in_doubt, decided
        if sum(states.values()) == mails and not left and not set(states) - {"accepted", "refused", "unknown"}:
            decided += decide(daemon, relay)
        # The next try of what was put off is minutes away.
        relay.deferring = relay.deferring and relay.did["puts off"] < mails / 10
        daemon.query("UPDATE deliveries SET again_at = 1 WHERE state = 'deferred'")


def main(program, mails, kills):
    with tempfile.TemporaryDirectory() as folder:
        relay = Relay()
        daemon = Daemon(program, folder, relay)
        addresses = prepare(daemon, mails)
        states, in_doubt, decided = run(daemon, relay, mails, kills)
        daemon.process.terminate()
        assert daemon.process.wait(60) == 0, "it did not stop as asked"
    repeats = sum(len(kept) - 1 for kept in relay.kept.values())
    print(f"{states}, {kills} kills with {in_doubt} on their way, {decided} in doubt, {repeats} repeats; the relay: {dict(relay.did)}")
    assert set(relay.kept) == {address for address in addresses if address.startswith("good")}
    for address, kept in relay.kept.items():
        assert len({(message_id, to, body) for message_id, to, body, _ in kept}) == 1, f"{address} got different mails"
        assert address in kept[0][1], f"{address} got the mail of {kept[0][1]}"
    assert repeats == 0, "marketing came twice"
    assert 0 < decided <= 2 * (relay.did["keeps and hangs up"] + in_doubt), "there is too much doubt, or none"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2_000, int(sys.argv[3]) if len(sys.argv) > 3 else 4)
