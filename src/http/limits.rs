//! How much may come in: items by key, and requests without a good key by address.
//!
//! A bucket of tokens for each, in memory and by the clock of the machine. It fills at the rate that is allowed and holds a second's
//! worth; a batch larger than what is in it is let in and paid off later, so no batch is too large for ever. Each process counts for
//! itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::Doors;
use super::problem::Problem;
use crate::config::Http;

/// Buckets that are remembered of each kind; beyond it the full ones go, then all.
const REMEMBERED: usize = 10_000;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The limits of this process.
pub struct Limiter {
    keys: Buckets<String>,
    addresses: Buckets<IpAddr>,
}

impl Default for Limiter {
    fn default() -> Limiter {
        let Http { per_key, per_address, .. } = Http::default();
        Limiter::new(per_key, per_address)
    }
}

impl Limiter {
    /// Limits of so many a second; 0 is none.
    pub fn new(per_key: u32, per_address: u32) -> Limiter {
        Limiter { keys: Buckets::new(per_key), addresses: Buckets::new(per_address) }
    }

    /// Lets a key send items, or says when to come again.
    pub fn take_items(&self, key: &str, items: usize) -> Result<(), Problem> {
        let cost = u32::try_from(items.max(1)).unwrap_or(u32::MAX);
        let took = self.keys.take(key.to_owned(), cost, Instant::now());
        took.map_err(|wait| too_many(wait, "this key sends more than it may; send it again later"))
    }

    fn take_request(&self, address: IpAddr) -> Result<(), Problem> {
        let took = self.addresses.take(block(address), 1, Instant::now());
        took.map_err(|wait| too_many(wait, "too many requests come from this address without a good key"))
    }
}

/// Who has an address of IPv6 has a whole block of them.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut segments = v6.segments();
            segments[4..].fill(0);
            IpAddr::from(segments)
        }
        v4 => v4,
    }
}

fn too_many(wait: Duration, detail: &str) -> Problem {
    metrics::counter!("fahrplan_too_many_total").increment(1);
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    Problem { retry_after: Some(seconds), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail) }
}

/// Buckets of tokens that fill at one rate.
struct Buckets<K> {
    /// Tokens a second; 0 is no limit.
    rate: u32,
    levels: Mutex<HashMap<K, Level>>,
}

#[derive(Clone, Copy)]
struct Level {
    /// What is in it; less than nothing is owed.
    tokens: f64,
    at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(rate: u32) -> Buckets<K> {
        Buckets { rate, levels: Mutex::default() }
    }

    /// Takes tokens, or says after how long there will be one.
    fn take(&self, key: K, cost: u32, now: Instant) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        let rate = f64::from(self.rate);
        let filled = |level: &Level| {
            let passed = now.saturating_duration_since(level.at).as_secs_f64();
            (level.tokens + passed * rate).min(rate)
        };
        let mut levels = self.levels.lock().expect("nothing panics while holding it");
        if levels.len() >= REMEMBERED && !levels.contains_key(&key) {
            levels.retain(|_, level| filled(level) < rate);
            if levels.len() >= REMEMBERED {
                levels.clear();
            }
        }
        let level = levels.entry(key).or_insert(Level { tokens: rate, at: now });
        let tokens = filled(level);
        if tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - tokens) / rate));
        }
        *level = Level { tokens: tokens - f64::from(cost), at: now };
        Ok(())
    }
}

/// Keeps addresses from asking more than they may without a good key. Who watches the daemon is let through.
pub async fn by_address(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let limits = &doors.settings.limits;
    let is_watching = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
    let address = request.extensions().get::<Peer>().and_then(|peer| origin(peer.0, request.headers()));
    let Some(address) = address.filter(|_| !is_watching) else { return next.run(request).await };
    let has_key = request.headers().contains_key(header::AUTHORIZATION);
    if !has_key && let Err(problem) = limits.take_request(address) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    if has_key
        && response.status() == StatusCode::UNAUTHORIZED
        && let Err(problem) = limits.take_request(address)
    {
        return problem.into_response();
    }
    response
}

/// Where a request really comes from: a proxy of our own network says it. `None` for programs on this machine.
fn origin(peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let is_near = match peer {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    };
    if !is_near {
        return Some(peer);
    }
    // The last one is what the proxy itself saw; those before it are hearsay.
    let told = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let told = told.and_then(|told| told.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    told.or((!peer.is_loopback()).then_some(peer))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn who_waits_as_long_as_told_is_let_in() {
        let buckets = Buckets::new(10);
        let mut now = Instant::now();
        // A batch larger than the bucket is let in, and paid off.
        assert_eq!(buckets.take("a", 45, now), Ok(()));
        let wait = buckets.take("a", 1, now).expect_err("it owes 35");
        assert_eq!(wait.as_millis(), 3_600);
        assert_eq!(buckets.take("b", 1, now), Ok(()), "another one has its own");
        now += wait - Duration::from_millis(1);
        assert!(buckets.take("a", 1, now).is_err());
        now += Duration::from_millis(1);
        assert_eq!(buckets.take("a", 1, now), Ok(()));
        // However long it rests, it has a second's worth.
        now += Duration::from_secs(3_600);
        assert_eq!((0..20).filter(|_| buckets.take("a", 1, now).is_ok()).count(), 10);
        assert_eq!(Buckets::new(0).take("a", u32::MAX, now), Ok(()), "no limit");
    }

    #[test]
    fn many_addresses_take_no_more_room() {
        let buckets = Buckets::new(2);
        let now = Instant::now();
        for number in 0..3 * REMEMBERED {
            assert_eq!(buckets.take(number, 1, now), Ok(()));
        }
        assert!(buckets.levels.lock().expect("whole").len() <= REMEMBERED);
    }

    #[test]
    fn only_a_proxy_of_our_own_is_believed() {
        let of = |peer: &str, told: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for told in told {
                headers.append("x-forwarded-for", HeaderValue::from_static(told));
            }
            origin(peer.parse().expect("an address"), &headers).map(|address| block(address).to_string())
        };
        assert_eq!(of("203.0.113.5", &["198.51.100.1"]).as_deref(), Some("203.0.113.5"));
        assert_eq!(of("127.0.0.1", &[]), None);
        assert_eq!(of("127.0.0.1", &["198.51.100.1, 203.0.113.9"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(of("::1", &["198.51.100.1", "203.0.113.9"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(of("10.0.0.7", &[]).as_deref(), Some("10.0.0.7"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6", &[]).as_deref(), Some("2001:db8:1:2::"));
    }
}
