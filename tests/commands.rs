//! Commands that look into the database or change it, from outside.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use fahrplan::cli::load::Project;
use fahrplan::clock::machine_now;
use fahrplan::engine::world::{Fields, Input};
use fahrplan::intake::Who;
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::{Store, advance_bucket, deliveries, journeys};
use fahrplan::value::Value;

use crate::cli::{Ran, empty_dir, fahrplan, project_on};

/// A project with its own SQLite file.
fn project() -> tempfile::TempDir {
    project_on("sqlite:test.db")
}

fn fine(dir: &Path, args: &[&str]) -> String {
    let ran = fahrplan(dir, args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out
}

fn refused(dir: &Path, args: &[&str]) -> String {
    let Ran { code, out, err } = fahrplan(dir, args);
    assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
    err
}

#[test]
fn a_key_is_shown_once_listed_without_itself_and_revoked() {
    let dir = project();
    let dir = dir.path();
    let secret = fine(dir, &["key", "create", "--scope", "ingest", "--scope", "read", "--name", "shop"]);
    let secret = secret.trim_end();
    assert!(secret.starts_with("fp_") && !secret.contains(char::is_whitespace), "{secret}");
    let id = &secret[..11];

    let list = fine(dir, &["key", "list"]);
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["id", "name", "scopes", "created", "used", "expires"]);
    assert_eq!((lines[1][..3].to_vec(), lines[1][4]), (vec![id, "shop", "ingest, read"], "never"));
    let json = fine(dir, &["key", "list", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json[0]["id"].as_str(), json[0]["good"].as_bool()), (Some(id), Some(true)));
    assert!(!list.contains(secret) && !json.to_string().contains(&secret[12..]));

    assert_eq!(fine(dir, &["key", "revoke", secret]), format!("{id} is refused from now on.\n"));
    assert!(fine(dir, &["key", "list"]).trim_end().ends_with("revoked"));
    let again = refused(dir, &["key", "revoke", id]);
    assert!(again.contains(&format!("there is no key `{id}` that could be revoked")), "{again}");
    assert_eq!(fahrplan(dir, &["key", "create", "--scope", "everything"]).code, 2);
}

#[test]
fn a_key_may_end_by_itself() {
    let dir = project();
    let dir = dir.path();
    let create = |expires: &[&str]| fine(dir, &[&["key", "create", "--scope", "ingest"], expires].concat());
    create(&["--expires", "2999-01-31"]);
    assert!(fine(dir, &["key", "list"]).contains("  2999-01-31\n"), "{}", fine(dir, &["key", "list"]));
    create(&["--expires", "90d"]);
    let json: serde_json::Value =
        serde_json::from_str(&fine(dir, &["key", "list", "--format", "json"])).expect("JSON");
    let end: fahrplan::time::Timestamp =
        json[0]["expires_at"].as_str().expect("a text").parse().expect("a moment");
    let away = end.0 - machine_now().0;
    assert!((90 * 86_400_000 - 60_000..=90 * 86_400_000).contains(&away), "{json}");
    let err = refused(dir, &["key", "create", "--scope", "ingest", "--expires", "2020-01-01"]);
    assert!(err.contains("expired already"), "{err}");
    assert!(
        refused(dir, &["key", "create", "--scope", "ingest", "--expires", "soon"]).contains("such as 90d")
    );
}

#[test]
fn a_database_command_outside_of_a_project_says_so() {
    let dir = empty_dir();
    assert!(refused(dir.path(), &["key", "list"]).contains("no fahrplan.toml here or above"));
}

#[test]
fn who_only_looks_makes_no_database() {
    let dir = project();
    let dir = dir.path();
    let commands: [&[&str]; 6] = [
        &["status"],
        &["status", "--format", "json"],
        &["key", "list"],
        &["key", "revoke", "fp_00000000"],
        &["contact", "show", "u1"],
        &["enroll", "u1", "thanks"],
    ];
    for args in commands {
        let err = refused(dir, args);
        assert!(
            err.contains("test.db does not exist yet") && err.contains("`fahrplan deploy` makes it"),
            "{err}"
        );
        let files: Vec<_> =
            std::fs::read_dir(dir).expect("read").map(|file| file.expect("read").file_name()).collect();
        assert_eq!(files, ["fahrplan.toml"], "{args:?}");
    }
    fine(dir, &["key", "create", "--scope", "ingest"]);
    let before = std::fs::read(dir.join("test.db")).expect("there");
    fine(dir, &["status"]);
    fine(dir, &["key", "list"]);
    assert!(std::fs::read(dir.join("test.db")).expect("there") == before, "looking has changed something");
}

#[test]
fn files_with_personal_data_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = with_ada();
    let dir = dir.path();
    std::fs::write(dir.join("people.csv"), "user_id,email\nu1,not an address\n").expect("written");
    assert_eq!(fahrplan(dir, &["import", "contacts", "people.csv"]).code, 1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _store = runtime.block_on(async {
        let project = Project::at(dir.to_path_buf()).expect("a project");
        Store::open(&project.database_url()).await.expect("opened")
    });
    for file in ["fahrplan.db", "fahrplan.db-wal", "fahrplan.db-shm", "people.csv.rejected"] {
        let mode = std::fs::metadata(dir.join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_named_at_once_with_a_way_out() {
    let dir = project();
    let dir = dir.path();
    std::fs::create_dir(dir.join("folder")).expect("made");
    let toml = |url: &str| {
        let text = format!("[project]\nname = \"test\"\n[database]\nurl = \"{url}\"\n");
        std::fs::write(dir.join("fahrplan.toml"), text).expect("written");
    };
    // A port on which nobody listens: the system just gave it to us, and we gave it back.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    for (url, part) in [
        (
            format!("postgres://shop:geheim@127.0.0.1:{port}/shop"),
            format!("`shop` at 127.0.0.1:{port} cannot be reached: Connection refused"),
        ),
        (format!("postgres://shop:geheim@127.0.0.1:{silent_port}/shop"), "no answer within 5 s".to_owned()),
        ("sqlite:nowhere/test.db".to_owned(), "nowhere/test.db cannot be reached: No such file".to_owned()),
        ("sqlite:folder".to_owned(), "folder cannot be reached: unable to open".to_owned()),
    ] {
        toml(&url);
        let began = std::time::Instant::now();
        let Ran { code, err, .. } = fahrplan(dir, &["key", "create", "--scope", "read"]);
        assert_eq!(code, 3, "{url}: {err}");
        assert!(err.contains(&part) && err.contains("FAHRPLAN_DATABASE_URL"), "{url}: {err}");
        assert!(!err.contains("geheim"), "{err}");
        assert!(began.elapsed() < std::time::Duration::from_secs(9), "{url}: {:?}", began.elapsed());
    }
}

// ---------------------------------------------------------------- people

const JOURNEY: &str = r#"
journey thanks "A present" {
  purpose transactional because "they asked for it"
  enter by start with { gift: text, number: number? }
  reenter never
  send email welcome as present
  if present.unreachable { exit as no_address }
  wait 3 days as patience
  exit as done
}
"#;

/// A project with a journey that is started by hand, deployed, and Ada.
fn with_ada() -> tempfile::TempDir {
    let dir = empty_dir();
    assert_eq!(fahrplan(dir.path(), &["init"]).code, 0);
    std::fs::write(dir.path().join("journeys/thanks.journey"), JOURNEY).expect("written");
    let project = Project::at(dir.path().to_path_buf()).expect("a project");
    let compiled = fahrplan::lang::compile(&project.input);
    let found: Vec<_> = compiled.diagnostics.iter().map(|finding| finding.message.clone()).collect();
    assert!(compiled.programs.iter().any(|program| &*program.journey == "thanks"), "{found:?}");
    in_store(dir.path(), async |store| {
        journeys::deploy(&store, &compiled.catalog, &compiled.programs, machine_now())
            .await
            .expect("deployed");
        let email = "ada@example.com".to_owned();
        let who = Who { user_id: Some("u1".to_owned()), email: Some(email.clone()), ..Who::default() };
        let values = Fields::from([("email".into(), Value::text(&email))]);
        let input = Input::Attributes { values, at: machine_now() };
        let items = vec![Incoming { to: To::Who(who), message_id: None, input }];
        store.accept(items, machine_now()).await.expect("accepted");
        advance(&store).await;
    });
    dir
}

/// Does something with the database of the project, then closes it.
fn in_store<F: Future<Output = ()>>(dir: &Path, work: impl FnOnce(Store) -> F) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let project = Project::at(dir.to_path_buf()).expect("a project");
        let store = Store::open(&project.database_url()).await.expect("opened");
        work(store.clone()).await;
        store.close().await;
    });
}

async fn advance(store: &Store) {
    for bucket in store.buckets() {
        while advance_bucket(store, bucket, machine_now(), 100).await.expect("advanced").more {}
    }
}

#[test]
fn enroll_puts_somebody_into_a_journey_and_contact_shows_everything() {
    let dir = with_ada();
    let dir = dir.path();
    let out = fine(dir, &["enroll", "ADA@example.com", "thanks", "--with", r#"{"gift": "a cup"}"#]);
    assert!(
        out.starts_with("ADA@example.com (ct_") && out.ends_with(") is on the way into `thanks`.\n"),
        "{out}"
    );
    let out = fine(dir, &["contact", "show", "u1"]);
    assert!(out.contains("ada@example.com") && !out.contains("thanks"), "nothing has advanced: {out}");

    in_store(dir, async |store| {
        advance(&store).await;
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(deliveries::counts(&mut conn).await.expect("counted")[0].count, 1);
    });
    let out = fine(dir, &["contact", "show", "u1"]);
    for part in ["user_id       u1", "email", "thanks  inside", "welcome on email: queued", "thanks  entered"]
    {
        assert!(out.contains(part), "{part} is missing: {out}");
    }
    let json = fine(dir, &["contact", "show", "u1", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["enrollments"][0]["journey"], "thanks");
    assert_eq!(json["deliveries"][0]["state"], "queued");
    assert_eq!(json["identities"][0]["value"], "u1");
    assert!(json["history"].as_array().is_some_and(|notes| notes.len() >= 3), "{json:#}");
    let id = json["id"].as_str().expect("an id").to_owned();
    assert_eq!(fine(dir, &["contact", "show", &id]), out);
}

#[test]
fn enroll_and_contact_say_what_is_wrong() {
    let dir = with_ada();
    let dir = dir.path();
    let say = |args: &[&str], part: &str| {
        let err = refused(dir, args);
        assert!(err.contains(part), "{args:?}: {err}");
    };
    say(&["contact", "show", "u2"], "nobody is known as `u2`");
    say(&["contact", "show", "ct_0000000000000"], "nobody is known as");
    say(&["enroll", "u2", "thanks", "--with", r#"{"gift": "x"}"#], "nobody is known as `u2`");
    say(&["enroll", "u1", "thank"], "no journey `thank` is deployed, did you mean `thanks`?");
    say(&["enroll", "u1", "thanks"], "argument `gift`");
    say(&["enroll", "u1", "thanks", "--with", r#"{"gift": "x", "number": "many"}"#], "argument `number`");
    say(&["enroll", "u1", "thanks", "--with", r#"{"gift": "x", "gfit": "y"}"#], "no argument `gfit`");
    say(&["enroll", "u1", "thanks", "--with", "[]"], "no JSON object");
    say(&["enroll", "u1", "thanks", "--with", "{"], "no JSON");
    say(&["enroll", "u1", "welcome"], "no `enter by start`");
}

#[test]
fn exit_takes_somebody_out_and_cancels_what_is_queued() {
    let dir = with_ada();
    let dir = dir.path();
    let not_inside = fahrplan(dir, &["exit", "u1", "thanks"]);
    assert_eq!((not_inside.code, not_inside.out.as_str()), (1, ""));
    assert!(not_inside.err.contains("u1 is not inside `thanks`\n"), "{}", not_inside.err);

    fine(dir, &["enroll", "u1", "thanks", "--with", r#"{"gift": "a cup"}"#]);
    in_store(dir, async |store| advance(&store).await);
    let out = fine(dir, &["exit", "ada@example.com", "thanks"]);
    assert!(
        out.starts_with("ada@example.com (ct_") && out.contains(") is on the way out of `thanks`."),
        "{out}"
    );
    in_store(dir, async |store| advance(&store).await);
    let json = fine(dir, &["contact", "show", "u1", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["enrollments"][0]["reason"], "exited");
    // What is transactional goes out all the same, as after each early end.
    assert_eq!(json["deliveries"][0]["state"], "queued");

    let again = fahrplan(dir, &["exit", "u1", "thanks"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("u1 is not inside `thanks`: the last time ended on "), "{}", again.err);
    assert!(again.err.contains(" as exited\n"), "{}", again.err);
    assert!(refused(dir, &["exit", "u2", "thanks"]).contains("nobody is known as `u2`"));
    let unknown = refused(dir, &["exit", "u1", "thank"]);
    assert!(unknown.contains("there is no journey `thank`, did you mean `thanks`?"), "{unknown}");
}

#[test]
fn exit_cancels_queued_marketing() {
    let dir = with_ada();
    let dir = dir.path();
    // Whatever hour it is where this runs.
    let policies = dir.join("policies.journey");
    let text = std::fs::read_to_string(&policies).expect("read");
    let awake: String =
        text.lines().filter(|line| !line.contains("quiet hours")).map(|line| format!("{line}\n")).collect();
    assert!(awake.len() < text.len(), "{text}");
    std::fs::write(&policies, awake).expect("written");
    fine(dir, &["deploy", "--yes"]);
    std::fs::write(dir.join("people.csv"), "user_id,email,consent_marketing_email\nu1,ada@example.com,yes\n")
        .expect("written");
    fine(dir, &["import", "contacts", "people.csv"]);
    let event = r#"{"type": "track", "userId": "u1", "event": "signed_up", "messageId": "m1", "properties": {"source": "web"}}"#;
    std::fs::write(dir.join("events.jsonl"), event).expect("written");
    fine(dir, &["import", "events", "events.jsonl", "--live"]);
    in_store(dir, async |store| advance(&store).await);
    let states = || {
        let json = fine(dir, &["contact", "show", "u1", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let all = json["deliveries"].as_array().expect("a list").clone();
        let state = |one: &serde_json::Value| one["state"].as_str().unwrap_or_default().to_owned();
        all.iter().filter(|one| one["journey"] == "welcome").map(state).collect::<Vec<_>>()
    };
    assert_eq!(states(), ["queued"]);
    fine(dir, &["exit", "u1", "welcome"]);
    in_store(dir, async |store| advance(&store).await);
    assert_eq!(states(), ["cancelled"]);
}

#[test]
fn retire_lets_nobody_in_and_a_deploy_of_the_file_opens_the_journey_again() {
    let dir = with_ada();
    let dir = dir.path();
    fine(dir, &["deploy", "--yes"]);
    fine(dir, &["enroll", "u1", "thanks", "--with", r#"{"gift": "a cup"}"#]);
    in_store(dir, async |store| advance(&store).await);
    let unknown = refused(dir, &["retire", "thank"]);
    assert!(unknown.contains("no journey `thank` is deployed, did you mean `thanks`?"), "{unknown}");
    assert_eq!(
        fine(dir, &["retire", "thanks"]),
        "`thanks` takes nobody in any more. One person is inside and goes on to the end.\n\
         Its file is still there: the next `fahrplan deploy` opens it again, and says so.\n"
    );
    assert_eq!(fine(dir, &["retire", "thanks"]), "`thanks` takes nobody in already.\n");
    assert!(refused(dir, &["enroll", "u1", "thanks"]).contains("no journey `thanks` is deployed"));
    in_store(dir, async |store| advance(&store).await);
    let show = fine(dir, &["contact", "show", "u1"]);
    assert!(show.contains("thanks  inside"), "{show}");
    let status = fine(dir, &["status"]);
    assert!(status.contains("retired"), "{status}");

    let deploy = fine(dir, &["deploy", "--yes"]);
    assert!(
        deploy.starts_with("+ thanks  opened again: it was retired, and would take people in from now on\n"),
        "{deploy}"
    );
    fine(dir, &["enroll", "u1", "thanks", "--with", r#"{"gift": "a cup"}"#]);
    assert_eq!(fine(dir, &["deploy", "--yes"]), "Nothing to do: the database has exactly this.\n");
}

#[test]
fn a_test_message_leaves_from_the_files_marked_and_touches_nothing() {
    use fahrplan::channels::mailbox::{Mailbox, MailboxConfig};
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mailbox = runtime.block_on(Mailbox::start(MailboxConfig::default())).expect("a mailbox");
    let dir = with_ada();
    let dir = dir.path();
    let toml = std::fs::read_to_string(dir.join("fahrplan.toml")).expect("read");
    let mut toml: toml::Table = toml.parse().expect("TOML");
    let smtp = toml::Table::from_iter([
        ("url".to_owned(), mailbox.url().into()),
        ("from".to_owned(), "Shop <news@example.org>".into()),
    ]);
    toml.insert("smtp".to_owned(), smtp.into());
    std::fs::write(dir.join("fahrplan.toml"), toml.to_string()).expect("written");
    // Nobody has deployed this text.
    let subject = std::fs::read_dir(dir.join("templates/welcome")).expect("read");
    let subject = subject
        .map(|file| file.expect("a file").path())
        .find(|path| path.to_string_lossy().contains("subject"));
    std::fs::write(subject.expect("a subject"), "Only here, {{contact.email}}\n").expect("written");

    let before = fine(dir, &["contact", "show", "u1"]);
    let out = fine(dir, &["send-test", "welcome", "me@example.net"]);
    assert!(
        out.starts_with("Sent to me@example.net, in en: \"[Test] Only here, someone@example.com\"."),
        "{out}"
    );
    fine(dir, &["send-test", "welcome", "me@example.net", "--contact", "u1"]);
    let messages = mailbox.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.to == "me@example.net"));
    assert_eq!(messages[0].letter.subject, "[Test] Only here, someone@example.com");
    assert_eq!(messages[1].letter.subject, "[Test] Only here, ada@example.com");
    assert!(messages.iter().all(|message| message.letter.header("X-Fahrplan-Test") == Some("yes")));
    assert_eq!(fine(dir, &["contact", "show", "u1"]), before);

    let say = |args: &[&str], part: &str| {
        let err = refused(dir, args);
        assert!(err.contains(part), "{args:?}: {err}");
    };
    say(&["send-test", "welcom", "me@example.net"], "there is no template `welcom`, did you mean `welcome`?");
    say(&["send-test", "welcome", "me"], "`me`: this is no e-mail address");
    say(&["send-test", "welcome", "me@example.net", "--contact", "u9"], "nobody is known as `u9`");
    say(&["send-test", "welcome", "me@example.net", "--with", "7"], "no JSON object");
    std::fs::write(dir.join("fahrplan.paused"), "").expect("written");
    say(&["send-test", "welcome", "me@example.net"], "nothing leaves this machine while");
    assert_eq!(mailbox.messages().len(), 2);
    drop(mailbox);
}

#[test]
fn a_test_text_goes_to_its_gateway_and_a_test_letter_into_a_file() {
    use axum::response::IntoResponse as _;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (at, all) =
        runtime.block_on(crate::outbound::server(|_| async { r#"{"id": "m1"}"#.into_response() }));
    let dir = with_ada();
    let dir = dir.path();
    let append = |file: &str, text: &str| {
        let before = std::fs::read_to_string(dir.join(file)).expect("read");
        std::fs::write(dir.join(file), before + text).expect("written");
    };
    let schema = std::fs::read_to_string(dir.join("schema.journey")).expect("read");
    let schema = schema.replace("contact {", "contact {\n  phone: phone? pii\n  postal: address? pii");
    let schema = format!(
        "{schema}\nchannel sms {{ sends \"secret:sms\", address contact.phone, class message, cost 0.07 }}\n\
         channel paper {{ sends \"print_shop\", address contact.postal, class letter, abilities [replies] }}\n"
    );
    std::fs::write(dir.join("schema.journey"), schema).expect("written");
    append("fahrplan.toml", "\n[secrets]\nsms_file = \"sms.secret\"\n[requests]\nallow = [\"127.0.0.1\"]\n");
    std::fs::write(dir.join("sms.secret"), format!("http://shop:geheim@{at}/sms")).expect("written");
    let templates = dir.join("templates/ping");
    std::fs::create_dir_all(&templates).expect("made");
    for (file, text) in [
        ("sms.en.text.hbs", "Hello {{default contact.first_name 'you'}}"),
        ("paper.en.subject.hbs", "A letter"),
        ("paper.en.text.hbs", "Hello {{default contact.first_name 'you'}}\n\nAnswer: {{links.response}}\n"),
    ] {
        std::fs::write(templates.join(file), text).expect("written");
    }
    let before = fine(dir, &["contact", "show", "u1"]);
    let out = fine(dir, &["send-test", "ping", "0049 30 / 123456"]);
    assert_eq!(
        out,
        "Sent to +4930123456 by sms, in en: \"[Test] Hello [first_name]\". The gateway calls it m1.\n"
    );
    let out = fine(dir, &["send-test", "ping", "+4930123456", "--contact", "u1"]);
    assert!(out.contains("\"[Test] Hello you\""), "{out}");
    let bodies: Vec<String> = all.lock().expect("whole").iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].contains("[Test] Hello") && bodies[0].contains("\"to\":\"+4930123456\""), "{bodies:?}");

    let out = fine(dir, &["send-test", "ping", "test.pdf"]);
    assert_eq!(out, "test.pdf is a letter as the print shop gets it, in en: \"[Test] A letter\".\n");
    let pdf = std::fs::read(dir.join("test.pdf")).expect("there");
    assert!(pdf.starts_with(b"%PDF-"));
    assert_eq!(all.lock().expect("whole").len(), 2, "a letter is no text");
    assert_eq!(fine(dir, &["send-test", "ping", "test.pdf"]), out, "the same file, once more");
    std::fs::write(dir.join("contract.pdf"), "%PDF-1.7 a contract").expect("written");
    let err = refused(dir, &["send-test", "ping", "contract.pdf"]);
    assert!(err.contains("contract.pdf is there already, and is not of this making"), "{err}");
    assert_eq!(std::fs::read(dir.join("contract.pdf")).expect("there"), b"%PDF-1.7 a contract");
    assert_eq!(fine(dir, &["contact", "show", "u1"]), before);

    let err = refused(dir, &["send-test", "ping", "me@example.net"]);
    assert!(err.contains("nothing of `ping` goes to `me@example.net`"), "{err}");
    assert!(
        err.contains("on sms, a phone number with its country") && err.contains("such as test.pdf"),
        "{err}"
    );
    // What the gateway says is told, and what the secret says is not.
    std::fs::write(dir.join("sms.secret"), "http://shop:geheim@127.0.0.1:1/sms").expect("written");
    let Ran { code, err, .. } = fahrplan(dir, &["send-test", "ping", "+4930123456"]);
    assert!(
        code == 3 && err.contains("it was not handed over: no connection") && !err.contains("geheim"),
        "{code} {err}"
    );
}

// ---------------------------------------------------------------- imports

#[test]
fn an_import_counts_each_contact_once_whatever_brought_it() {
    let dir = with_ada();
    let dir = dir.path();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("written");
    write("people.csv", "user_id,email\nu1,ada@example.com\nu2,ben@example.com\nu2,ben@example.org\n");
    assert_eq!(fine(dir, &["import", "contacts", "people.csv"]), "1 new contact, 1 known contact\n");
    assert_eq!(fine(dir, &["import", "contacts", "people.csv"]), "2 known contacts\n");
    write("people.csv", "user_id,email\nu1,ada@example.com\nu3,cleo@example.com\n");
    let live = fine(dir, &["import", "contacts", "people.csv", "--live"]);
    assert_eq!(live, "1 new contact, 1 known contact\n");

    let track = |who: &str, id: &str| {
        format!(
            r#"{{"type": "track", "userId": "{who}", "event": "signed_up", "messageId": "{id}", "timestamp": "2026-05-01T10:00:00Z", "properties": {{"source": "web"}}}}"#
        )
    };
    let lines = [track("u1", "a"), track("u4", "b"), track("u4", "c"), track("u5", "d"), track("u5", "d")];
    write("events.jsonl", &lines.join("\n"));
    let told = fine(dir, &["import", "events", "events.jsonl"]);
    assert_eq!(told, "2 new contacts, 4 events, 1 seen before\n");
}

#[test]
fn a_consent_of_tomorrow_or_for_no_purpose_is_refused() {
    let dir = with_ada();
    let dir = dir.path();
    let write = |text: &str| std::fs::write(dir.join("people.csv"), text).expect("written");
    write("user_id,consent_nothing_email\nu1,yes\n");
    let err = refused(dir, &["import", "contacts", "people.csv"]);
    assert!(
        err.contains("`consent_nothing_email` names no purpose: `nothing`") && err.contains("marketing"),
        "{err}"
    );
    write("user_id,consent_marketing_email,consent_marketing_email_at\nu1,yes,2999-01-01T00:00:00Z\n");
    let Ran { code, out, .. } = fahrplan(dir, &["import", "contacts", "people.csv"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("line 2: `consent_marketing_email_at`: 2999-01-01T00:00:00Z lies in the future"),
        "{out}"
    );
}

#[test]
fn consents_of_a_file_go_to_the_ledger_with_what_proves_them() {
    let dir = with_ada();
    let dir = dir.path();
    let ledger = || {
        let json = fine(dir, &["contact", "show", "u1", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        json["consents"].as_array().expect("a list").clone()
    };
    let rows = "user_id,purpose,channel,permit,at,text,source,evidence\n\
        u1,marketing,email,yes,2026-01-02T10:00:00Z,newsletter-3,https://shop.example/join,\"{\"\"ip\"\": \"\"192.0.2.1\"\"}\"\n\
        u1,marketing,fax,yes,,,,\n\
        u1,marketting,email,yes,,,,\n\
        u1,marketing,email,perhaps,,,,\n";
    std::fs::write(dir.join("consents.csv"), rows).expect("written");
    let import = || fahrplan(dir, &["import", "consents", "consents.csv"]);
    let Ran { code, out, .. } = import();
    assert_eq!(code, 1, "{out}");
    for told in [
        "line 3: `channel`: there is no `fax`",
        "line 4: `purpose`: there is no `marketting`",
        "line 5: `permit`",
    ] {
        assert!(out.contains(told), "{told}: {out}");
    }
    let proof = serde_json::json!({ "text": "newsletter-3", "source": "https://shop.example/join", "evidence": { "ip": "192.0.2.1" } });
    let evidence = |line: &serde_json::Value| -> serde_json::Value {
        serde_json::from_str(line["evidence"].as_str().expect("a text")).expect("JSON")
    };
    assert_eq!(
        (ledger().len(), evidence(&ledger()[0]), &ledger()[0]["source"]),
        (1, proof, &"import".into())
    );
    import();
    assert_eq!(ledger().len(), 1, "read twice");

    // The same beside the columns of a contact; and what withdraws is not undone by a grant without a date.
    let columns = "consent_marketing_email,consent_marketing_email_at,consent_marketing_email_text,consent_marketing_email_evidence";
    std::fs::write(
        dir.join("people.csv"),
        format!("user_id,{columns}\nu1,no,2026-02-02T10:00:00Z,,by letter\n"),
    )
    .expect("written");
    fine(dir, &["import", "contacts", "people.csv"]);
    assert_eq!(evidence(&ledger()[1]), serde_json::json!({ "evidence": "by letter" }));
    std::fs::write(dir.join("consents.csv"), "user_id,purpose,channel,permit\nu1,marketing,email,yes\n")
        .expect("written");
    let Ran { out, .. } = import();
    assert!(out.contains("1 consent without a date left out"), "{out}");
    assert_eq!(ledger().len(), 2);
    std::fs::write(dir.join("consents.csv"), "user_id,purpose,channel\n").expect("written");
    assert!(import().err.contains("the column `permit` is missing"));
}

#[test]
fn what_was_rejected_can_be_looked_at() {
    let dir = with_ada();
    let dir = dir.path();
    assert_eq!(fine(dir, &["events", "rejected"]), "Nothing was rejected in the last 30 days.\n");
    in_store(dir, async |store| {
        let why = |reason: &str| fahrplan::intake::Rejected { code: "wrong-type", reason: reason.to_owned() };
        let items = vec![(r#"{"a":1}"#.to_owned(), why("first")), ("{".to_owned(), why("second"))];
        fahrplan::store::rejected::keep(&store, "http", items, machine_now()).await.expect("kept");
    });
    let text = fine(dir, &["events", "rejected"]);
    assert!(
        text.contains("http  wrong-type: first\n    {\"a\":1}\n") && text.contains("second\n    {\n"),
        "{text}"
    );
    let newest = fine(dir, &["events", "rejected", "--limit", "1"]);
    assert!(
        newest.contains("second") && newest.ends_with("newest 1 of 2; --limit shows more.\n"),
        "{newest}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&fine(dir, &["events", "rejected", "--format", "json"])).expect("JSON");
    assert_eq!((&json[0]["body"], &json[1]["body"]["a"]), (&"{".into(), &1.into()));
    assert!(
        fine(dir, &["status"])
            .contains("rejected    2 items, or parts of them, could not be read: `fahrplan events rejected`")
    );
    let again = fahrplan(dir, &["events", "rejected", "--retry"]);
    assert_eq!(
        (again.code, again.out.starts_with("2 items cannot be tried again")),
        (1, true),
        "{}",
        again.out
    );
}

#[test]
fn what_was_rejected_and_is_junk_can_be_thrown_away() {
    let dir = with_ada();
    let dir = dir.path();
    in_store(dir, async |store| {
        let bad = |n: usize, code: &'static str, reason: &str| {
            (format!("{{\"n\":{n}}}"), fahrplan::intake::Rejected { code, reason: reason.to_owned() })
        };
        let items = vec![
            bad(1, "wrong-type", "the first"),
            bad(2, "unknown-event", "there is no event `foo`"),
            bad(3, "unknown-event", "there is no event `foo`"),
            bad(4, "unknown-event", "there is no event `bar`"),
            bad(5, "no-contact", "nobody"),
        ];
        fahrplan::store::rejected::keep(&store, "http", items, machine_now()).await.expect("kept");
    });
    let listed = || -> Vec<(String, i64)> {
        let json = fine(dir, &["events", "rejected", "--format", "json"]);
        let json: Vec<serde_json::Value> = serde_json::from_str(&json).expect("JSON");
        let one = |item: &serde_json::Value| {
            (item["id"].as_str().expect("an id").to_owned(), item["body"]["n"].as_i64().expect("a number"))
        };
        json.iter().map(one).collect()
    };
    let numbers = || listed().into_iter().map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!(numbers(), [5, 4, 3, 2, 1]);
    let first = listed()[4].0.clone();
    let text = fine(dir, &["events", "rejected"]);
    assert!(text.contains(&format!("\n{first}  20")), "the list shows what to write: {text}");

    let discard = |what: &[&str]| fahrplan(dir, &[&["events", "rejected", "--discard"], what].concat());
    let fine_ = |what: &[&str], said: &str| {
        let ran = discard(what);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, said, ""));
    };
    fine_(&[&first], "1 item thrown away\n");
    assert_eq!(numbers(), [5, 4, 3, 2]);
    fine_(&["there is no event `foo`"], "2 items thrown away\n");
    assert_eq!(numbers(), [5, 4]);
    let ran = discard(&["unknown-event", &first, "unknown-evnt"]);
    let said = format!(
        "1 item thrown away\nNothing is listed as `{first}`.\nNothing is listed as `unknown-evnt`.\n"
    );
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (1, said, ""));
    assert_eq!(numbers(), [5]);
    let status = fine(dir, &["status"]);
    assert!(status.contains("rejected    1 item"), "{status}");
    let json = fine(dir, &["events", "rejected", "--format", "json", "--discard", "no-contact"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json, serde_json::json!({ "discarded": 1, "unknown": [] }));
    assert_eq!(fine(dir, &["events", "rejected"]), "Nothing was rejected in the last 30 days.\n");
    assert_eq!(fahrplan(dir, &["events", "rejected", "--retry", "--discard", "x"]).code, 2);
}

#[test]
fn real_mail_does_not_leave_at_a_time_that_is_not_real() {
    let dir = with_ada();
    let dir = dir.path();
    std::fs::write(dir.join("clock"), "2026-05-04T10:00:00Z").expect("written");
    let err = refused(dir, &["serve", "--clock", "clock"]);
    assert!(err.contains("--rehearse") && err.contains("--really-send"), "{err}");
    assert_eq!(fahrplan(dir, &["serve", "--really-send"]).code, 2);
}

#[test]
fn a_clock_that_shows_no_time_is_refused() {
    let dir = with_ada();
    let dir = dir.path();
    std::fs::write(dir.join("clock"), "noon").expect("written");
    let err = refused(dir, &["serve", "--rehearse", "--clock", "clock"]);
    assert!(err.contains("clock shows no time"), "{err}");
    assert!(refused(dir, &["serve", "--rehearse", "--clock", "none"]).contains("none"));
}

#[test]
fn the_daemon_runs_neither_as_root_nor_with_a_password_that_everybody_may_read() {
    let dir = empty_dir();
    let serve = |args: &[&str], mode: u32, smtp: &str| {
        let file = dir.path().join("fahrplan.toml");
        // Nobody is named as the sender, so it ends in any case, and why tells how far it came.
        let toml = format!(
            "[database]\nurl = \"sqlite:test.db\"\n[http]\nlisten = \"127.0.0.1:0\"\n[smtp]\nurl = \"{smtp}\"\n"
        );
        std::fs::write(&file, toml).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        refused(dir.path(), &[&["serve"], args].concat())
    };
    let (plain, secret, last) =
        ("smtp://127.0.0.1:25", "smtp://me:geheim@127.0.0.1:25", "as the sender of mail");
    let is_root = std::fs::metadata("/proc/self").expect("a process").uid() == 0;
    let expected = if is_root { "`serve` does not run as root" } else { last };
    assert!(serve(&[], 0o600, plain).contains(expected));
    assert_eq!(dir.path().join("test.db").exists(), !is_root, "it is refused before anything is made");
    assert!(serve(&["--allow-root"], 0o644, plain).contains(last));
    assert!(serve(&["--rehearse"], 0o644, plain).contains(last));
    for args in [&["--allow-root"][..], &["--rehearse"]] {
        let told = serve(args, 0o644, secret);
        assert!(told.contains("fahrplan.toml holds a password") && told.contains("`chmod 640 "), "{told}");
        assert!(!told.contains("geheim"), "{told}");
        assert!(serve(args, 0o640, secret).contains(last));
    }
}

// ---------------------------------------------------------------- codes

#[test]
fn codes_go_into_a_declared_pool_each_once_and_bad_rows_are_kept() {
    let dir = project();
    let dir = dir.path();
    std::fs::write(
        dir.join("codes.csv"),
        "code,expires,from\nA1,2030-01-31,x\nA2,,x\nA1,2030-01-31,x\n,,x\nA3,soon,x\n",
    )
    .expect("written");
    assert_eq!(fahrplan(dir, &["deploy", "--yes"]).code, 0);
    let err = refused(dir, &["import", "codes", "codes.csv", "--pool", "spring"]);
    assert!(
        err.contains("no pool is called `spring`") && err.contains("declare one with `pool NAME"),
        "{err}"
    );
    let schema = "contact { email: email? }\npool spring \"Codes\" { code: text, expires: date? }\n";
    std::fs::write(dir.join("schema.journey"), schema).expect("written");
    assert_eq!(fahrplan(dir, &["deploy", "--yes"]).code, 0);
    let err = refused(dir, &["import", "codes", "codes.csv"]);
    assert!(err.contains("nothing says into which pool") && err.contains("there are spring"), "{err}");

    let Ran { code, out, .. } = fahrplan(dir, &["import", "codes", "codes.csv", "--pool", "spring"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("line 5: `code` is empty\nline 6: `expires`: "), "{out}");
    assert!(out.contains("`spring` has 2 codes to give\n2 new codes, 1 seen before, 2 rejected;"), "{out}");
    let rejected = std::fs::read_to_string(dir.join("codes.csv.rejected")).expect("there");
    assert_eq!(rejected, "code,expires,from\n,,x\nA3,soon,x\n");

    std::fs::write(dir.join("more.csv"), "number\nA1\n").expect("written");
    let err = refused(dir, &["import", "codes", "more.csv", "--pool", "spring"]);
    assert!(err.contains("no column is called `code`") && err.contains("code, expires"), "{err}");
    let again = "code,expires\nA1,2030-01-31\nA2,\n";
    std::fs::write(dir.join("again.csv"), again).expect("written");
    let told = fine(dir, &["import", "codes", "again.csv", "--pool", "spring"]);
    assert_eq!(told, "`spring` has 2 codes to give\n2 seen before\n");

    let open = "code,expires\nB1,2030-01-31\n\"B2,\nB3,\nB4,\n";
    std::fs::write(dir.join("open.csv"), open).expect("written");
    let Ran { code, out, .. } = fahrplan(dir, &["import", "codes", "open.csv", "--pool", "spring"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("line 3: a quote that opens here is never closed"), "{out}");
    assert!(out.contains("`spring` has 3 codes to give\n1 new code, 1 rejected;"), "{out}");
}

#[test]
fn a_file_with_semicolons_is_read_as_it_was_meant_and_that_is_told() {
    let dir = with_ada();
    let dir = dir.path();
    let text =
        "user_id;email;consent_marketing_email\r\ns1;\"semi@example.org\";yes\r\ns2;two@example.org;no\r\n";
    std::fs::write(dir.join("people.csv"), text).expect("written");
    let told = fine(dir, &["import", "contacts", "people.csv"]);
    assert_eq!(
        told,
        "the columns are separated by semicolons, as a German Excel writes them: read so\n2 new contacts\n"
    );
    let shown = fine(dir, &["contact", "show", "s1"]);
    assert!(shown.contains("semi@example.org"), "{shown}");
}

// ---------------------------------------------------------------- the world outside

#[test]
fn check_tells_of_requests_that_would_be_refused_and_of_sources_that_fit_nothing() {
    let dir = crate::cli::empty_dir();
    let dir = dir.path();
    let write = |file: &str, text: &str| std::fs::write(dir.join(file), text).expect("written");
    let toml = "[project]\nname = \"test\"\n[database]\nurl = \"sqlite:test.db\"\n";
    let schema = |url: &str| {
        format!(
            "contact {{ email: email? }}\nevent order_paid \"Paid\" from \"Order Paid\" {{ value: decimal }}\nendpoint crm.note {{ url \"{url}\" }}\n"
        )
    };
    let checked = |url: &str, more: &str| {
        write("schema.journey", &schema(url));
        write("fahrplan.toml", &format!("{toml}{more}"));
        fahrplan(dir, &["check"])
    };
    for url in [
        "http://localhost:8080/x",
        "http://127.0.0.1/x",
        "http://10.1.2.3:8443/x",
        "http://[::1]:8080/x",
        "https://crm.internal/x",
        "https://crm/x",
        "https://crm.office.local/x",
    ] {
        let ran = checked(url, "");
        assert!(
            ran.code == 0 && ran.out.contains("warning[W1104]") && ran.out.contains("schema.journey:3:25"),
            "{url}: {} {}",
            ran.out,
            ran.err
        );
        let host = url.split('/').nth(2).expect("a host");
        assert!(ran.out.contains(&format!("`allow = [\"{host}\"]`")), "{}", ran.out);
        assert_eq!(fahrplan(dir, &["check", "--deny", "warnings"]).code, 1);
        // What it tells to write ends it.
        let ran = checked(url, &format!("[requests]\nallow = [\"{host}\"]\n"));
        assert!(!ran.out.contains("W1104"), "{}", ran.out);
    }
    for url in ["https://crm.example.org/x", "secret:crm_url", "https://203.0.113.7.example.org/"] {
        assert!(!checked(url, "").out.contains("W1104"), "{url}");
    }
    // A network may hold the address of a name.
    let ran = checked("https://crm.internal/x", "[requests]\nallow = [\"10.0.0.0/8\"]\n");
    assert!(!ran.out.contains("W1104"), "{}", ran.out);

    let source =
        |keys: &str| format!("[sources.shop]\nsecret = \"secret:shop\"\nuser = \"/customer/id\"\n{keys}");
    let fine = "https://crm.example.org/x";
    for keys in [
        "event = \"/type\"\nid = \"data.id\"\n",
        "event = \"/type\"\nat = \"created\"\n",
        "event = \"/type\"\nproperties = \"data\"\n",
        "event = \"/type\"\nfields = { value = \"total\" }\n",
    ] {
        let ran = checked(fine, &source(keys));
        assert!(ran.code == 1 && ran.err.contains("is no place"), "{keys}: {} {}", ran.out, ran.err);
    }
    for keys in
        ["event = \"order_piad\"\n", "event = \"/type\"\nevents = { \"order/paid\" = \"order_piad\" }\n"]
    {
        let ran = checked(fine, &source(keys));
        let all =
            ["E0101", "fahrplan.toml:", "did you mean `order_paid`?"].iter().all(|one| ran.out.contains(one));
        assert!(ran.code == 1 && all, "{keys}: {} {}", ran.out, ran.err);
    }
    for keys in [
        "event = \"/type\"\n",
        "event = \"Order Paid\"\n",
        "event = \"/type\"\nid = \"/data/id\"\nevents = { \"order/paid\" = \"order_paid\" }\nfields = { value = \"/total\" }\n",
    ] {
        let ran = checked(fine, &source(keys));
        assert_eq!(ran.code, 0, "{keys}: {} {}", ran.out, ran.err);
    }
}
