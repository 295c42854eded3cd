use std::path::Path;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn said(text: &str) -> String {
    let (_, problems) = Config::read(text, &BTreeMap::new());
    problems.iter().map(|problem| problem.render(FILE, text, false)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [project]
        name = "shop"
        zone = "Europe/Berlin"
        locale = "de"
        [locales]
        "de-AT" = ["de", "en"]
        [calendar]
        holidays = "holidays.csv"
        region = "DE-BE"
        [database]
        url = "postgres://fahrplan@db/shop"
        [http]
        listen = "0.0.0.0:80"
        public_url = "https://mail.example.org/"
        [smtp]
        url = "starttls://mail:587"
        from = "Shop <news@example.org>"
        connections = 8
        [requests]
        allow = ["crm.internal:8443", "10.1.0.0/16"]
        [letters]
        folder = "/var/spool/letters"
        at = "09:30"
        [audiences]
        folder = "/var/spool/audiences"
        every_minutes = 15
        [secrets]
        crm_file = "keys/crm"
        [brand]
        name = "Shop"
    "#;
    let (config, problems) = Config::read(text, &BTreeMap::new());
    assert_eq!(problems, []);
    assert_eq!(config.locales["de-AT"], ["de", "en"]);
    assert_eq!(config.public_url(), "https://mail.example.org");
    assert_eq!((config.smtp.connections, config.http.listen.port()), (8, 80));
    assert_eq!(config.requests.allow, ["crm.internal:8443", "10.1.0.0/16"]);
    assert_eq!(config.letters.folder, PathBuf::from("/var/spool/letters"));
    assert_eq!(Some(config.letters.at), crate::time::TimeOfDay::new(9, 30, 0));
    assert_eq!(config.audiences.folder, PathBuf::from("/var/spool/audiences"));
    assert_eq!(config.audiences.every_ms(), 15 * 60_000);
    assert_eq!(config.secrets["crm"], PathBuf::from("keys/crm"));
    assert_eq!(config.calendar.region.as_deref(), Some("DE-BE"));
}

#[test]
fn one_mistake_in_each_section_is_told_with_its_line_and_a_way_out() {
    let text =
        "[project]\nzone = \"Europe/Berln\"\n\n[databse]\nurl = \"sqlite:x.db\"\n\n[smtp]\nconections = 4\n";
    assert_eq!(
        said(text),
        "\
error: `Europe/Berln` is no time zone; write one such as `Europe/Berlin`
 --> fahrplan.toml:2:8
  |
2 | zone = \"Europe/Berln\"
  |        ^^^^^^^^^^^^^^

error: unknown section `databse`
 --> fahrplan.toml:4:2
  |
4 | [databse]
  |  ^^^^^^^
  |
  = help: did you mean `[database]`?

error: unknown key `conections` in `[smtp]`
 --> fahrplan.toml:8:1
  |
8 | conections = 4
  | ^^^^^^^^^^
  |
  = help: did you mean `connections`?
"
    );
}

#[test]
fn what_is_not_built_is_refused_by_its_name() {
    let text = said("[smtp.dkim]\nselector = \"s1\"\n");
    assert!(text.contains("`smtp.dkim` is not available yet"), "{text}");
    assert!(said("[environments.test]\n").contains("`environments` is not available yet"));
}

#[test]
fn an_address_that_would_make_every_mail_malformed_is_refused() {
    for url in ["https://mail.müller.example", "https://mail.example.org/a b", "https://<mail>"] {
        let text = said(&format!("[http]\npublic_url = \"{url}\"\n"));
        assert!(text.contains("links in mails can only have ASCII"), "{url}: {text}");
    }
}

#[test]
fn a_password_in_a_url_is_not_repeated_and_a_secret_in_the_file_is_refused() {
    let text = "[smtp]\nurl = \"smpt://me:hunter2@mail\"\n";
    let (_, problems) = Config::read(text, &BTreeMap::new());
    assert!(!problems[0].message.contains("hunter2"), "{problems:?}");
    let text = said("[secrets]\ncrm = \"s3cret\"\n");
    assert!(text.contains("write `crm_file = \"keys/crm\"`"), "{text}");
}

#[test]
fn the_environment_is_stronger_than_the_file() {
    let variables = environment(&[
        ("FAHRPLAN_DATABASE_URL", "sqlite:other.db"),
        ("FAHRPLAN_SMTP_CONNECTIONS", "9"),
        // After a number.
        ("FAHRPLAN_SMTP_URL", "smtp://127.0.0.1:2525"),
        ("FAHRPLAN_HTTP_PER_ADDRESS", "7"),
        ("FAHRPLAN_HTTP_PER_KEY", "8"),
        ("FAHRPLAN_HTTP_PUBLIC_URL", "https://mail.example.org"),
        ("FAHRPLAN_BRAND_NAME", "7"),
        ("FAHRPLAN_HTTP_LISTEN", "127.0.0.1:1"),
        ("FAHRPLAN_LOG", "json"),
        ("FAHRPLAN_TEST_POSTGRES", "x"),
    ]);
    let (config, problems) = Config::read("[database]\nurl = \"sqlite:a.db\"\n", &variables);
    assert_eq!(problems, []);
    assert_eq!((config.database.url.as_str(), config.smtp.connections), ("sqlite:other.db", 9));
    assert_eq!((config.brand["name"].as_str(), config.http.listen.port()), ("7", 1));
    assert_eq!((config.smtp.url.as_str(), config.http.per_key), ("smtp://127.0.0.1:2525", 8));
    assert_eq!(config.http.public_url.as_deref(), Some("https://mail.example.org"));
}

#[test]
fn a_variable_that_cannot_be_used_is_told_by_its_name() {
    let variables = environment(&[
        ("FAHRPLAN_DATABSE_URL", "sqlite:x.db"),
        ("FAHRPLAN_HTTP_LISTEN", "8600"),
        ("FAHRPLAN_SMTP_FORM", "x"),
    ]);
    let (_, problems) = Config::read("", &variables);
    let told: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for name in variables.keys() {
        assert!(told.iter().any(|message| message.contains(name)), "{name}: {told:?}");
    }
}

#[test]
fn a_misspelled_variable_is_told_with_the_one_that_was_meant() {
    for (wrong, meant) in [
        ("FAHRPLAN_DATABSE_URL", "FAHRPLAN_DATABASE_URL"),
        ("FAHRPLAN_DATABASE_ULR", "FAHRPLAN_DATABASE_URL"),
        ("FAHRPLAN_HTTP_LISTN", "FAHRPLAN_HTTP_LISTEN"),
        ("FAHRPLAN_SMTP_FORM", "FAHRPLAN_SMTP_FROM"),
        ("FAHRPLAN_HTTP_PUBLICURL", "FAHRPLAN_HTTP_PUBLIC_URL"),
        ("FAHRPLAN_LOGS", "FAHRPLAN_LOG"),
    ] {
        let (_, problems) = Config::read("", &environment(&[(wrong, "x")]));
        let help = problems.first().and_then(|problem| problem.help.as_deref()).unwrap_or_default();
        assert_eq!(help, format!("did you mean `{meant}`?"), "{wrong}");
    }
}

#[test]
fn every_key_of_a_section_has_its_variable() {
    for section in ["project", "calendar", "database", "http", "smtp"] {
        let text = format!("[{section}]\nxyzzy = 1\n");
        let (_, problems) = Config::read(&text, &BTreeMap::new());
        let help = problems[0].help.as_deref().expect("the keys are listed");
        let keys = help.split_once(" are ").expect("a list").1.split(", ");
        let listed: Vec<String> = keys.map(|key| format!("{section}_{key}").to_uppercase()).collect();
        let known = environment::VARIABLES
            .iter()
            .filter(|name| name.starts_with(&format!("{}_", section.to_uppercase())));
        let mut known: Vec<String> = known.map(|name| (*name).to_owned()).collect();
        known.sort_by_key(|name| listed.iter().position(|listed| listed == name));
        assert_eq!(known, listed, "{section}");
    }
}

#[test]
fn broken_toml_has_a_place() {
    let text = said("[project\nname = 1\n");
    assert!(text.contains("fahrplan.toml:1:9"), "{text}");
}

#[test]
fn holidays_of_a_region_are_those_without_one_too() {
    let text = "date,region\n2026-12-25,\n2026-06-04,DE-BY\n2026-03-08,DE-BE\n";
    let berlin = holidays(text, Some("DE-BE")).expect("dates");
    assert_eq!(berlin.0.len(), 2);
    assert_eq!(holidays(text, None).expect("dates").0.len(), 3);
    let wrong = holidays("date,region\n25.12.2026,\n", None).expect_err("no date");
    assert_eq!((wrong.len(), wrong[0].place.clone()), (1, Some(12..22)));
    assert!(holidays("day\n2026-12-25\n", None).is_err());
    let elsewhere = holidays(text, Some("BE")).expect_err("a region that is not there");
    assert_eq!(elsewhere[0].message, "no holiday has the region `BE`");
    assert!(
        elsewhere[0].help.as_deref().is_some_and(|help| help.starts_with("the file has `DE-BE`, `DE-BY`"))
    );
    assert_eq!(holidays("date\n2026-12-25\n", Some("BE")).expect("without regions").0.len(), 1);
}

#[test]
fn a_secret_comes_from_the_environment_before_the_file() {
    let (config, _) = Config::read("[secrets]\ncrm_file = \"nowhere\"\n", &BTreeMap::new());
    let variables = environment(&[("FAHRPLAN_SECRET_CRM", "s3cret")]);
    let secrets = Secrets::new(&config, Path::new("/"), &variables);
    assert_eq!(secrets.resolve("secret:crm").map(|s| s.reveal().to_owned()).ok(), Some("s3cret".to_owned()));
    let secrets = Secrets::new(&config, Path::new("/"), &BTreeMap::new());
    assert!(matches!(secrets.get("crm"), Err(NoSecret::Unreadable(..))));
    assert!(matches!(secrets.get("sms"), Err(NoSecret::Missing)));
}
