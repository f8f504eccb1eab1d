//! What ureq does with cookies and with brotli, if it was built to.

use super::{
    agent, config, get,
    peers::{Manners, Peer, connect_proxy},
    plain_agent,
};

in_and_out_of_a_job! {
    fn a_cookie_that_was_set_is_sent_with_the_next_call_to_its_host_only() {
        let sets = Peer::new(|conn| {
            while let Some(request) = conn.request()? {
                let told: String = request
                    .head
                    .lines()
                    .filter(|line| line.to_ascii_lowercase().starts_with("cookie:"))
                    .collect();
                let length = told.len();
                conn.send(
                    format!(
                        "HTTP/1.1 200 OK\r\nSet-Cookie: shop=17\r\nContent-Length: {length}\r\n\r\n{told}"
                    )
                    .as_bytes(),
                )?;
            }
            Ok(())
        });
        let agent = plain_agent();
        assert_eq!(get(&agent, &sets.url("/")).unwrap(), "");
        let told = get(&agent, &sets.url("/")).unwrap();
        assert!(told.ends_with("shop=17"), "{told}");
        let elsewhere = sets.url_at("localhost", "/");
        assert_eq!(get(&agent, &elsewhere).unwrap(), "", "another host");
    }

    /// H16. Set for the domain of another it is nobody's.
    fn a_cookie_is_for_the_domain_of_whoever_sets_it() {
        let peer = Peer::new(|conn| {
            while let Some(request) = conn.request()? {
                let told = request.header("cookie").unwrap_or("none").to_owned();
                let length = told.len();
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nSet-Cookie: own=1; Domain=shop.com\r\n\
                     Set-Cookie: foreign=2; Domain=bank.com\r\n\
                     Set-Cookie: host=3\r\nContent-Length: {length}\r\n\r\n{told}"
                ))?;
            }
            Ok(())
        });
        // It knows every name.
        let proxy = Peer::new(connect_proxy(Manners::Open));
        let via = ureq::Proxy::new(&proxy.url("")).unwrap();
        let agent = agent(config().proxy(Some(via)).build());
        assert_eq!(get(&agent, &peer.url_at("www.shop.com", "/")).unwrap(), "none");
        assert_eq!(get(&agent, &peer.url_at("pay.shop.com", "/")).unwrap(), "own=1");
        assert_eq!(get(&agent, &peer.url_at("bank.com", "/")).unwrap(), "none");
        assert_eq!(get(&agent, &peer.url_at("other.com", "/")).unwrap(), "none");
    }

    fn a_body_in_brotli_is_unpacked() {
        // One block, stored as it is, and the end.
        let text = b"brotli works here";
        let mut packed = vec![0x0b, (text.len() as u8 - 1) / 2, 0x80];
        packed.extend(text);
        packed.push(0x03);
        let peer = Peer::new(move |conn| {
            while let Some(request) = conn.request()? {
                assert!(request.head.to_ascii_lowercase().contains("br"), "{}", request.head);
                let length = packed.len();
                conn.send(
                    format!("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: {length}\r\n\r\n")
                        .as_bytes(),
                )?;
                conn.send(&packed)?;
            }
            Ok(())
        });
        assert_eq!(get(&plain_agent(), &peer.url("/")).unwrap(), "brotli works here");
    }
}
