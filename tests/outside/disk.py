"""The disk of a SQLite database is filled to the last byte and freed again, several times under load: it says so, and goes on by itself.

usage: disk.py PROGRAM [TIMES [MIB]]. The disk is a small tmpfs, which takes root to mount; where that cannot be, this says loudly that nothing was tried.
"""

import os, sqlite3, subprocess, sys, tempfile, time
from pathlib import Path

from _load import Load, Relay, argument, compare, open_house, reckon

RATE, SECONDS = 200, 10


def fill(path):
    """Takes what is left of the disk."""
    with open(path, "ab", buffering=0) as file:
        for piece in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * piece)
            except OSError:
                pass


def run(program, times, place):
    with open_house(program, "sqlite", (times * 9 + 8) * RATE // 2, Relay(delay=0.005), place=place) as house:
        worker = house.serve()
        load, slowest, filler = Load(house, RATE), 0.0, Path(place) / "filler"
        load.start()
        for _ in range(times):
            time.sleep(1)
            fill(filler)
            begun, noticed = time.monotonic(), sum(load.refusals.values())
            while time.monotonic() - begun < 5 and sum(load.refusals.values()) < noticed + 3:
                fill(filler)                # what a checkpoint gives back is taken too
                time.sleep(0.1)
            assert sum(load.refusals.values()) > noticed, "the disk is full and nobody is told so"
            assert worker.process.poll() is None, f"the daemon ended:\n{worker.tail()}"
            status, said = worker.get("/readyz")
            assert status == 503 and "database-full" in said, f"it is ready on a full disk: {status} {said}"
            filler.unlink()
            freed, stored, came = time.monotonic(), len(load.acknowledged), len(house.relay.kept)
            while len(load.acknowledged) == stored or len(house.relay.kept) == came:
                assert time.monotonic() - freed < 30, f"it does not go on\n{worker.tail()}"
                time.sleep(0.01)
            slowest = max(slowest, time.monotonic() - freed)
            while worker.get("/readyz")[0] != 200:
                assert time.monotonic() - freed < 30, f"it is not ready again\n{worker.tail()}"
                time.sleep(0.1)
        assert load.is_alive(), "the load ended before the faults"
        load.stopped.set()
        load.join()
        states = house.settle(len(load.acknowledged))
        line = reckon(house, load, ())
        assert worker.stop()[0] == 0, "it did not stop as asked"
        with sqlite3.connect(house.file) as db:
            sound = db.execute("PRAGMA integrity_check").fetchall()
        print(f"{times} times full: {line}; integrity {sound[0][0]}; goes on after at most {slowest:.2f} s; {states}; refused meanwhile: {dict(load.refusals)}")
        assert sound == [("ok",)], sound
        assert set(load.refusals) <= {503, 507}, "a full disk is answered otherwise than it should"
        compare("going on", slowest, SECONDS)


def main(program, times, mib):
    place = tempfile.mkdtemp(prefix="fahrplan-disk-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        os.rmdir(place)
        return print(f"!!! NOT TRIED: a full disk. A tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        run(program, times, place)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        os.rmdir(place)


if __name__ == "__main__":
    main(sys.argv[1], argument(2, 6), argument(3, 160))
