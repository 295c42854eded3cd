//! The doors on a database of their own, for tests that speak with them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fahrplan::clock::{JourneyClock, machine_now};
use fahrplan::config::{Config, Secrets};
use fahrplan::http::connections::{self, Limits};
use fahrplan::http::{self, Doors, Settings};
use fahrplan::link::LinkKey;
use fahrplan::store::keys::{self, Scope};
use fahrplan::store::{Store, journeys};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::engine::build::catalog;
use crate::http::read_to_end;

/// Limits that a test can wait for.
pub(crate) const SOON: Limits = Limits {
    header: Duration::from_millis(300),
    piece: Duration::from_millis(300),
    request: Duration::from_secs(1),
    connections: 4,
};

/// Doors on a database of their own.
pub(crate) struct Open {
    pub store: Store,
    pub at: SocketAddr,
    pub key: String,
    pub stop: CancellationToken,
    pub directory: Option<tempfile::TempDir>,
    /// What is to be known of the doors from inside: their paths.
    pub router: String,
}

impl Open {
    pub(crate) async fn with(limits: Limits) -> Open {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let store = Store::open(&url).await.expect("the database opens");
        Open::on(store, limits, Some(directory)).await
    }

    pub(crate) async fn on(store: Store, limits: Limits, directory: Option<tempfile::TempDir>) -> Open {
        journeys::deploy(&store, &catalog(), &[], machine_now()).await.expect("deployed");
        Open::deployed(store, limits, directory).await
    }

    /// The doors of a store to which something has been deployed.
    pub(crate) async fn deployed(store: Store, limits: Limits, directory: Option<tempfile::TempDir>) -> Open {
        Open::reached_at("http://localhost", store, limits, directory).await
    }

    /// The doors as people reach them at an address.
    pub(crate) async fn reached_at(
        url: &str,
        store: Store,
        limits: Limits,
        directory: Option<tempfile::TempDir>,
    ) -> Open {
        Open::built(url, store, limits, directory, Settings::default()).await
    }

    /// The doors as a project has set them.
    pub(crate) async fn set(
        store: Store,
        limits: Limits,
        directory: Option<tempfile::TempDir>,
        settings: Settings,
    ) -> Open {
        Open::built("http://localhost", store, limits, directory, settings).await
    }

    async fn built(
        url: &str,
        store: Store,
        limits: Limits,
        directory: Option<tempfile::TempDir>,
        settings: Settings,
    ) -> Open {
        let key = key(&store, &[Scope::Ingest, Scope::Read, Scope::Tasks]).await;
        let doors = Doors {
            store: store.clone(),
            clock: JourneyClock::Machine,
            link_key: LinkKey::new([7; 32]),
            gatekeeper: Arc::default(),
            confirm_event: "confirmed".into(),
            sender: "Shop".into(),
            metrics: fahrplan::daemon::metrics(),
            public_url: url.into(),
            scripts: None,
            settings: Arc::new(settings),
            secrets: secrets(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let router = http::router(doors);
        let shown = format!("{router:?}");
        tokio::spawn(connections::serve(listener, router, limits, stop.clone()));
        Open { store, at, key, stop, directory, router: shown }
    }

    /// The address of the SQLite database.
    pub(crate) fn url(&self) -> String {
        let directory = self.directory.as_ref().expect("a file of its own");
        format!("sqlite:{}", directory.path().join("test.db").display())
    }

    /// The head of a POST with the key.
    pub(crate) fn post(&self, path: &str, more: &str) -> String {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n", self.key)
    }

    /// Sends JSON with the key; the status and what came back.
    pub(crate) async fn send(&self, path: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
        let body = body.to_string();
        let more = format!("connection: close\r\ncontent-length: {}\r\n", body.len());
        split(&self.say(format!("{}{body}", self.post(path, &more)).as_bytes()).await)
    }

    /// Sends what a gateway of the generic dialect reports; the status and what came back.
    pub(crate) async fn signed(&self, report: &serde_json::Value) -> (u16, serde_json::Value) {
        use hmac::{KeyInit as _, Mac as _};
        let (body, at) = (report.to_string(), machine_now().0 / 1_000);
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SEAL.as_bytes()).expect("a key");
        mac.update(format!("{at}.{body}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let more = format!(
            "connection: close\r\nx-fahrplan-timestamp: {at}\r\nx-fahrplan-signature: sha256={hex}\r\ncontent-length: {}\r\n",
            body.len()
        );
        split(&self.say(format!("{}{body}", self.post("/v1/receipts/generic", &more)).as_bytes()).await)
    }

    /// Lets everything that waits be taken.
    pub(crate) async fn advance(&self) {
        for bucket in self.store.buckets() {
            while fahrplan::store::advance_bucket(&self.store, bucket, machine_now(), 100)
                .await
                .expect("advanced")
                .taken
                > 0
            {}
        }
    }

    /// Asks with the key; the status and what came back.
    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", self.key);
        split(&self.say(format!("{head}connection: close\r\n\r\n").as_bytes()).await)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("a connection")
    }

    /// Sends bytes, and reads until the other side closes.
    pub(crate) async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }
}

/// Under which providers sign what they report.
const SEAL: &str = "siegel";

fn secrets() -> Secrets {
    let environment = BTreeMap::from([("FAHRPLAN_SECRET_RECEIPTS".to_owned(), SEAL.to_owned())]);
    Secrets::new(&Config::default(), Path::new("."), &environment)
}

/// The status of an answer and its JSON; `null` where it has none.
pub(crate) fn split(answer: &str) -> (u16, serde_json::Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// A key with these scopes.
pub(crate) async fn key(store: &Store, scopes: &[Scope]) -> String {
    let scopes = scopes.iter().copied().collect();
    let (_, key) = keys::create(store, "test", scopes, None, machine_now()).await.expect("a key");
    key
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
