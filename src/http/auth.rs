//! Who may come in: a key in `Authorization: Basic base64(KEY:)` or `Bearer KEY`, with scopes.
//!
//! Default deny: a handler asks for its scope, as its first argument, before the body is read. Keys are looked up in the store once in
//! a while and remembered for a second, so a key that another process revoked stays out after that; one that this process revoked
//! stays out at once.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Doors;
use super::problem::Problem;
use crate::clock::machine_now;
use crate::store::Store;
use crate::store::keys::{self, Key, Scope};
use crate::time::{SECOND, Timestamp};

/// How long a look-up is believed.
const REMEMBER_MS: i64 = SECOND;
/// The most look-ups remembered; beyond it all are forgotten, so that guessing costs us no memory.
const REMEMBER_KEYS: usize = 1_024;

/// The keys looked up lately, by their hash.
#[derive(Default)]
pub struct Gatekeeper {
    known: Mutex<HashMap<[u8; 32], Seen>>,
}

/// What a look-up found.
struct Seen {
    at: Timestamp,
    /// How many keys this process had revoked by then.
    revoked: u64,
    key: Option<Key>,
}

/// Proofs that the request came with a key that has the scope.
macro_rules! proofs {
    ($($proof:ident $scope:ident $may:literal;)*) => {$(
        #[doc = concat!("Proof that the request came with a key that may ", $may, ".")]
        #[derive(Clone, Debug)]
        pub struct $proof(pub Key);

        impl FromRequestParts<Doors> for $proof {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<$proof, Problem> {
                doors.gatekeeper.admit(&doors.store, &parts.headers, Scope::$scope).await.map($proof)
            }
        }
    )*};
}

proofs! {
    MayIngest Ingest "send events";
    MayRead Read "look at contacts and journeys";
    MayTasks Tasks "take and answer tasks";
}

impl Gatekeeper {
    /// The key that was given as such, if it has the scope.
    pub async fn admit_secret(&self, store: &Store, secret: &str, scope: Scope) -> Result<Key, Problem> {
        match self.look_up(store, secret).await? {
            Some(key) if key.scopes.contains(&scope) => Ok(key),
            Some(_) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "wrong-scope",
                format!("this key does not have the scope `{}`", scope.as_str()),
            )),
            None => {
                Err(Problem::new(StatusCode::UNAUTHORIZED, "unknown-key", "no such key, or it was revoked"))
            }
        }
    }

    /// The key of the request, if it has the scope.
    pub async fn admit(&self, store: &Store, headers: &HeaderMap, scope: Scope) -> Result<Key, Problem> {
        let Some(secret) = secret(headers) else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "no-key",
                format!(
                    "send a key as Basic user name or Bearer token; `fahrplan key create --scope {}` makes one",
                    scope.as_str()
                ),
            ));
        };
        self.admit_secret(store, &secret, scope).await
    }

    async fn look_up(&self, store: &Store, secret: &str) -> Result<Option<Key>, Problem> {
        let now = machine_now();
        let hash = *blake3::hash(secret.as_bytes()).as_bytes();
        let revoked = store.keys_revoked();
        if let Some(seen) = self.known.lock().expect("nothing panics while holding it").get(&hash)
            && (0..REMEMBER_MS).contains(&(now.0 - seen.at.0))
            && seen.revoked == revoked
        {
            return Ok(seen.key.clone().filter(|key| key.is_good(now)));
        }
        let mut conn = store.read().await?;
        let key = keys::find(&mut conn, secret, now).await?;
        drop(conn);
        if let Some(key) = &key {
            keys::touch(store, key, now).await?;
        }
        let mut known = self.known.lock().expect("nothing panics while holding it");
        if known.len() >= REMEMBER_KEYS {
            known.clear();
        }
        known.insert(hash, Seen { at: now, revoked, key: key.clone() });
        Ok(key)
    }
}

fn secret(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    Some(decoded.split_once(':').map_or(decoded.as_str(), |(name, _)| name).to_owned())
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_comes_as_basic_user_name_or_bearer_token() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            secret(&headers)
        };
        assert_eq!(with("Bearer fp_abc").as_deref(), Some("fp_abc"));
        assert_eq!(with("basic ZnBfYWJjOg==").as_deref(), Some("fp_abc"));
        assert_eq!(with("Basic %%%"), None);
        assert_eq!(with("Digest x"), None);
        assert_eq!(secret(&HeaderMap::new()), None);
    }
}
