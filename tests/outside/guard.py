"""Requests go to nobody inside: a journey asks for this machine in sixty spellings, by redirects and with a proxy in the environment,
and nobody knocks at the canary. One that is allowed is asked, so requests do leave.

usage: guard.py PROGRAM
"""

import json, os, socket, sqlite3, subprocess, sys, tempfile, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOSTS = """127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 017700000001 0177.0.0.1 0x7f000001 0x7f.1 0x7f.0.0.0x1 127.0.0.1. 0 0.0.0.0 0x0 127%2E0.0.1
127.0.0.3 127.2 example.org@127.0.0.1 a:b@127.1 localhost LOCALHOST localhost. [::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1]
[::ffff:0:7f00:1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::] 10.0.0.1 0x0a000001 172.16.0.1 172.31.255.255 192.168.1.1
3232235777 100.64.0.1 169.254.169.254 2852039166 168.63.129.16 [fd00:ec2::254] [fe80::1] [fec0::1] 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 240.0.0.1 255.255.255.255 [ff02::1] [2001:db8::1] [100::1]""".split()
# The server that is allowed answers these with a redirect to the canary.
REDIRECTS = [301, 302, 303, 307, 308]


class Canary:
    """Counts who connects, on IPv4 and IPv6."""

    def __init__(self):
        self.count, self.sockets = 0, []
        four = socket.create_server(("127.0.0.1", 0))
        self.port = four.getsockname()[1]
        self.sockets.append(four)
        for address in ["127.0.0.3", "127.255.255.254"]:
            self.sockets.append(socket.create_server((address, self.port)))
        if socket.has_ipv6:
            try:
                self.sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
            except OSError:
                print("no IPv6 here")
        for listening in self.sockets:
            threading.Thread(target=self.accept, args=(listening,), daemon=True).start()

    def accept(self, listening):
        while True:
            connection, _ = listening.accept()
            self.count += 1
            connection.close()


def friend(canary):
    """A server on an address of its own that is allowed."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append((self.path, self.headers["idempotency-key"]))
            status = int(self.path.strip("/") or 200)
            self.send_response(status)
            if status != 200:
                self.send_header("location", f"http://127.0.0.1:{canary.port}/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], asked


def project(folder, urls):
    lines = ["contact { email: email? }", 'channel email { sends "smtp", address contact.email, class message }']
    lines += [f'endpoint e{n} {{ url "secret:e{n}", timeout 5 seconds, retries 0 }}' for n in range(len(urls))]
    (folder / "schema.journey").write_text("\n".join(lines) + "\n")
    (folder / "journeys").mkdir()
    steps = "\n".join(f"  request e{n} with {{ n: {n} }}" for n in range(len(urls)))
    head = '  purpose transactional because "a test"\n  reenter never\n  lasts up to 30 days\n  enter by start\n'
    (folder / "journeys" / "asking.journey").write_text(f'journey asking "Asking" {{\n{head}{steps}\n  exit as done\n}}\n')
    (folder / "fahrplan.toml").write_text('[project]\nname = "guard"\n[smtp]\nfrom = "Shop <news@example.org>"\n')
    (folder / "people.csv").write_text("user_id,email\nu1,ada@example.org\n")


def main(program):
    program, canary = str(Path(program).resolve()), Canary()
    port, asked = friend(canary)
    urls = [f"http://{host}:{canary.port}/" for host in HOSTS]
    urls += [f"http://127.0.0.2:{port}/{status}" for status in REDIRECTS]
    urls += ["ftp://127.0.0.1/", "file:///etc/passwd", f"http://127.0.0.2:{port}/"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        project(folder, urls)
        env = dict(os.environ, FAHRPLAN_DATABASE_URL=f"sqlite:{folder}/guard.db", FAHRPLAN_HTTP_LISTEN="127.0.0.1:0", NO_COLOR="1",
                   FAHRPLAN_SMTP_URL="smtp://127.0.0.1:1", FAHRPLAN_REQUESTS_ALLOW=f"127.0.0.2:{port}")
        env.update({f"FAHRPLAN_SECRET_E{n}": url for n, url in enumerate(urls)})
        proxy = f"http://127.0.0.1:{canary.port}"
        env.update({"http_proxy": proxy, "HTTP_PROXY": proxy, "ALL_PROXY": proxy, "all_proxy": proxy})

        def cli(*args):
            done = subprocess.run([program, *args], cwd=folder, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"

        cli("deploy", "--yes")
        cli("import", "contacts", "people.csv")
        log = open(folder / "log", "wb")
        daemon = subprocess.Popen([program, "serve", "--allow-root"], cwd=folder, env=env, stdout=log, stderr=log)
        try:
            cli("enroll", "u1", "asking")
            database = sqlite3.connect(f"file:{folder}/guard.db?mode=ro", uri=True)
            deadline, states = time.monotonic() + 120, {}
            while states.get("accepted") != 1:
                assert daemon.poll() is None, (folder / "log").read_text()[-3000:]
                assert time.monotonic() < deadline, states
                time.sleep(0.2)
                states = dict(database.execute("SELECT state, COUNT(*) FROM deliveries GROUP BY state"))
            log_text = (folder / "log").read_text()
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
    assert states == {"accepted": 1, "refused": len(urls) - 1}, states
    assert canary.count == 0, f"{canary.count} connections to the canary"
    assert sorted(path for path, _ in asked) == sorted([f"/{status}" for status in REDIRECTS] + ["/"]), asked
    assert len({key for _, key in asked}) == len(asked) and all(key.startswith("dl_") for _, key in asked)
    assert str(canary.port) not in log_text, "an address that is a secret stands in the log"
    print(json.dumps({"spellings": len(HOSTS), "redirects": len(REDIRECTS), "knocks": canary.count, "asked": len(asked)}))


if __name__ == "__main__":
    main(sys.argv[1])
