//! The scripts of tasks as they are deployed, filled in for the pages of those who call.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json};

use crate::channels::script::Script;
use crate::engine::program::Catalog;
use crate::engine::world::Fields;
use crate::http::tasks::Scripts;
use crate::lang::template::LocaleChain;
use crate::store::deliveries::Person;
use crate::store::tasks::{self, Task};
use crate::store::{Result, Store, journeys, templates};

/// The scripts of the newest deploy, read once.
pub struct Shelf {
    store: Store,
    newest: Mutex<Option<Arc<Deploy>>>,
}

struct Deploy {
    generation: i64,
    /// By path, such as `calls/winback.de.md`.
    scripts: BTreeMap<String, Script>,
    chain: LocaleChain,
    brand: BTreeMap<String, String>,
}

impl Shelf {
    /// Those of a store.
    pub fn new(store: Store) -> Shelf {
        Shelf { store, newest: Mutex::default() }
    }

    async fn newest(&self, generation: i64) -> Result<Arc<Deploy>> {
        let kept = || self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(deploy) = kept().as_ref().filter(|deploy| deploy.generation == generation) {
            return Ok(Arc::clone(deploy));
        }
        let stored = templates::load(&mut self.store.read().await?, generation).await?;
        let chain = stored.chain();
        let mut scripts = BTreeMap::new();
        for (path, text) in stored.scripts {
            match Script::read(&text) {
                Ok(script) => _ = scripts.insert(path, script),
                // A deploy refuses what cannot be read; another version of this program may see it otherwise.
                Err(why) => tracing::error!(path, why, "a deployed script cannot be read"),
            }
        }
        let deploy = Arc::new(Deploy { generation, scripts, chain, brand: stored.brand });
        *kept() = Some(Arc::clone(&deploy));
        Ok(deploy)
    }

    async fn render(&self, task: &Task, attributes: Fields) -> Result<Option<String>> {
        let deployed = journeys::deployed(&mut self.store.read().await?).await?;
        let catalog = &deployed.catalog;
        let declared = tasks::declared(catalog, &task.work);
        let Some(name) = declared.as_ref().and_then(|task| task.script.as_deref()) else {
            return Ok(None);
        };
        let deploy = self.newest(deployed.generation).await?;
        let person = Person { attributes, ..Person::default() };
        let locale = person.locale(catalog);
        let of = |locale: &str| format!("{name}.{locale}.md");
        let chosen = deploy.chain.choose(Some(&locale), |locale| deploy.scripts.contains_key(&of(locale)));
        let path = chosen.map_or_else(|| format!("{name}.md"), of);
        let Some(script) = deploy.scripts.get(&path) else { return Ok(None) };
        match script.render(&context(catalog, &deploy.brand, task, &person)) {
            Ok(html) => Ok(Some(html)),
            Err(why) => {
                tracing::error!(path, why, "a script cannot be filled in");
                Ok(None)
            }
        }
    }
}

impl Scripts for Shelf {
    fn script<'a>(
        &'a self,
        task: &'a Task,
        attributes: Fields,
    ) -> Pin<Box<dyn Future<Output = Result<Option<String>>> + Send + 'a>> {
        Box::pin(self.render(task, attributes))
    }
}

fn context(catalog: &Catalog, brand: &BTreeMap<String, String>, task: &Task, person: &Person) -> Json {
    let mut context: Map<String, Json> =
        task.work.with.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
    let attribute = |name: &str| person.attribute(catalog, name).to_json();
    let mut contact: Map<String, Json> =
        catalog.attributes.iter().map(|a| (a.name.to_string(), attribute(&a.name))).collect();
    contact.insert("id".to_owned(), Json::String(task.contact.to_string()));
    let brand = brand.iter().map(|(name, text)| (name.clone(), Json::String(text.clone()))).collect();
    context.insert("contact".to_owned(), Json::Object(contact));
    context.insert("brand".to_owned(), Json::Object(brand));
    Json::Object(context)
}
