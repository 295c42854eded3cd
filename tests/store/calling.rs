//! Who is called what: addresses that move, are exchanged and shared, against a model that is plain to see.

use std::collections::BTreeSet;

use fahrplan::engine::program::Catalog;
use fahrplan::engine::world::{Fields, Input};
use fahrplan::intake::Who;
use fahrplan::store::identities::{self, Kind};
use fahrplan::store::import::{self, Imported, Person};
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::{Store, contacts, history};
use fahrplan::time::Timestamp;

use super::advancing::{advance, open};
use super::on_all;
use crate::engine::build::*;

fn start() -> Timestamp {
    at("2026-05-01T10:00")
}

fn catalog_with(unique: bool) -> Catalog {
    let mut catalog = catalog();
    for attribute in &mut catalog.attributes {
        attribute.unique = unique && &*attribute.name == "email";
    }
    catalog
}

/// What one item says of whom.
#[derive(Clone, Debug, Default)]
struct Said {
    user: Option<String>,
    anonymous: Option<String>,
    email: Option<String>,
}

impl Said {
    fn who(&self) -> Who {
        let Said { user, anonymous, email } = self.clone();
        Who { user_id: user, anonymous_id: anonymous, email, ..Who::default() }
    }

    fn attributes(&self) -> Fields {
        self.email.iter().map(|email| ("email".into(), text(email))).collect()
    }
}

fn user(id: &str, email: &str) -> Said {
    Said { user: Some(id.to_owned()), email: Some(email.to_owned()), anonymous: None }
}

async fn import(store: &Store, said: &[Said]) -> Imported {
    let person =
        |said: &Said| Person { who: said.who(), attributes: said.attributes(), consents: Vec::new() };
    let people: Vec<Person> = said.iter().map(person).collect();
    let imported = import::contacts(store, &people, start()).await.expect("imported");
    // The second time for what the first one causes.
    for _ in 0..2 {
        advance(store, start()).await;
    }
    imported
}

async fn identify(store: &Store, said: &[Said]) {
    let item = |said: &Said| Incoming {
        to: To::Who(said.who()),
        message_id: None,
        input: Input::Attributes { values: said.attributes(), at: start() },
    };
    store.accept(said.iter().map(item).collect(), start()).await.expect("accepted");
    for _ in 0..3 {
        advance(store, start()).await;
    }
}

/// Everybody, by what they are called: identities, and in brackets the address that mail goes to.
async fn everybody(store: &Store) -> BTreeSet<String> {
    let mut conn = store.read().await.expect("a connection");
    const ALL: &str = "SELECT id FROM contacts WHERE merged_into IS NULL";
    let mut all = BTreeSet::new();
    for row in conn.fetch(ALL, Vec::new()).await.expect("read") {
        let id = fahrplan::id::ContactId(row.i64(0).expect("an id"));
        let contact = contacts::load(&mut conn, id).await.expect("read").expect("there");
        let called: Vec<String> = contact.identities.into_iter().map(|(_, value)| value).collect();
        let address = contact.attributes.get("email").and_then(|value| value.as_text()).unwrap_or("-");
        all.insert(format!("{} [{}]", called.join(" "), identities::normal(Kind::Email, address)));
    }
    all
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn two_who_exchange_their_addresses_have_exchanged_them() {
    for unique in [true, false] {
        on_all(async |database| {
            let store = open(&database, &catalog_with(unique), &[], start()).await;
            import(&store, &[user("m1", "a@x.org"), user("m2", "b@x.org")]).await;
            let imported = import(&store, &[user("m1", "b@x.org"), user("m2", "A@x.org")]).await;
            assert_eq!((imported.known, imported.bereft.len()), (2, 0));
            assert_eq!(everybody(&store).await, set(&["m1 b@x.org [b@x.org]", "m2 a@x.org [a@x.org]"]));
            // One after the other, as calls come.
            identify(&store, &[user("m1", "a@x.org")]).await;
            identify(&store, &[user("m2", "b@x.org")]).await;
            assert_eq!(everybody(&store).await, set(&["m1 a@x.org [a@x.org]", "m2 b@x.org [b@x.org]"]));
        });
    }
}

#[test]
fn an_address_said_twice_in_a_file_is_the_last_one_however_often_it_is_imported() {
    for unique in [true, false] {
        on_all(async |database| {
            let store = open(&database, &catalog_with(unique), &[], start()).await;
            for _ in 0..3 {
                import(&store, &[user("l1", "a@x.org"), user("l1", "b@x.org")]).await;
                assert_eq!(everybody(&store).await, set(&["l1 b@x.org [b@x.org]"]));
            }
        });
    }
}

#[test]
fn an_address_that_was_left_in_the_same_file_is_free() {
    for unique in [true, false] {
        on_all(async |database| {
            let store = open(&database, &catalog_with(unique), &[], start()).await;
            let file = [user("m1", "m1a@x.org"), user("m1", "m1b@x.org"), user("m2", "m1a@x.org")];
            for _ in 0..2 {
                let imported = import(&store, &file).await;
                assert_eq!(imported.bereft.len(), 0);
                let both = set(&["m1 m1b@x.org [m1b@x.org]", "m2 m1a@x.org [m1a@x.org]"]);
                assert_eq!(everybody(&store).await, both);
            }
        });
    }
}

#[test]
fn who_loses_an_address_is_named_and_its_history_tells() {
    on_all(async |database| {
        let store = open(&database, &catalog_with(true), &[], start()).await;
        import(&store, &[user("m1", "a@x.org")]).await;
        let imported = import(&store, &[user("m2", "a@x.org")]).await;
        let mut conn = store.read().await.expect("a connection");
        let m1 = contacts::by_key(&mut conn, "m1").await.expect("read").expect("there").id;
        assert_eq!(imported.bereft.into_iter().collect::<Vec<_>>(), [m1]);
        let told = format!("{:?}", history::of_contact(&mut conn, m1).await.expect("read"));
        assert!(told.contains("`email` was cleared"), "{told}");
        drop(conn);
        assert_eq!(everybody(&store).await, set(&["m1 [-]", "m2 a@x.org [a@x.org]"]));
    });
}

#[test]
fn somebody_without_a_user_id_takes_no_address_away() {
    on_all(async |database| {
        let store = open(&database, &catalog_with(true), &[], start()).await;
        let browser = |user: Option<&str>, email: Option<&str>| Said {
            user: user.map(str::to_owned),
            anonymous: Some("kiosk".to_owned()),
            email: email.map(str::to_owned),
        };
        import(&store, &[user("m1", "a@x.org"), browser(Some("m2"), None)]).await;
        let left_out = import(&store, &[browser(None, Some("a@x.org"))]).await.left_out;
        identify(&store, &[browser(None, Some("a@x.org"))]).await;
        assert_eq!(left_out, 1);
        assert_eq!(everybody(&store).await, set(&["m1 a@x.org [a@x.org]", "m2 kiosk [-]"]));
    });
}

// ---------------------------------------------------------------- the model

#[derive(Clone, Debug, Default)]
struct Known {
    user: Option<String>,
    anonymous: BTreeSet<String>,
    email: Option<String>,
    gone: bool,
}

/// The rules of `identities`, one contact after another, the older first.
#[derive(Debug, Default)]
struct Model {
    unique: bool,
    all: Vec<Known>,
}

impl Model {
    fn find(&self, is_it: impl Fn(&Known) -> bool) -> Option<usize> {
        self.all.iter().position(|known| !known.gone && is_it(known))
    }

    fn say(&mut self, said: &Said) {
        let by_user = said.user.as_ref().map(|id| self.find(|k| k.user.as_ref() == Some(id)));
        let by_browser = said.anonymous.as_ref().map(|id| self.find(|k| k.anonymous.contains(id)));
        let alone = said.user.is_none() && said.anonymous.is_none();
        let email = said.email.as_ref().map(|email| email.to_lowercase());
        let told = email.as_ref().filter(|_| self.unique || alone);
        let by_email = told.map(|email| self.find(|k| k.email.as_ref() == Some(email)));
        let mut target = None;
        for (place, found) in [by_user, by_browser, by_email].into_iter().enumerate() {
            let Some(mut found) = found.flatten() else { continue };
            while self.all[found].gone {
                // Merged a moment ago into what was found before.
                found = target.expect("something was found before");
            }
            target = match target {
                None if place == 0 || said.user.is_none() || self.all[found].user.is_none() => Some(found),
                Some(kept)
                    if kept != found
                        && !(self.all[kept].user.is_some() && self.all[found].user.is_some()) =>
                {
                    Some(self.merge(kept.min(found), kept.max(found)))
                }
                other => other,
            };
        }
        let target = target.unwrap_or_else(|| {
            self.all.push(Known::default());
            self.all.len() - 1
        });
        if let Some(id) = &said.user
            && self.find(|k| k.user.as_ref() == Some(id)).is_none()
        {
            self.all[target].user = Some(id.clone());
        }
        if let Some(id) = &said.anonymous
            && self.find(|k| k.anonymous.contains(id)).is_none()
        {
            self.all[target].anonymous.insert(id.clone());
        }
        let Some(email) = email else { return };
        if self.unique
            && let Some(holder) =
                self.find(|k| k.email.as_ref() == Some(&email)).filter(|holder| *holder != target)
        {
            if said.user.is_none() {
                return;
            }
            self.all[holder].email = None;
        }
        self.all[target].email = Some(email);
    }

    fn merge(&mut self, winner: usize, loser: usize) -> usize {
        let lost = std::mem::replace(&mut self.all[loser], Known { gone: true, ..Known::default() });
        let kept = &mut self.all[winner];
        kept.user = kept.user.take().or(lost.user);
        kept.anonymous.extend(lost.anonymous);
        kept.email = kept.email.take().or(lost.email);
        winner
    }

    fn everybody(&self) -> BTreeSet<String> {
        let line = |known: &Known| {
            let email = known.email.as_ref();
            let called = known.user.iter().chain(&known.anonymous).chain(email);
            let called: Vec<&str> = called.map(String::as_str).collect();
            format!("{} [{}]", called.join(" "), email.map_or("-", String::as_str))
        };
        self.all.iter().filter(|known| !known.gone).map(line).collect()
    }
}

/// A small source of chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn said(&mut self, seed: u64) -> Said {
        let mut some = |percent: u64, kinds: u64, prefix: &str| {
            (self.below(100) < percent).then(|| format!("{prefix}{}", self.below(kinds)))
        };
        let user = some(75, 4, &format!("s{seed}u"));
        let anonymous = some(if user.is_some() { 20 } else { 60 }, 3, &format!("s{seed}b"));
        let mut email = some(if user.is_some() || anonymous.is_some() { 80 } else { 100 }, 4, "e");
        if let Some(email) = &mut email {
            let name = if self.below(3) == 0 { "S" } else { "s" };
            *email = format!("{name}{seed}{email}@x.org");
        }
        Said { user, anonymous, email }
    }
}

#[test]
fn any_sequence_of_imports_and_identifies_ends_as_the_model_says() {
    for unique in [true, false] {
        on_all(async |database| {
            let stores = [open(&database, &catalog_with(unique), &[], start()).await, database.open().await];
            let mut expected = BTreeSet::new();
            for seed in 0..12 {
                let mut chance = Chance(seed);
                let mut model = Model { unique, ..Model::default() };
                let mut log = Vec::new();
                for _ in 0..10 {
                    let store = &stores[chance.below(2) as usize];
                    let said: Vec<Said> = (0..=chance.below(3)).map(|_| chance.said(seed)).collect();
                    let by_import = chance.below(2) == 0;
                    log.push(format!("{} {said:?}", if by_import { "import" } else { "identify" }));
                    match by_import {
                        true => _ = import(store, &said).await,
                        false => identify(store, &said).await,
                    }
                    said.iter().for_each(|said| model.say(said));
                    let (mut everybody, mut modelled) = (everybody(store).await, model.everybody());
                    for lines in [&mut everybody, &mut modelled] {
                        lines.retain(|line| !expected.contains(line));
                    }
                    assert_eq!(everybody, modelled, "seed {seed}, after\n{}", log.join("\n"));
                }
                expected.extend(model.everybody());
            }
        });
    }
}
