"""The demo as a newcomer sees it: surveys are answered by mail, by text message and on the phone, and all answers stand in one place.

usage: demo.py PROGRAM [DAYS [SPEED]]. The summary on the terminal and the page agree on what they tell of each door; every text message
that was answered had come to the gateway.
"""

import html, os, re, subprocess, sys, tempfile, threading, urllib.request

DOORS = ("by mail", "by text message", "on the phone")
SURVEY = re.compile(r"^survey (\w+): (\d+) answers? \(([^)]*)\)(?:; on average (.+))?$", re.M)


def fetched(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def told(text):
    """What the summary says of each survey: how many answers, and how many by which door."""
    surveys = {}
    for name, count, doors, averages in SURVEY.findall(text):
        by_door = {door: int(number) for number, door in re.findall(r"(\d+) ([a-z ]+)", doors)}
        assert set(by_door) <= set(DOORS) and sum(by_door.values()) == int(count), (name, count, doors)
        assert all(1 <= float(number) <= 5 for number in re.findall(r"\d+\.\d", averages)) and averages, (name, averages)
        surveys[name] = by_door
    return surveys


def run(program, days, speed):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "demo", "--port", "0", "--days", str(days), "--speed", speed]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": folder})
        try:
            opening = demo.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+", opening)[0]
            pages, texts = [], []
            over = threading.Event()

            def look():
                while not over.wait(0.5):
                    try:
                        pages.append(fetched(f"{url}/demo/answers"))
                        texts.append(fetched(f"{url}/demo/texts"))
                    except OSError:
                        return

            looking = threading.Thread(target=look)
            looking.start()
            summary = demo.stdout.read()
            over.set()
            looking.join()
            assert demo.wait(60) == 0, summary
        finally:
            demo.kill()
    surveys = told(summary)
    doors = {door: sum(by_door.get(door, 0) for by_door in surveys.values()) for door in DOORS}
    assert all(doors.values()), f"a door that nobody came by: {doors}\n{summary}"
    mails, messages = map(int, re.search(r"(\d+) mails arrived in the mailbox, (\d+) text messages at the gateway", summary).groups())
    assert mails > 0 and messages >= doors["by text message"], summary
    page = html.unescape(pages[-1])
    assert "<h2>Answers</h2>" in page, page
    for name in surveys:
        assert f"<small>{name}</small>" in page, f"{name} is not on the page"
    assert "von 1 bis 5" in texts[-1] or "from 1 to 5" in texts[-1], texts[-1]
    print(f"{days} days: " + ", ".join(f"{count} answers {door}" for door, count in doors.items()) + f"; {mails} mails, {messages} text messages")


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 90, sys.argv[3] if len(sys.argv) > 3 else "1d")
