"""Letters for a print shop, from the hour of their batch to what comes back, while the daemon is killed between all steps.

usage: letters.py PROGRAM [LETTERS [sqlite|postgres|both]]. Everybody has one page with their address and their code, in a folder that is the same byte for byte
after each kill (kill -9) and when it is written again; a code counts once, however it comes back; a returned letter marks its address.
"""

import csv, os, shutil, sqlite3, subprocess, sys, tempfile, urllib.error, urllib.request
from collections import Counter
from pathlib import Path

from _letters import add_letters, add_template, await_, batches, print_with_kills
from _load import argument, databases
from _postgres import Postgres
from _shop import Shop, ms, rfc3339

START, HOUR = "2026-05-04T10:00:00Z", "2026-05-04T14:00:01Z"
JOURNEY = """event went_away "Has not been seen for a while" { reason: text? }
journey winback_letter "A letter to whoever is gone" {
  purpose transactional because "asks what went wrong"
  enter on went_away
  reenter never
  lasts up to 60 days
  send letter we_miss_you as paper
  wait up to 30 days for paper.replied, paper.bounced
  if paper.replied {
    exit as answered
  }
  if paper.bounced {
    exit as returned
  }
  exit as silent
}
"""
# Whoever reads pictures of codes, and how many are looked at: each is drawn anew.
READER, PICTURES = ("zxing-cpp==2.3.0", "pillow==11.3.0"), 20
NAMES = ["Łukasz", "Jürgen", "Zoë", "Ağaoğlu", "Søren", "Ρένα", "=Anna", "O'Neil", "Anne-Marie", "Дарья"]


def main(program, count, database):
    postgres = Postgres() if database == "postgres" else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(program, folder, count, postgres)
    finally:
        if postgres:
            postgres.stop()


def run(program, folder, count, postgres):
    name, url = postgres.new() if postgres else (None, None)
    shop = Shop(program, folder, START, url)
    if postgres:
        # What a process that was killed holds is free when the time of its hold is over.
        shop.env["FAHRPLAN_TEST_LEASE_MS"] = "2000"
    shop.query = lambda sql: postgres.query(sql, name) if postgres else query_file(f"{shop.folder}/shop.db", sql)
    try:
        add_letters(shop)
        add_template(shop, "we_miss_you", "Wir vermissen dich", "Hallo {{default contact.first_name 'du'}},\n\nschau vorbei: {{links.response}}\n\n- **Code**: {{links.response_code}}\n")
        (shop.project / "journeys" / "winback_letter.journey").write_text(JOURNEY)
        shop.cli("deploy", "--yes")
        play(shop, count)
    finally:
        shop.close()


def query_file(file, sql):
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as db:
        return db.execute(sql).fetchall()


def play(shop, count):
    shop.serve()
    at, people = rfc3339(shop.now), [f"p{n}" for n in range(count)]
    traits = lambda n: {"first_name": NAMES[n % len(NAMES)], "postal": f"Beispielstraße {n}, {10000 + n} Berlin"}
    batch = [{"type": "identify", "userId": p, "messageId": f"i{p}", "timestamp": at, "traits": traits(n)} for n, p in enumerate(people)]
    batch += [{"type": "track", "userId": p, "messageId": f"t{p}", "timestamp": at, "event": "went_away", "properties": {}} for p in people]
    shop.deliver(batch)
    shop.settle()
    folder = print_with_kills(shop, ms(HOUR))
    with open(folder / "addresses.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count and len({row["code"] for row in rows}) == count and len(list(folder.iterdir())) == count + 1, len(rows)
    streets = {row["line_2"]: row for row in rows}
    assert set(streets) == {f"Beispielstraße {n}" for n in range(count)}
    if shutil.which("pdftotext"):
        for row in rows:
            text = subprocess.run(["pdftotext", "-layout", str(folder / row["file"]), "-"], capture_output=True, text=True, check=True).stdout
            lines = [line.strip() for line in text.splitlines()]
            block = [row[f"line_{n}"].removeprefix("'") for n in (1, 2, 3)]
            assert any(lines[n : n + 3] == block for n in range(len(lines))), (block, lines[:12])
            assert text.count(row["code"]) == 2 and row["code"].replace("-", "") in text, text
    seen = look_at_pictures(shop, folder, rows[:PICTURES])
    answer(shop, [streets[f"Beispielstraße {n}"] for n in range(count)])
    ended = lambda: Counter(dict(shop_ends(shop)).values())
    # What the command takes in is of the machine's time, which is long after this journey: of that letter only the address is looked at.
    await_("the outcomes", lambda: ended()["answered"] == 3 and ended()["returned"] == 1)
    assert sum(ended().values()) == 4, ended()
    # A letter to the address that was marked is not even made.
    shop.deliver([{"type": "identify", "userId": "lodger", "messageId": "il", "timestamp": rfc3339(shop.now), "traits": {"postal": "Beispielstraße 4, 10004 Berlin"}},
                  {"type": "track", "userId": "lodger", "messageId": "tl", "timestamp": rfc3339(shop.now), "event": "went_away", "properties": {}}])
    shop.settle()
    assert batches(shop)["waiting"] == 0
    print(f"{count} letters, 4 kills: one folder, the same each time; {seen} pictures of codes read; 3 answers and 2 returns, each once", flush=True)


def shop_ends(shop):
    return shop.query("""SELECT enrollments.id, names.name FROM enrollments JOIN names ON names.id = enrollments.reason
                         WHERE enrollments.ended_at IS NOT NULL AND names.name IN ('answered', 'returned', 'silent')""")


def reader_of_codes():
    """Reads the pictures of codes on a page, if somebody who can is there or can be had: not ours, so that it is what a phone does."""
    try:
        import zxingcpp
    except ImportError:
        place = Path(os.environ.get("FAHRPLAN_TEST_CLIENTS") or tempfile.mkdtemp(prefix="fahrplan-codes-")) / "codes"
        if not place.exists():
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", place, *READER], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sys.path.insert(0, str(place))
        try:
            import zxingcpp
        except ImportError:
            return None
    from PIL import Image
    return lambda picture: [found.text for found in zxingcpp.read_barcodes(Image.open(picture))]


def look_at_pictures(shop, folder, rows):
    """The picture on each page leads to the page of its code."""
    read = shutil.which("pdftoppm") and reader_of_codes()
    if not read:
        print("the pictures of codes were not looked at: pdftoppm or zxing-cpp is missing", flush=True)
        return 0
    for row in rows:
        picture = shop.folder / "page"
        subprocess.run(["pdftoppm", "-r", "100", "-png", "-singlefile", str(folder / row["file"]), str(picture)], check=True)
        found = read(f"{picture}.png")
        assert found == [f"http://127.0.0.1:{shop.port}/a/{row['code'].replace('-', '')}"], (row["code"], found)
    return len(rows)


def page(shop, code, method):
    request = urllib.request.Request(f"http://127.0.0.1:{shop.port}/a/{code}", method=method, data=b"" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def answer(shop, rows):
    """Two codes by the page, one by a shop's till, two letters back."""
    first, second, third = (rows[n]["code"] for n in range(3))
    assert page(shop, "AAAA-AAAA-AAAA", "GET")[0] == 404 and page(shop, "x", "POST")[0] == 404
    for _ in range(3):
        status, text = page(shop, first.lower(), "GET")
        assert status == 200 and first in text and "<form" in text, text
    for _ in range(2):
        assert page(shop, first, "POST")[0] == 200
    assert "<form" not in page(shop, first, "GET")[1]
    assert page(shop, second.replace("-", ""), "POST")[0] == 200
    status, told = shop.post("/v1/responses", [{"code": third}, {"code": first}, {"code": "nonsense"}, {"code": third}])
    assert (status, told) == (200, {"accepted": 1, "repeated": 2, "unknown": [2]}), (status, told)
    status, told = shop.post("/v1/receipts/letters", {"id": rows[3]["delivery"], "reason": "moved"})
    assert (status, told["accepted"]) == (200, 1), told
    status, told = shop.post("/v1/receipts/letters", [{"code": rows[3]["code"]}, {"id": "dl_nothing"}])
    assert (status, told["accepted"], told["unknown"]) == (200, 0, [1]), told
    returns = shop.folder / "returns.csv"
    returns.write_text(f"code,reason\n{rows[4]['code']},unknown\nnonsense,x\n")
    said = shop.cli("import", "returns", str(returns), ok=(0, 1))
    assert "1 letter marked as returned" in said and "line 3" in said, said


if __name__ == "__main__":
    for database in databases(3, "sqlite"):
        main(sys.argv[1], argument(2, 100), database)
