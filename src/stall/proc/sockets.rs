//! Who is at the other end of a socket, by its inode, from the tables in `/proc/self/net`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The peer of the socket with this inode: an address, or the path of a Unix socket.
pub(super) fn peer(inode: u64) -> Option<String> {
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = read(table).unwrap_or_default();
        let found = text.lines().skip(1).find_map(|line| internet(line, inode));
        if let Some(address) = found {
            // One that is not connected has no peer, and no other table has it.
            return (address.port() != 0).then(|| address.to_string());
        }
    }
    let text = read("unix")?;
    text.lines().skip(1).find_map(|line| unix(line, inode))
}

fn read(table: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/self/net/{table}")).ok()?;
    // The path of a Unix socket may be anything.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `sl local remote state queues timer retransmits uid timeout inode …`
fn internet(line: &str, inode: u64) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace();
    let remote = fields.nth(2)?;
    let found: u64 = fields.nth(6)?.parse().ok()?;
    (found == inode).then(|| address(remote)).flatten()
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
fn unix(line: &str, inode: u64) -> Option<String> {
    let mut fields = line.split_ascii_whitespace();
    let found: u64 = fields.nth(6)?.parse().ok()?;
    (found == inode).then(|| fields.next().unwrap_or("a Unix socket").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn rows_of_the_tables_are_read() {
        let row = "   1: 0100007F:9A3C 0700000A:1538 01 00000000:00000000 00:00000000 00000000 \
                   1000        0 48213 1 0000000000000000 20 4 30 10 -1";
        assert_eq!(internet(row, 48213), "10.0.0.7:5432".parse().ok());
        assert_eq!(internet(row, 48214), None);
        let six = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(address(six), "127.0.0.1:80".parse().ok());
        assert_eq!(address("B80D01200000000000000000010000:0050"), None);
        let row = "0000000000000000: 00000002 00000000 00010000 0001 01 77 /run/db.sock";
        assert_eq!(unix(row, 77).as_deref(), Some("/run/db.sock"));
    }
}
