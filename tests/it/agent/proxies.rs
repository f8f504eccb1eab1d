//! Proxies: by CONNECT and by SOCKS, with and without a password, from the environment and not.

use std::{
    net::{Ipv6Addr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use ureq::Proxy;

use super::{
    agent, config, get, kind,
    peers::{Authority, Manners, NOWHERE, Peer, SocksManners, connect_proxy, site, socks_proxy},
};
use crate::support::{AT_ONCE, Child, in_child, watched};

/// Longer than it takes to get through.
const TIMEOUT: Duration = Duration::from_millis(300);

in_and_out_of_a_job! {
    fn a_proxy_is_asked_to_connect() {
        let authority = Authority::new();
        let proxy = Peer::new(connect_proxy(Manners::Open));
        let via = Proxy::new(&proxy.url("")).unwrap();
        let agent = agent(config().proxy(Some(via)).tls_config(authority.trusted()).build());
        for peer in [Peer::new(site), Peer::with_tls(&authority, site)] {
            let before = proxy.connections();
            for _ in 0..3 {
                assert_eq!(get(&agent, &peer.url("/ok")).unwrap(), "0");
            }
            // The name is for the proxy to look up.
            assert_eq!(get(&agent, &peer.url_at(NOWHERE, "/ok")).unwrap(), "1");
            assert_eq!(proxy.connections(), before + 2);
            let asked = format!("CONNECT {NOWHERE}:{} HTTP/1.1\r\n", peer.port());
            assert!(proxy.heads().last().unwrap().starts_with(&asked));
        }
    }

    fn a_proxy_may_want_a_password() {
        let peer = Peer::new(site);
        let proxy = Peer::new(connect_proxy(Manners::Guarded));
        for (word, known) in [("user:pass@", true), ("user:wrong@", false), ("", false)] {
            let via = Proxy::new(&format!("http://{word}127.0.0.1:{}", proxy.port())).unwrap();
            let agent = agent(config().proxy(Some(via)).build());
            match get(&agent, &peer.url("/ok")) {
                Ok(_) => assert!(known, "{word}"),
                Err(error) => assert!(!known && kind(&error) == "connect", "{word} {error:?}"),
            }
        }
        assert_eq!(peer.connections(), 1, "who is not known does not come through");
    }

    fn a_proxy_may_be_behind_tls_itself() {
        let authority = Authority::new();
        let proxy = Peer::with_tls(&authority, connect_proxy(Manners::Guarded));
        let via = format!("https://user:pass@127.0.0.1:{}", proxy.port());
        let agent = agent(
            config()
                .proxy(Some(Proxy::new(&via).unwrap()))
                .tls_config(authority.trusted())
                .build(),
        );
        for peer in [Peer::new(site), Peer::with_tls(&authority, site)] {
            for _ in 0..3 {
                assert_eq!(get(&agent, &peer.url_at(NOWHERE, "/ok")).unwrap(), "0");
            }
        }
        assert_eq!(proxy.connections(), 2);
    }

    fn a_proxy_may_be_asked_for_an_address_of_version_6() {
        let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return eprintln!("skipped: this machine has no ::1");
        };
        let peer = Peer::on(six, Arc::new(site));
        let http = Peer::new(connect_proxy(Manners::Open));
        let socks = Peer::new(socks_proxy(SocksManners::Open));
        for (scheme, port) in [
            ("http", http.port()),
            ("socks5", socks.port()),
            ("socks5h", socks.port()),
        ] {
            let via = Proxy::new(&format!("{scheme}://127.0.0.1:{port}")).unwrap();
            let agent = agent(config().proxy(Some(via)).build());
            get(&agent, &peer.url("/ok")).unwrap();
        }
        // Which that one cannot put into words.
        let via = Proxy::new(&format!("socks4://127.0.0.1:{}", socks.port())).unwrap();
        let agent = agent(config().proxy(Some(via)).build());
        get(&agent, &peer.url("/ok")).unwrap_err();
        assert_eq!(peer.heads().len(), 3);
    }

    fn a_proxy_that_refuses_is_an_error() {
        let peer = Peer::new(site);
        for manners in [Manners::Refuses, Manners::Garbage] {
            let proxy = Peer::new(connect_proxy(manners));
            let via = Proxy::new(&proxy.url("")).unwrap();
            let agent = agent(config().proxy(Some(via)).build());
            for url in [peer.url("/ok"), peer.url("/ok").replace("http:", "https:")] {
                let error = get(&agent, &url).unwrap_err();
                assert!(["connect", "protocol"].contains(&kind(&error)), "{error:?}");
            }
        }
        assert_eq!(peer.connections(), 0, "it does not go there by itself");
    }

    /// H2. There is one span of time for all that it takes to get through.
    fn a_proxy_that_comes_to_no_end_is_late() {
        let authority = Authority::new();
        let behind = Peer::with_tls(&authority, site);
        for proxy in [
            Peer::new(connect_proxy(Manners::Drips)),
            Peer::with_tls(&authority, connect_proxy(Manners::Drips)),
        ] {
            let via = proxy.url("");
            for global in [false, true] {
                let config = config()
                    .proxy(Some(Proxy::new(&via).unwrap()))
                    .tls_config(authority.trusted());
                let config = if global {
                    config.timeout_global(Some(TIMEOUT))
                } else {
                    config.timeout_connect(Some(TIMEOUT))
                };
                let agent = agent(config.build());
                let begun = Instant::now();
                let error = get(&agent, &behind.url("/ok")).unwrap_err();
                let took = begun.elapsed();
                assert_eq!(kind(&error), "timeout", "{via}, {global}: {error:?}");
                assert!(took < TIMEOUT + AT_ONCE, "{via}, {global}: {took:?}");
            }
        }
    }

    fn every_kind_of_socks_leads_there() {
        let authority = Authority::new();
        for (scheme, named) in [
            ("socks4", false),
            ("socks4a", true),
            ("socks5", false),
            ("socks5h", true),
        ] {
            let proxy = Peer::new(socks_proxy(SocksManners::Open));
            let via = Proxy::new(&format!("{scheme}://127.0.0.1:{}", proxy.port())).unwrap();
            let agent = agent(config().proxy(Some(via)).tls_config(authority.trusted()).build());
            for peer in [Peer::new(site), Peer::with_tls(&authority, site)] {
                // Where the proxy is told an address, the name has to be one that we know.
                let (host, asked) = if named { (NOWHERE, NOWHERE) } else { ("localhost", "127.0.0.1") };
                for _ in 0..3 {
                    assert_eq!(get(&agent, &peer.url_at(host, "/ok")).unwrap(), "0", "{scheme}");
                }
                let version = &scheme[5..6];
                let asked = format!("{version} connect {asked}:{}", peer.port());
                assert_eq!(proxy.heads().last(), Some(&asked));
            }
            assert_eq!(proxy.connections(), 2, "{scheme}");
        }
    }

    fn socks_5_may_want_a_password() {
        let peer = Peer::new(site);
        let proxy = Peer::new(socks_proxy(SocksManners::Guarded));
        for (word, known) in [("user:pass@", true), ("user:wrong@", false), ("", false)] {
            for scheme in ["socks5", "socks5h"] {
                let via = format!("{scheme}://{word}127.0.0.1:{}", proxy.port());
                let agent = agent(config().proxy(Some(Proxy::new(&via).unwrap())).build());
                let told = get(&agent, &peer.url("/ok"));
                assert_eq!(told.is_ok(), known, "{via}: {told:?}");
            }
        }
        assert_eq!(peer.connections(), 2);
    }

    fn a_socks_proxy_that_refuses_is_an_error() {
        let peer = Peer::new(site);
        for manners in [SocksManners::Refuses, SocksManners::Garbage] {
            let proxy = Peer::new(socks_proxy(manners));
            for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
                let via = Proxy::new(&format!("{scheme}://127.0.0.1:{}", proxy.port())).unwrap();
                let agent = agent(config().proxy(Some(via)).build());
                let error = get(&agent, &peer.url("/ok")).unwrap_err();
                assert!(["io", "connect"].contains(&kind(&error)), "{scheme} {error:?}");
            }
        }
        assert_eq!(peer.connections(), 0, "it does not go there by itself");
    }

    fn some_hosts_are_not_for_the_proxy() {
        let peer = Peer::new(site);
        let http = Peer::new(connect_proxy(Manners::Refuses));
        let socks = Peer::new(socks_proxy(SocksManners::Refuses));
        for (protocol, port) in [
            (ureq::ProxyProtocol::Http, http.port()),
            (ureq::ProxyProtocol::Socks4, socks.port()),
            (ureq::ProxyProtocol::Socks5h, socks.port()),
        ] {
            let via = Proxy::builder(protocol)
                .host("127.0.0.1")
                .port(port)
                .no_proxy("localhost")
                .build()
                .unwrap();
            let agent = agent(config().proxy(Some(via)).build());
            get(&agent, &peer.url_at("localhost", "/ok")).unwrap();
            get(&agent, &peer.url("/ok")).unwrap_err();
        }
        assert_eq!(peer.heads().len(), 3);
    }
}

/// ureq reads the environment where a configuration says nothing of proxies.
#[test]
fn proxies_come_from_the_environment() {
    let test = concat!(module_path!(), "::proxies_come_from_the_environment");
    if in_child() {
        return watched(|| {
            let var = |name| std::env::var(name).unwrap();
            let agent = agent(ureq::config::Config::builder().build());
            assert_eq!(get(&agent, &var("LONGSHORE_VIA")).unwrap(), "0");
            assert_eq!(get(&agent, &var("LONGSHORE_DIRECTLY")).unwrap(), "1");
        });
    }
    for (variable, scheme, proxy) in [
        (
            "ALL_PROXY",
            "http",
            Peer::new(connect_proxy(Manners::Guarded)),
        ),
        (
            "HTTP_PROXY",
            "http",
            Peer::new(connect_proxy(Manners::Guarded)),
        ),
        (
            "ALL_PROXY",
            "socks5h",
            Peer::new(socks_proxy(SocksManners::Guarded)),
        ),
        (
            "ALL_PROXY",
            "socks5",
            Peer::new(socks_proxy(SocksManners::Guarded)),
        ),
        (
            "all_proxy",
            "socks4a",
            Peer::new(socks_proxy(SocksManners::Open)),
        ),
    ] {
        let peer = Peer::new(site);
        let via = format!("{scheme}://user:pass@127.0.0.1:{}", proxy.port());
        // A machine may have some of its own.
        let child = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]
            .into_iter()
            .fold(Child::new(test), |child, name| {
                child.env_remove(name).env_remove(&name.to_lowercase())
            });
        child
            .env(variable, &via)
            .env("NO_PROXY", "localhost")
            .env("LONGSHORE_VIA", &peer.url("/ok"))
            .env("LONGSHORE_DIRECTLY", &peer.url_at("localhost", "/ok"))
            .passes();
        assert_eq!(proxy.connections(), 1, "{variable}={via}");
        assert_eq!(peer.connections(), 2);
    }
}
