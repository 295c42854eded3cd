use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Whatever connects is counted and sent away.
async fn canary(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.expect("a port");
    let (port, count) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicUsize::new(0)));
    let accepted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            accepted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

/// Answers everything with that, and closes.
async fn server(address: &str, answer: String) -> u16 {
    let listener = TcpListener::bind(address).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            _ = socket.read(&mut request).await;
            _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn get(url: &str) -> Call {
    let (url, headers) = (Url::parse(url).expect("a URL"), HeaderMap::new());
    Call { method: Method::GET, url, headers, body: None, timeout: Duration::from_secs(5) }
}

/// Names with a list of answers, one for each look-up.
#[derive(Default)]
struct Told {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Told {
    fn of(answers: &[&[&str]]) -> Arc<Told> {
        let ips = |list: &&[&str]| list.iter().map(|ip| ip.parse().expect("an address")).collect();
        Arc::new(Told { answers: Mutex::new(answers.iter().map(ips).collect()), asked: AtomicUsize::new(0) })
    }
}

impl Names for Told {
    fn look_up(&self, _: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().expect("whole").pop_front().unwrap_or_default();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Hosts as they are written to get past a guard.
const HOSTS: [&str; 46] = [
    // This machine: plain, short, decimal, octal, hexadecimal, mixed, with a dot, in wide digits, encoded.
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.0x1",
    "127.0.0.1.",
    "１２７.0.0.1",
    "127%2E0.0.1",
    "%31%32%37.0.0.1",
    "127。0。0。1",
    "0",
    "0.0.0.0",
    "0x0",
    // The same in IPv6.
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    // The network around it.
    "10.0.0.1",
    "0x0a000001",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "3232235777",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "2852039166",
    "168.63.129.16",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    // Nobody's, and everybody's.
    "255.255.255.255",
    "224.0.0.1",
    "[ff02::1]",
];

/// What names may lead to.
const ANSWERS: [&[&str]; 10] = [
    &["127.0.0.1"],
    &["::1"],
    &["::ffff:127.0.0.1"],
    &["10.1.2.3"],
    &["169.254.169.254"],
    &["fd12::1"],
    &["198.18.0.1"],
    // One that is public beside one that is not.
    &["93.184.215.14", "127.0.0.1"],
    &["127.0.0.1", "93.184.215.14"],
    &["2606:4700::1111", "::1"],
];

#[tokio::test]
async fn sixty_ways_to_this_machine_and_its_network_lead_nowhere() {
    let (port, accepted) = canary("127.0.0.1:0").await;
    let six = TcpListener::bind(("::1", port)).await;
    let guard = Guard::default();
    let mut tried = 0;
    for host in HOSTS {
        for login in ["", "example.org@"] {
            let call = get(&format!("http://{login}{host}:{port}/"));
            let failed = guard.ask(call).await.expect_err(host);
            assert!(matches!(failed, Failed::Refused(_)), "{host}: {failed:?}");
        }
        tried += 1;
    }
    for answer in ANSWERS {
        let guard = Guard::with_names(Vec::new(), Told::of(&[answer]));
        let failed = guard.ask(get(&format!("http://intern.example:{port}/"))).await.expect_err("refused");
        assert!(matches!(failed, Failed::Refused(_)), "{answer:?}: {failed:?}");
        tried += 1;
    }
    // Where a name is not known, nobody is asked either.
    for name in ["localhost", "LOCALHOST", "localhost."] {
        let failed = guard.ask(get(&format!("http://{name}:{port}/"))).await.expect_err(name);
        assert!(matches!(failed, Failed::Refused(_) | Failed::NotReached(_)), "{name}: {failed:?}");
        tried += 1;
    }
    for url in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:70/_x",
        "unix:/run/docker.sock",
        "data:,x",
    ] {
        assert!(matches!(guard.ask(get(url)).await, Err(Failed::Refused(_))), "{url}");
        tried += 1;
    }
    assert!(tried >= 60, "{tried}");
    assert_eq!(accepted.load(Ordering::SeqCst), 0);
    drop(six);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_a_way() {
    let (canary, accepted) = canary("127.0.0.1:0").await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:{canary}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let port = server("127.0.0.2:0", answer).await;
        let guard = Guard::new(vec!["127.0.0.2".parse().expect("an address")]);
        let got = guard.ask(get(&format!("http://127.0.0.2:{port}/"))).await.expect("an answer");
        assert_eq!(got.status, status);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_asked_once_for_each_connection() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_owned();
    let port = server("127.0.0.2:0", ok).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the same port here");
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let names = Told::of(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.1"]]);
    let guard = Guard::with_names(vec!["127.0.0.2/32".parse().expect("a network")], names.clone());
    let url = format!("http://rebind.example:{port}/");
    assert_eq!(guard.ask(get(&url)).await.expect("the first address").body, b"ok");
    assert_eq!(names.asked.load(Ordering::SeqCst), 1, "judged and connected to by one look-up");
    for _ in 0..2 {
        assert!(matches!(guard.ask(get(&url)).await, Err(Failed::Refused(_))));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn answers_have_an_end() {
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(LARGEST + 1));
    let port = server("127.0.0.2:0", endless).await;
    let guard = Guard::new(vec![format!("127.0.0.2:{port}").parse().expect("an address")]);
    assert_eq!(guard.ask(get(&format!("http://127.0.0.2:{port}/"))).await, Err(Failed::TooLarge));
    assert!(matches!(guard.ask(get("http://127.0.0.2:1/")).await, Err(Failed::Refused(_))), "another port");
}

#[test]
fn what_is_public_may_be_asked() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "2003::1",
    ];
    for ip in public {
        assert_eq!(forbidden(ip.parse().expect("an address")), None, "{ip}");
    }
}

#[test]
fn hosts_addresses_and_networks_are_allowed() {
    let covers = |text: &str, host: &str, port: u16, ip: &str| {
        let allowed: Allowed = text.parse().expect(text);
        allowed.covers(host, port, ip.parse().expect("an address"))
    };
    assert!(covers("crm.internal:8443", "CRM.internal", 8443, "10.0.0.1"));
    assert!(!covers("crm.internal:8443", "crm.internal", 80, "10.0.0.1"));
    assert!(!covers("crm.internal", "x.crm.internal", 80, "10.0.0.1"));
    assert!(covers("10.1.0.0/16", "whatever", 80, "10.1.255.1"));
    assert!(!covers("10.1.0.0/16", "whatever", 80, "10.2.0.1"));
    assert!(!covers("10.1.0.0/16", "whatever", 80, "::ffff:10.1.0.1"));
    assert!(covers("[fd00::1]:80", "x", 80, "fd00::1"));
    assert!(covers("fd00::/8", "x", 1, "fd12::1"));
    for wrong in ["", "10.0.0.0/33", "http://crm", "crm:port", "crm/24", "*.internal", "1234"] {
        assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
    }
}
