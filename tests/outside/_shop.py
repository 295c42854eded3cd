"""The shipped program, run from outside: a copy of the shop in journeys/, a real SMTP server that is not ours, HTTP doors.

The journey clock is a file (`serve --clock FILE --really-send`), so a run of weeks takes minutes and comes out the same each time: the driver
posts what happens, waits until the daemon has nothing left to do at that moment, and moves on to the next moment at which
something happens or falls due.
"""

import base64, email, email.policy, gzip, json, os, shutil, signal, socket, subprocess, threading, time, urllib.error, urllib.request
from datetime import datetime, timezone
from pathlib import Path

from aiosmtpd.controller import Controller

ROOT = Path(__file__).resolve().parents[2]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def ms(text):
    """Milliseconds since the epoch of an RFC 3339 moment."""
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def rfc3339(at):
    return datetime.fromtimestamp(at / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sink:
    """An SMTP server that keeps what it accepts: (recipient, template, Message-ID, the journey time then, the mail)."""

    def __init__(self, shop):
        self.shop, self.mails, self.lock = shop, [], threading.Lock()
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port(), data_size_limit=2**25)
        self.controller.start()
        self.port = self.controller.port

    def stop(self):
        if self.controller:
            self.controller.stop()
            self.controller = None

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        template = mail["Feedback-ID"].split(":")[0]
        with self.lock:
            self.mails.append((envelope.rcpt_tos[0], template, mail["Message-ID"], self.shop.now, mail))
        return "250 kept"


class Shop:
    def __init__(self, program, folder, start, database=None):
        self.program, self.folder = str(Path(program).resolve()), Path(folder)
        self.project = self.folder / "journeys"
        shutil.copytree(ROOT / "journeys", self.project)
        self.clock, self.port, self.process = self.folder / "clock", free_port(), None
        self.now = ms(start)
        self.set_clock(self.now)
        self.sink = Sink(self)
        self.log = open(self.folder / "log", "ab")
        self.env = dict(os.environ, FAHRPLAN_DATABASE_URL=database or f"sqlite:{self.folder}/shop.db",
                        FAHRPLAN_HTTP_LISTEN=f"127.0.0.1:{self.port}", FAHRPLAN_HTTP_PUBLIC_URL=f"http://127.0.0.1:{self.port}",
                        FAHRPLAN_SMTP_URL=f"smtp://127.0.0.1:{self.sink.port}", FAHRPLAN_LOG="info", NO_COLOR="1",
                        FAHRPLAN_SECRET_SMS_GATEWAY="https://nobody:nothing@gateway.example.org/sms")
        self.cli("deploy", "--yes")
        self.key = self.cli("key", "create", "--scope", "ingest").split()[-1]

    def cli(self, *args, ok=(0,)):
        done = subprocess.run([self.program, *args], cwd=self.project, env=self.env, capture_output=True, text=True)
        assert done.returncode in ok, f"fahrplan {' '.join(args)} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def set_clock(self, at):
        # First what the sink writes down: the daemon may see the file, and its mail come in, before this thread goes on.
        self.now = at
        beside = self.folder / "clock.new"
        beside.write_text(rfc3339(at))
        beside.rename(self.clock)

    def serve(self):
        self.process = subprocess.Popen([self.program, "serve", "--allow-root", "--clock", str(self.clock), "--really-send"], cwd=self.project, env=self.env,
                                        stdout=self.log, stderr=self.log)
        for _ in range(600):
            try:
                if self.get("/readyz")[0] == 200:
                    return self
            except OSError:
                pass
            assert self.process.poll() is None, "the daemon ended:\n" + (self.folder / "log").read_text()[-3000:]
            time.sleep(0.02)
        raise AssertionError("not ready within 12 s:\n" + (self.folder / "log").read_text()[-3000:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.sink.stop()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()

    def post(self, path, body, zipped=False):
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        headers = {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(f"{self.key}:".encode()).decode()}
        if zipped:
            data, headers["Content-Encoding"] = gzip.compress(data), "gzip"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def backlog(self):
        """What is left to do at this moment, and when something falls due next (None: never)."""
        _, text = self.get("/metrics")
        values = {}
        for line in text.splitlines():
            if line.startswith("fahrplan_backlog") or line.startswith("fahrplan_next_due_ms"):
                name, value = line.rsplit(" ", 1)
                values[name] = int(float(value))
        due = values.pop("fahrplan_next_due_ms")
        return sum(values.values()), (due if due > 0 else None)

    def settle(self, patience=60):
        """Waits until nothing is left to do at this moment; gives the next moment at which something falls due."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                left, due = self.backlog()
                if left == 0 and (due is None or due > self.now):
                    return due
            except OSError:
                pass  # being restarted
            time.sleep(0.002)
        raise AssertionError(f"still busy after {patience} s: {self.backlog()}")

    def play(self, happenings, until, patience=60):
        """Plays (moment, item) in order and everything that falls due, to the moment `until`."""
        happenings, at = sorted(happenings, key=lambda h: h[0]), 0
        due = self.settle(patience)
        while True:
            candidates = [until] + ([happenings[at][0]] if at < len(happenings) else []) + ([due] if due else [])
            self.set_clock(max(self.now, min(candidates)))
            batch = []
            while at < len(happenings) and happenings[at][0] <= self.now:
                batch.append(happenings[at][1])
                at += 1
            self.deliver(batch)
            due = self.settle(patience)
            if self.now >= until and at == len(happenings):
                return

    def deliver(self, batch):
        """Posts items until they are acknowledged; a repeat after a lost answer is dropped by its messageId."""
        for i in range(0, len(batch), 100):
            for _ in range(200):
                try:
                    status, answer = self.post("/v1/batch", {"batch": batch[i:i + 100]})
                    assert status == 200 and not answer.get("rejections"), answer
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                raise AssertionError("the door stays shut")
