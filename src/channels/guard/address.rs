//! Which addresses are public. Everything that a registry of special addresses names is not (RFC 6890 and its successors), since it leads
//! to this machine, into its network, to a cloud's metadata, or nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not public.
const V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "unspecified"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by a carrier"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "metadata"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Networks of IPv6 that are named for what they are; of the rest only 2000::/3 is public.
const V6: &[([u16; 3], u32, &str)] = &[
    ([0x64, 0xff9b, 0], 96, "NAT64"),
    ([0x64, 0xff9b, 1], 48, "NAT64"),
    ([0x2001, 0, 0], 23, "reserved for protocols"),
    ([0x2001, 0xdb8, 0], 32, "for documentation"),
    ([0x2002, 0, 0], 16, "6to4"),
    ([0x3fff, 0, 0], 20, "for documentation"),
    ([0xfc00, 0, 0], 7, "private"),
    ([0xfe80, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0], 8, "multicast"),
];

/// Why an address is not public; `None`: it is.
pub fn forbidden(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => {
            let in_net = |net: [u8; 4], bits| same_v4(ip, Ipv4Addr::from(net), bits);
            V4.iter().find(|(net, bits, _)| in_net(*net, *bits)).map(|(_, _, why)| *why)
        }
        IpAddr::V6(ip) => {
            let named = V6
                .iter()
                .find(|([a, b, c], bits, _)| same_v6(ip, Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0), *bits));
            named.map(|(_, _, why)| *why).or_else(|| unnamed_v6(ip))
        }
    }
}

fn unnamed_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let global = same_v6(ip, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    let kind = match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => "IPv4 in IPv6",
        [0, 0, 0, 0, 0, 0, ..] => "IPv4 in IPv6",
        _ => "reserved",
    };
    (!global).then_some(kind)
}

/// Whether the first bits are the same.
pub(super) fn same_v4(a: Ipv4Addr, b: Ipv4Addr, bits: u32) -> bool {
    let differ = u32::from(a) ^ u32::from(b);
    differ.leading_zeros() >= bits
}

/// Whether the first bits are the same.
pub(super) fn same_v6(a: Ipv6Addr, b: Ipv6Addr, bits: u32) -> bool {
    let differ = u128::from(a) ^ u128::from(b);
    differ.leading_zeros() >= bits
}
