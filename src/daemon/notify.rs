//! Telling whoever started us, where they want to know (systemd, `Type=notify`), that we are ready, or that we stop.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Takes connections and works.
pub(super) const READY: &str = "READY=1\nSTATUS=serving";
/// Finishes what is under way.
pub(super) const STOPPING: &str = "STOPPING=1\nSTATUS=finishing what is under way";

/// Tells it; that nobody listens is no failure.
pub(super) fn tell(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET").and_then(|name| name.into_string().ok()) else {
        return;
    };
    let told = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&address),
    };
    let told = told.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(error) = told {
        tracing::debug!(%error, "nobody could be told that we are ready");
    }
}
