//! Templates as deployed, compiled and kept in memory: each deploy's are read once, and those of an older deploy as long as messages
//! that were first tried under it are on their way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::channels::template;
use crate::store::{Result, Store, templates};

/// Deploys whose templates are kept.
const KEPT: usize = 8;

/// What a message is written with.
pub struct Writing {
    pub templates: template::Templates,
    /// Free texts about the sender, `brand.*` in templates.
    pub brand: BTreeMap<String, String>,
}

/// The compiled templates by deploy. Shared by all deliveries; the lock is held for a look only.
#[derive(Default)]
pub struct Shelf {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_deploy: BTreeMap<i64, Arc<Writing>>,
    /// Templates that a deploy has not: whose are taken.
    elsewhere: HashMap<(i64, String), i64>,
}

impl Shelf {
    /// What a message of that template is written with under that deploy. A template that has been taken away since is that of the last
    /// deploy which had it, for those who are still on their way to it; `None`: no deploy has it.
    pub(super) async fn find(
        &self,
        store: &Store,
        generation: i64,
        template: &str,
        channel: &str,
    ) -> Result<Option<Arc<Writing>>> {
        let newest = self.of_deploy(store, generation).await?;
        if newest.templates.has_any(template, channel) {
            return Ok(Some(newest));
        }
        let key = (generation, template.to_owned());
        let known = self.kept().elsewhere.get(&key).copied();
        let nearest = match known {
            Some(nearest) => Some(nearest),
            None => templates::nearest_with(&mut store.read().await?, template, generation).await?,
        };
        let Some(nearest) = nearest else { return Ok(None) };
        self.kept().elsewhere.insert(key, nearest);
        self.of_deploy(store, nearest).await.map(Some)
    }

    async fn of_deploy(&self, store: &Store, generation: i64) -> Result<Arc<Writing>> {
        if let Some(writing) = self.kept().by_deploy.get(&generation) {
            return Ok(Arc::clone(writing));
        }
        let stored = templates::load(&mut store.read().await?, generation).await?;
        let chain = stored.chain();
        let (templates, errors) = template::Templates::compile(stored.files, chain);
        if let Some(error) = errors.first() {
            // A deploy refuses what cannot be compiled; another version of this program may see it otherwise.
            tracing::error!(path = error.path, why = error.message, "a deployed template cannot be read");
        }
        let writing = Arc::new(Writing { templates, brand: stored.brand });
        let mut kept = self.kept();
        if kept.by_deploy.len() >= KEPT {
            kept.by_deploy.pop_first();
            kept.elsewhere.clear();
        }
        kept.by_deploy.insert(generation, Arc::clone(&writing));
        Ok(writing)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
