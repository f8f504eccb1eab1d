//! Who is at the other end of a socket, by its inode, from the tables in `/proc/self/net`.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Instant,
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

/// In the order in which they are looked through.
const TABLES: &[&str] = &["tcp", "tcp6", "udp", "udp6", "unix"];

/// They are read a quarter of the time at the most.
const REST: u32 = 4;

/// Who is at the other end of which socket, as far as the tables have been read: to do that takes long
/// where there are many, so it is done up to the one that has the socket, and remembered.
#[derive(Debug)]
pub(super) struct Peers {
    known: HashMap<u64, Peer>,
    /// Those that are next, before it begins with the first again.
    unread: &'static [&'static str],
    /// When it may do that.
    not_before: Option<Instant>,
    read: ReadTable,
}

/// Gives the text of a table.
pub(super) type ReadTable = fn(&str) -> Option<String>;

impl Peers {
    pub(super) fn read_by(read: ReadTable) -> Self {
        Self {
            known: HashMap::new(),
            unread: &[],
            not_before: None,
            read,
        }
    }

    /// The tables may say something else by now.
    pub(super) fn forget(&mut self) {
        *self = Self::read_by(self.read);
    }

    /// The peer of the socket with this inode, and whether that is the last word: if it is not there, and
    /// some tables have just been read for another, those may have it by now.
    pub(super) fn of(&mut self, inode: u64) -> (Option<&Peer>, bool) {
        let mut is_sure = true;
        if !self.known.contains_key(&inode) {
            is_sure = self.look_for(inode);
        }
        let peer = self.known.get(&inode);
        is_sure |= peer.is_some();
        (peer, is_sure)
    }

    /// Reads on, or anew if it may; whether that was anew.
    fn look_for(&mut self, inode: u64) -> bool {
        let now = Instant::now();
        let rested = self.not_before.is_none_or(|then| then <= now);
        if rested {
            self.known = HashMap::new();
            self.unread = TABLES;
        }
        while !self.known.contains_key(&inode)
            && let Some((table, unread)) = self.unread.split_first()
        {
            self.unread = unread;
            let text = (self.read)(table).unwrap_or_default();
            let row = if *table == "unix" { unix } else { internet };
            self.known.extend(text.lines().skip(1).filter_map(row));
            let rest = now.elapsed() * REST;
            self.not_before = self.not_before.max(Some(now + rest));
        }
        rested
    }
}

pub(super) fn read(table: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/self/net/{table}")).ok()?;
    // The path of a Unix socket may be anything.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `sl local remote state queues timer retransmits uid timeout inode …`
fn internet(line: &str) -> Option<(u64, Peer)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (fields.next()?, fields.next()?);
    // One that is closed and waits for its time to be over is nobody's. There may be very many of those.
    let inode = fields.nth(6)?.parse().ok().filter(|inode| *inode != 0)?;
    let (local, remote) = (address(local)?, address(remote)?);
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
    use std::{cell::RefCell, time::Duration};

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
        let closed = row.replace(" 01 ", " 06 ").replace("48213", "0");
        assert_eq!(internet(&closed), None);
        let six = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(address(six), "127.0.0.1:80".parse().ok());
        assert_eq!(address("B80D01200000000000000000010000:0050"), None);
        let row = "0000000000000000: 00000002 00000000 00010000 0001 01 77 /run/db.sock";
        assert_eq!(unix(row).map(|(_, it)| it), peer("/run/db.sock", false));
    }

    thread_local! {
        static READ: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// The inode 7 is in the third of them, and 9 in the last.
    fn table(name: &str) -> Option<String> {
        READ.with_borrow_mut(|read| read.push(name.to_owned()));
        match name {
            "udp" => Some(format!(
                "\n   1: 0100007F:9A3C 0700000A:1538 01 0:0 00:0 0 0 0 {}",
                7
            )),
            "unix" => Some(String::from(
                "\n0: 00000002 00000000 00010000 0001 01 9 /run/db.sock",
            )),
            _ => None,
        }
    }

    fn tables() -> Vec<String> {
        READ.take()
    }

    #[test]
    fn no_table_is_read_behind_the_one_that_has_the_socket() {
        let mut peers = Peers::read_by(table);
        assert!(matches!(peers.of(7), (Some(_), true)));
        assert_eq!(tables(), ["tcp", "tcp6", "udp"]);
        // From now on it rests, but for what has not been read yet.
        peers.not_before = Some(Instant::now() + Duration::from_secs(3600));
        assert!(matches!(peers.of(9), (Some(_), true)));
        assert_eq!(tables(), ["udp6", "unix"]);
        assert!(matches!(peers.of(7), (Some(_), true)));
        // It may be in one of those that were read before it was.
        assert_eq!(peers.of(11), (None, false));
        assert_eq!(tables(), Vec::<String>::new());
        peers.forget();
        assert_eq!(peers.of(11), (None, true));
        assert_eq!(tables(), TABLES);
    }
}
