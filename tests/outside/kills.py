"""The daemon is killed (kill -9) again and again while the shop runs: nothing is lost and no step is done twice.

usage: kills.py PROGRAM [KILLS [CONTACTS]]. The same happenings are played without and with kills. The histories must be equal. A
transactional mail may come twice if its delivery had an attempt and no result when the daemon was killed, and then with the same
Message-ID. Marketing never comes twice: what was in doubt is listed, and what came and what is listed make up what comes without kills.
"""

import json, random, re, sqlite3, sys, tempfile, threading, time
from collections import Counter

from _people import END, START, open_shop, population
from _shop import ms, rfc3339

IN_DOUBT = "SELECT id FROM deliveries WHERE attempts > 0 AND settled_at IS NULL AND state <> 'unknown'"
ADDRESSES = "SELECT contact, value FROM identities WHERE kind = 3"
HISTORY = """SELECT identities.value, history.notes FROM history
             JOIN identities ON identities.kind = 1 AND identities.contact = history.contact"""
# Which variant somebody gets hangs on an internal id, which differs between two runs.
VARIANT = re.compile(r"welcome_(story|offer)|hello_(story|offer)|news_(beans|people|a|b)\b|\b(story|offer|beans|people)\b")


def number(shown):
    """The number of an id, as it is shown or as a Message-ID is made of it: Crockford's base32."""
    number = 0
    for letter in re.match(r"<?(?:dl|ct)_(\w{13})", shown)[1]:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    return number


def query(shop, sql):
    with sqlite3.connect(f"file:{shop.folder}/shop.db?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def history(shop):
    """What happened to whom, without our internal ids."""
    happened = Counter()
    for who, notes in query(shop, HISTORY):
        for at, _, journey, step, turn, what in json.loads(notes):
            if isinstance(what, dict) and "Queued" in what:
                what["Queued"].pop("delivery", None)
            happened[who, at, VARIANT.sub("variant", json.dumps([journey, step, turn, what], sort_keys=True))] += 1
    return happened


class Killer(threading.Thread):
    """Kills and restarts at random moments until told to stop or done; notes which deliveries were in doubt each time."""

    def __init__(self, shop, kills):
        super().__init__(daemon=True)
        self.shop, self.left, self.in_doubt, self.stopped, self.slowest = shop, kills, Counter(), threading.Event(), 0

    def run(self):
        rng = random.Random(self.left)
        while self.left and not self.stopped.wait(rng.uniform(0.05, 0.8)):
            self.shop.kill()
            self.in_doubt.update(row[0] for row in query(self.shop, IN_DOUBT))
            begun = time.monotonic()
            self.shop.serve()
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.left -= 1


def play(program, lives, kills):
    with tempfile.TemporaryDirectory() as folder:
        shop, stream = open_shop(program, folder, lives)
        killer = Killer(shop, kills)
        killer.start()
        shop.play(stream, END)
        while killer.left and killer.is_alive():     # the play was faster than the killer: it is played in idle too
            time.sleep(0.05)
        killer.stopped.set()
        killer.join()
        shop.settle()
        assert shop.stop() == 0
        happened, kept = history(shop), listed(shop)
        assert shop.cli("deliveries", "settle", "--all").startswith(f"{len(kept)} message"), "not all could be decided"
        assert not listed(shop) and not query(shop, "SELECT id FROM deliveries WHERE settled_at IS NULL"), "something is left open"
        shop.close()
        return happened, shop.sink.mails, killer, kept


def listed(shop):
    """The deliveries in doubt: (recipient, template, moment) by number."""
    addresses = dict(query(shop, ADDRESSES))
    lines = json.loads(shop.cli("deliveries", "list", "--state", "unknown", "--limit", "1000000", "--format", "json"))
    return {number(line["id"]): (addresses[number(line["contact"])], line["template"], ms(line["due_at"])) for line in lines}


def main(program, kills, contacts):
    lives = population(contacts)
    calm, calm_mails, _, none = play(program, lives, 0)
    wild, wild_mails, killer, kept = play(program, lives, kills)
    plain = lambda mails: Counter((to, template, at) for to, template, _, at, _ in mails)
    ids = Counter(message_id for _, _, message_id, _, _ in wild_mails)
    once = plain({mail[2]: mail for mail in reversed(wild_mails)}.values())
    came = {number(message_id) for message_id in ids}
    once.update(mail for id, mail in kept.items() if id not in came)
    print(f"{kills - killer.left} kills, {len(calm_mails)} mails, {len(wild_mails) - len(ids)} of them repeated, "
          f"{killer.in_doubt.total()} in doubt at a kill, {len(kept)} kept back of which {len(kept.keys() & came)} came; {calm.total()} history notes; slowest restart {killer.slowest:.2f} s")
    for kind, wrong in (("lost", calm - wild), ("too much", wild - calm)):
        for who, at, note in sorted(wrong)[:10]:
            print(f"{kind}: {who} {rfc3339(at)} {note}")
    assert calm and not none, "there is no history, or doubt without kills"
    assert calm == wild, "the histories differ"
    kind = lambda mails: Counter((to, VARIANT.sub("variant", template), at) for to, template, at in mails.elements())
    assert kind(plain(calm_mails)) == kind(once), "the mails differ"
    marketing = {message_id for _, _, message_id, _, mail in wild_mails if mail["List-Unsubscribe"]}
    assert marketing and all(ids[message_id] == 1 for message_id in marketing), "marketing came twice"
    assert all(killer.in_doubt[id] for id in kept), "something is kept back that was never in doubt"
    for message_id, count in ids.items():
        doubts = killer.in_doubt[number(message_id)]
        assert count <= 1 + doubts, f"{message_id} came {count} times and was {doubts} times in doubt"
    assert kills - killer.left == kills, "not all kills were made"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 15, int(sys.argv[3]) if len(sys.argv) > 3 else 200)
