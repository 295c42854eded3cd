//! A new project, taken all the way from `init` to a mail in a mailbox by the commands that people use.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fahrplan::channels::mailbox::{Mailbox, MailboxConfig};

use crate::cli::{empty_dir, fahrplan};

/// `serve`, ended when the test is.
struct Serving(Child);

impl Serving {
    fn start(dir: &Path, relay: &str) -> Serving {
        let child = Command::new(env!("CARGO_BIN_EXE_fahrplan"))
            .args(["serve", "--allow-root"])
            .current_dir(dir)
            .env_clear()
            .env("FAHRPLAN_SMTP_URL", relay)
            .env("FAHRPLAN_HTTP_LISTEN", "127.0.0.1:0")
            .stderr(Stdio::null())
            .spawn();
        Serving(child.expect("the binary is built before the tests"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn fine(dir: &Path, args: &[&str]) {
    let ran = fahrplan(dir, args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
}

#[tokio::test]
async fn a_new_project_sends_its_first_mail_whatever_its_folder_is_called() {
    let above = empty_dir();
    fine(above.path(), &["init", "Café Müller: \"7\""]);
    let dir = above.path().join("Café Müller: \"7\"");
    // Quiet hours would hold the mail if this runs at night.
    let policies = std::fs::read_to_string(dir.join("policies.journey")).expect("there");
    let awake: String = policies.split_inclusive('\n').filter(|line| !line.contains("quiet hours")).collect();
    assert_ne!(awake, policies);
    let event = r#"{"type": "track", "userId": "u1", "event": "signed_up", "messageId": "a", "properties": {"source": "web"}}"#;
    for (file, text) in [
        ("policies.journey", awake.as_str()),
        ("people.csv", "user_id,email,consent_marketing_email\nu1,ada@example.org,yes\n"),
        ("events.jsonl", event),
    ] {
        std::fs::write(dir.join(file), text).expect("written");
    }
    fine(&dir, &["deploy", "--yes"]);
    fine(&dir, &["import", "contacts", "people.csv"]);
    fine(&dir, &["import", "events", "events.jsonl", "--live"]);

    // What is edited after the deploy is not sent before the next one.
    for file in std::fs::read_dir(dir.join("templates/welcome")).expect("there") {
        let file = file.expect("read").path();
        let text = std::fs::read_to_string(&file).expect("read");
        std::fs::write(&file, text.replace("</p>", " edited</p>")).expect("written");
    }
    let mailbox = Mailbox::start(MailboxConfig::default()).await.expect("a mailbox");
    let serving = Serving::start(&dir, &mailbox.url());
    let mut arrivals = mailbox.arrivals();
    let arrived =
        tokio::time::timeout(Duration::from_secs(30), arrivals.wait_for(|number| *number > 0)).await;
    drop(serving);
    let status = fahrplan(&dir, &["status"]).out;
    arrived.unwrap_or_else(|_| panic!("nothing was sent: {status}")).expect("the mailbox is open");
    let stored = mailbox.message(1).expect("kept");
    assert_eq!(stored.to, "ada@example.org");
    assert_eq!(stored.letter.header("Feedback-ID"), Some("welcome:welcome:email:Caf--M-ller---7-"));
    assert!(stored.letter.header("List-Unsubscribe").is_some());
    assert!(!String::from_utf8_lossy(&stored.raw).contains("edited"));
    assert!(status.contains("not deployed") && status.contains("~ templates/welcome/"), "{status}");
    let deployed = fahrplan(&dir, &["deploy", "--yes"]);
    assert!(
        deployed.code == 0 && deployed.out.contains("~ templates/welcome/"),
        "{}{}",
        deployed.out,
        deployed.err
    );
    assert!(!fahrplan(&dir, &["status"]).out.contains("not deployed"));
    assert!(fahrplan(&dir, &["deploy", "--yes"]).out.contains("Nothing to do"));
}
