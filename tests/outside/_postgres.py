"""A private PostgreSQL for one run: made in a folder of its own, killed and started again as often as a run likes."""

import json, os, pwd, re, shutil, signal, socket, subprocess, tempfile, time
from pathlib import Path

SETTINGS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name)))
    assert versions, "PostgreSQL is not installed: apt-get install postgresql"
    return str(versions[-1] / name)


class Postgres:
    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="fahrplan-postgres-"))
        self.data, self.port, self.made = self.home / "data", free_port(), 0
        self.as_other = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.as_other:
            os.chown(self.home, pwd.getpwnam("postgres").pw_uid, -1)
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8")
        self.start()

    def run(self, name, *args):
        done = subprocess.run([*self.as_other, program(name), *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, cwd="/", text=True)
        assert done.returncode == 0, f"{name} failed: {done.stderr}"

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.home / "log", "-o", f"-p {self.port} {SETTINGS}", "start")

    def kill(self):
        """kill -9 for the postmaster; its children follow as soon as they see it."""
        number = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGKILL)
        while Path(f"/proc/{number}").exists() and Path(f"/proc/{number}/stat").read_text().split(")")[1].split()[0] != "Z":
            time.sleep(0.01)

    def restart(self):
        """Again after a kill: a new postmaster starts only when the last child of the former one is gone."""
        for _ in range(100):
            try:
                return self.start()
            except AssertionError:
                time.sleep(0.1)
        self.start()

    def stop(self):
        try:
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def query(self, sql, database="postgres"):
        """The rows as lists."""
        done = subprocess.run([program("psql"), "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database,
                               "-v", "ON_ERROR_STOP=1", "-c", f"SELECT row_to_json(row) FROM ({sql}) AS row"], capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.stderr)
        return [list(json.loads(line).values()) for line in done.stdout.splitlines()]

    def transactions(self, database):
        """Those that are open at this moment."""
        return {tuple(row) for row in self.query("SELECT pid, xact_start FROM pg_stat_activity WHERE xact_start IS NOT NULL "
                                                 "AND datname = current_database() AND pid <> pg_backend_pid()", database)}

    def new(self):
        """A new database: its name and URL."""
        self.made += 1
        name = f"run{self.made}"
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", name)
        return name, f"postgres://postgres@127.0.0.1:{self.port}/{name}"
