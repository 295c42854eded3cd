"""Bad input of every kind at the doors of the shipped program: each gets a clear answer, and the others go on.

usage: doors.py PROGRAM. Broken rows and wrong encodings in files; bad events over HTTP; links that scanners follow; an SMTP server that
is down, slow, refuses, or hangs up after the final dot.
"""

import json, re, socketserver, sys, tempfile, threading, time, urllib.error, urllib.request

from _shop import HOUR, Shop, ms, rfc3339

START = ms("2026-05-04T09:00:00Z")
CONTACTS = (
    b"user_id,email,first_name,last_name,locale,timezone,consent_marketing_email,consent_marketing_email_at\n"
    b"good1,good1@example.org,Ada,Good,en,Europe/Berlin,yes,2026-01-05T10:00:00Z\n"
    b"bad_mail,not an address,Bo,Bad,en,Europe/Berlin,,\n"
    b"bad_zone,z@example.org,Zoe,Bad,en,Mars/Olympus,,\n"
    b"short,row\n"
    b"latin,l@example.org,J\xfcrgen,Latin,de,Europe/Berlin,,\n"
    b"good1,good1@example.org,Ada,Twice,en,Europe/Berlin,yes,2026-01-05T10:00:00Z\n"
    b'crlf,c@example.org,"Eve\r\nBcc: x@example.org",Lines,en,Europe/Berlin,,\n'
    b"good2,good2@example.org,Umut,\xc3\x96zg\xc3\xbcr,de,Europe/Berlin,yes,2026-01-05T10:00:00Z\n"
)


def track(user, event, number, at=START, **fields):
    return {"type": "track", "userId": user, "event": event, "messageId": f"d{number}", "timestamp": rfc3339(at), "properties": fields}


def files(shop):
    path = shop.folder / "contacts.csv"
    path.write_bytes(CONTACTS)
    out = shop.cli("import", "contacts", str(path), ok=(0, 1))
    rejected = (shop.folder / "contacts.csv.rejected").read_bytes()
    for line in (3, 4, 5, 6, 8):
        assert re.search(rf"\b{line}\b", out), f"line {line} is not named:\n{out}"
    for name in (b"bad_mail", b"bad_zone", b"short", b"crlf", b"latin"):
        assert name in rejected, f"{name} is not kept:\n{rejected}"
    assert "Twice" in shop.cli("contact", "show", "good1"), "the later row of the same person did not win"
    shop.cli("contact", "show", "good2")
    shop.cli("contact", "show", "bad_mail", ok=(1, 2, 3))
    empty = shop.folder / "empty.csv"
    empty.write_bytes(b"")
    shop.cli("import", "contacts", str(empty), ok=(0, 1, 2))


def events(shop):
    good = track("good1", "cart_updated", 1, cart_id="c1", value=24.9, items=[])
    status, answer = shop.post("/v1/batch", {"batch": [
        good, good, track("good1", "cart_upated", 2, cart_id="c2"), track("good1", "cart_updated", 3, cart_id="c3", value="much", items=[]),
        {"type": "track", "event": "account_closed"}, 17, track("good2", "cart_updated", 4, cart_id="c4", value=30, items=[])]})
    assert status == 200 and (answer["accepted"], answer["duplicates"], answer["rejected"]) == (2, 1, 4), (status, answer)
    assert "did you mean `cart_updated`" in json.dumps(answer), answer
    for body, code in ((b"{", 400), (b"\xff\xfe", 400), (b"[]", 400), (b'{"batch": 3}', 400), (b" " * (11 << 20), 413), (b"[" * 100_000, 400)):
        status, answer = shop.post("/v1/batch", body)
        assert status == code and answer["code"] and answer["detail"], (body[:20], status, answer)
    key, shop.key = shop.key, "fp_wrong"
    assert shop.post("/v1/track", good)[0] == 401
    shop.key = shop.cli("key", "create", "--scope", "read").split()[-1]
    assert shop.post("/v1/track", good)[0] == 403
    shop.key = key
    status, answer = shop.post("/v1/batch", {"batch": [track("good1", "order_placed", 9, order_id="o9", value=1)]}, zipped=True)
    assert status == 200 and answer["accepted"] == 1, answer
    status, answer = shop.post("/v1/identify", {"userId": "good2", "traits": {"first_name": "A\r\nB: c", "last_name": "Neu"}})
    assert status == 200 and (answer["accepted"], answer["partial"], answer["rejected"]) == (1, 1, 0), answer
    assert answer["rejections"][0]["stored"] == "the rest", answer
    shop.settle()
    assert "Neu" in shop.cli("contact", "show", "good2")


def links(shop):
    shop.play([], START + 3 * HOUR)
    mails = [mail for mail in shop.sink.mails if mail[0] == "good2@example.org"]
    assert [mail[1] for mail in mails] == ["cart_reminder"], [mail[:4] for mail in shop.sink.mails]
    mail = mails[0][4]
    unsubscribe = re.search(r"<(http[^>]+/u/[^>]+)>", mail["List-Unsubscribe"]).group(1)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = unsubscribe[unsubscribe.index("/u/"):]
    html = mail.get_body(("html",)).get_content()
    for link in {path, *(re.findall(r"http://127\.0\.0\.1:\d+(/[a-z]/[\w-]+)", html))}:
        if not link.startswith("/r/"):                          # a scanner reads everything: nothing may change
            assert shop.get(link)[0] == 200
    shop.settle()
    assert "consent_withdrawn" not in shop.cli("status", "--format", "json")
    form = urllib.request.Request(f"http://127.0.0.1:{shop.port}{path}", data=b"List-Unsubscribe=One-Click", method="POST",
                                  headers={"Content-Type": "application/x-www-form-urlencoded"})
    for _ in range(2):
        assert urllib.request.urlopen(form).status == 200
    shop.settle()
    assert "consent_withdrawn" in shop.cli("status", "--format", "json")
    forged = path[:-3] + ("AAA" if not path.endswith("AAA") else "BBB")
    try:
        shop.get(forged)
        raise SystemExit("a forged link was accepted")
    except urllib.error.HTTPError as error:
        assert error.code == 404


class Moody(socketserver.ThreadingTCPServer):
    """An SMTP server with moods: `refuse` (5xx), `later` (4xx), `silent` (hangs up after the final dot), `kind`."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, port):
        self.mood, self.got = "kind", []
        super().__init__(("127.0.0.1", port), self.Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Session(socketserver.StreamRequestHandler):
        def say(self, text):
            self.wfile.write(text.encode() + b"\r\n")

        def handle(self):
            self.say("220 moody")
            for line in self.rfile:
                word = line[:4].upper()
                if word == b"RCPT" and self.server.mood in ("refuse", "later"):
                    self.say("550 5.1.1 nobody here" if self.server.mood == "refuse" else "451 4.3.0 come back later")
                elif word == b"DATA":
                    self.say("354 go on")
                    body = b""
                    for line in self.rfile:
                        if line == b".\r\n":
                            break
                        body += line
                    self.server.got.append(re.search(rb"(?im)^message-id: *(\S+)", body).group(1).decode())
                    if self.server.mood == "silent":
                        return
                    self.say("250 kept")
                elif word == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")


def smtp(shop):
    """Each mood meets one mail; what the sender makes of it stands in `status`."""
    states = lambda: json.loads(shop.cli("status", "--format", "json"))["deliveries"]
    moody = Moody(shop.sink.port)
    person = lambda n, minute: [
        {"type": "identify", "userId": f"s{n}", "messageId": f"i{n}", "traits": {"email": f"s{n}@example.org"}},
        track(f"s{n}", "signed_up", f"s{n}", shop.now, source="web", newsletter=True)]
    for n, mood in enumerate(("refuse", "later", "silent", "kind")):
        moody.mood = mood
        before = len(moody.got)
        assert shop.post("/v1/batch", {"batch": person(n, n)})[0] == 200
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            text = json.dumps(states())
            if mood == "refuse" and "refused" in text or mood == "kind" and len(moody.got) > before \
                    or mood == "silent" and len(moody.got) > before or mood == "later" and "deferred" in text:
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{mood}: {states()}")
    moody.shutdown()
    moody.server_close()
    print("deliveries by state:", states())


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(program, folder, rfc3339(START))
        files(shop)
        shop.serve()
        events(shop)
        links(shop)
        shop.sink.stop()                    # the server is down from here on, then comes back in many moods
        smtp(shop)
        assert shop.stop() == 0
        log = (shop.folder / "log").read_text()
        assert "good1@example.org" not in log and "panicked" not in log, "the log names people, or a panic"
        shop.close()
    print("bad input: all doors answered")


if __name__ == "__main__":
    main(sys.argv[1])
