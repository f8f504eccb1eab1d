//! Who is at the other end of a socket, by its inode, from the tables in `/proc/self/net`.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The other end of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// An address, or the path of a Unix socket.
    pub(super) name: String,
    /// It came to us, from a port that means nothing.
    pub(super) is_client: bool,
}

/// Ports from here on are given to clients, as a rule.
const CLIENTS: u16 = 32_768;

/// Those of all sockets that have one, by their inodes.
pub(super) fn peers() -> HashMap<u64, Peer> {
    let mut peers = HashMap::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = read(table).unwrap_or_default();
        peers.extend(text.lines().skip(1).filter_map(internet));
    }
    let text = read("unix").unwrap_or_default();
    peers.extend(text.lines().skip(1).filter_map(unix));
    peers
}

fn read(table: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/self/net/{table}")).ok()?;
    // The path of a Unix socket may be anything.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `sl local remote state queues timer retransmits uid timeout inode …`
fn internet(line: &str) -> Option<(u64, Peer)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let inode = fields.nth(6)?.parse().ok()?;
    let peer = Peer {
        name: remote.to_string(),
        is_client: local.port() < CLIENTS && remote.port() >= CLIENTS,
    };
    // One that is not connected has no peer.
    (remote.port() != 0).then_some((inode, peer))
}

/// `0100007F:1F90`: the address by words in the order of the machine, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            // An IPv4 peer of an IPv6 socket is shown as what it is.
            IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// `number: references protocol flags type state inode path`
fn unix(line: &str) -> Option<(u64, Peer)> {
    let mut fields = line.split_ascii_whitespace().skip(6);
    let inode = fields.next()?.parse().ok()?;
    let peer = Peer {
        name: fields.next().unwrap_or("a Unix socket").to_owned(),
        is_client: false,
    };
    Some((inode, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn rows_of_the_tables_are_read() {
        let row = "   1: 0100007F:9A3C 0700000A:1538 01 00000000:00000000 00:00000000 00000000 \
                   1000        0 48213 1 0000000000000000 20 4 30 10 -1";
        let peer = |name: &str, is_client| {
            let name = name.to_owned();
            Some(Peer { name, is_client })
        };
        let found = internet(row).filter(|(inode, _)| *inode == 48213);
        assert_eq!(found.map(|(_, it)| it), peer("10.0.0.7:5432", false));
        let of_ports = |local: u16, remote: u16| {
            let ports = row.replace("9A3C", &format!("{local:04X}"));
            internet(&ports.replace("1538", &format!("{remote:04X}"))).map(|(_, it)| it)
        };
        assert_eq!(of_ports(8080, 50_051), peer("10.0.0.7:50051", true));
        assert_eq!(of_ports(40_000, 50_051), peer("10.0.0.7:50051", false));
        assert_eq!(of_ports(8080, 0), None);
        let six = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(address(six), "127.0.0.1:80".parse().ok());
        assert_eq!(address("B80D01200000000000000000010000:0050"), None);
        let row = "0000000000000000: 00000002 00000000 00010000 0001 01 77 /run/db.sock";
        assert_eq!(unix(row).map(|(_, it)| it), peer("/run/db.sock", false));
    }
}
