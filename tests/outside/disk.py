"""The disk of a SQLite database is filled to the last byte and freed again, several times under load: it says so, and goes on by itself. On
a disk that the log of writes alone could fill, too. And where the database itself outgrows its disk, it says how much room it wants, and goes
on when it has that.

usage: disk.py PROGRAM [TIMES [MIB]]: on a disk of that size, or all of it. The disk is a small tmpfs, which takes root to mount; where that
cannot be, this says loudly that nothing was tried.
"""

import os, re, sqlite3, subprocess, sys, tempfile, time
from contextlib import contextmanager
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


def close_books(house, load, worker):
    """Ends the load and the daemon, and compares the books; a line of figures. The file has to be whole."""
    load.stopped.set()
    load.join()
    states = house.settle(len(load.acknowledged))
    line = reckon(house, load, ())
    assert worker.stop()[0] == 0, "it did not stop as asked"
    with sqlite3.connect(house.file) as db:
        sound = db.execute("PRAGMA integrity_check").fetchall()
    assert sound == [("ok",)], sound
    return f"{line}; integrity ok; {states}"


def run(program, mib, times, place):
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
        books = close_books(house, load, worker)
        print(f"{mib} MiB, {times} times full: {books}; goes on after at most {slowest:.2f} s; refused meanwhile: {dict(load.refusals)}")
        assert set(load.refusals) <= {503, 507}, "a full disk is answered otherwise than it should"
        compare("going on", slowest, SECONDS)


def outgrow(program, place, disk):
    """The database fills its disk by itself; then somebody makes as much room as it asks for, and then a larger disk."""
    with open_house(program, "sqlite", 40_000, Relay(), place=place) as house:
        worker = house.serve()
        load = Load(house, 4_000, batch=100)
        load.start()
        ballast, begun = [Path(place) / f"ballast{n}" for n in range(4)], time.monotonic()
        for piece in ballast:
            piece.write_bytes(b"\0" * (1 << 20))
        while not (told := re.search(r"(\d+) MB at least", worker.get("/readyz")[1])):
            assert time.monotonic() - begun < 300 and load.is_alive(), f"the disk does not fill\n{worker.tail()}"
            time.sleep(0.1)
        wanted = int(told[1])
        assert wanted <= len(ballast), f"it asks for more than its log is long: {told[0]}"
        stored = len(load.acknowledged)
        for piece in ballast[:wanted]:
            piece.unlink()
        while len(load.acknowledged) == stored:
            assert time.monotonic() - begun < 330, f"as much was freed as it asked for, and it does not go on\n{worker.tail()}"
            time.sleep(0.01)
        while worker.get("/readyz")[0] == 200 or "MB at least" not in worker.get("/readyz")[1]:
            assert time.monotonic() - begun < 360 and load.is_alive(), f"the disk does not fill again\n{worker.tail()}"
            time.sleep(0.1)
        full = Path(house.file).stat().st_size
        subprocess.run(["mount", "-o", f"remount,size={disk * 8}m", place], check=True)
        larger, stored = time.monotonic(), len(load.acknowledged)
        while len(load.acknowledged) == stored:
            assert time.monotonic() - larger < 30, f"the disk is larger, and it does not go on\n{worker.tail()}"
            time.sleep(0.01)
        waited = time.monotonic() - larger
        books = close_books(house, load, worker)
        print(f"outgrown at {full >> 20} of {disk} MiB, {wanted} MB asked for: {books}; goes on after {waited:.2f} s")
        compare("going on", waited, SECONDS)


@contextmanager
def disk(mib):
    """A small disk; nothing where it cannot be mounted."""
    place = tempfile.mkdtemp(prefix="fahrplan-disk-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        os.rmdir(place)
        print(f"!!! NOT TRIED: a full disk. A tmpfs cannot be mounted here: {mounted.stderr.strip()}")
        sys.exit()
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        os.rmdir(place)


def main(program, times, mib):
    for size in [mib] if mib else [160, 48]:
        with disk(size) as place:
            run(program, size, times, place)
    if not mib:
        with disk(24) as place:
            outgrow(program, place, 24)


if __name__ == "__main__":
    main(sys.argv[1], argument(2, 6), argument(3, 0))
