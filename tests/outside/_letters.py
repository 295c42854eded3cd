"""A batch of letters that is cut while the daemon is killed (kill -9) between its steps, and its folder compared byte for byte."""

import json, shutil, time

# Where the daemon halts, so that it can be killed there: after the cut; before the folder has its name; after it; before all is recorded.
STEPS = ("closed", "written", "renamed", "recording")


def add_letters(shop):
    """The schema of the shop gets postal addresses and a channel of letters."""
    schema = shop.project / "schema.journey"
    text = schema.read_text()
    if "  postal: address?" not in text:
        text = text.replace("  club: yesno", "  postal: address? pii\n  club: yesno")
    if "channel letter" not in text:
        text += "\nchannel letter {\n  sends \"print_shop\"\n  address contact.postal\n  class letter\n  abilities [replies]\n}\n"
    schema.write_text(text)


def add_template(shop, name, subject, body):
    folder = shop.project / "templates" / name
    folder.mkdir(parents=True)
    for locale in ("de", "en"):
        (folder / f"letter.{locale}.subject.hbs").write_text(subject)
        (folder / f"letter.{locale}.text.hbs").write_text(body)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def batches(shop):
    return json.loads(shop.cli("letters", "list", "--format", "json"))


def await_(what, is_so, patience=60):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about")


def print_with_kills(shop, at):
    """Lets the hour of the batch come, kills the daemon at each step, and gives the folder, which was the same at each of them."""
    shop.kill()
    shop.set_clock(at)
    place, log = shop.project / "letters", shop.folder / "log"
    seen = []
    for step in STEPS:
        begins = log.stat().st_size
        shop.env["FAHRPLAN_TEST_LETTERS_HALT"] = step
        shop.serve()
        await_(f"the halt at `{step}`", lambda: "halted, as a test asks" in log.read_text()[begins:])
        shop.kill()
        named = [path for path in place.iterdir() if not path.name.startswith(".")] if place.exists() else []
        assert len(named) == (0 if step in ("closed", "written") else 1), (step, named)
        seen += [files(path) for path in named]
    del shop.env["FAHRPLAN_TEST_LETTERS_HALT"]
    shop.serve()
    await_("the end of the batch", lambda: all(batch["state"] == "done" for batch in batches(shop)["batches"]))
    listed = batches(shop)
    assert len(listed["batches"]) == 1 and listed["waiting"] == 0, listed
    folder = place / listed["batches"][0]["name"]
    seen.append(files(folder))
    kept = shop.folder / "kept"
    shutil.copytree(folder, kept)
    shutil.rmtree(folder)
    shop.cli("letters", "again", folder.name)
    seen.append(files(folder))
    assert len(seen) == 4 and all(one == seen[0] for one in seen), [len(one) for one in seen]
    assert not [path for path in place.iterdir() if path.name != folder.name], list(place.iterdir())
    return folder
