//! Rows of a profile, while they are counted.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::Location,
};

use super::{proc::BlockingCall, profile::Row};

/// A row, and whether what it says of its call comes from samples that were whole.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) row: Row,
    pub(super) is_whole: bool,
}

impl Counted {
    /// The same call, again.
    pub(super) fn add(&mut self, other: &Self) {
        self.row.blocked += other.row.blocked;
        self.row.samples += other.row.samples;
        if !other.is_whole {
            return;
        }
        if !self.is_whole {
            self.row.call.clone_from(&other.row.call);
            self.is_whole = true;
            return;
        }
        if let (Some(call), Some(other)) = (&mut self.row.call, &other.row.call) {
            let service = call
                .service()
                .filter(|mine| Some(mine) == other.service().as_ref());
            call.forget_what_differs(other);
            // Clients that differ in their ports only.
            if call.peer.is_none() && call.path.is_none() {
                call.peer = service;
                call.serves = false;
            }
        }
    }
}

/// The rows, with those made one that the user cannot tell apart: of a line of the program all calls
/// of one name, whatever they are about.
pub(super) fn merged(rows: &[Counted]) -> Vec<Counted> {
    type Seen<'a> = (
        Option<&'a str>,
        Option<String>,
        Option<&'static Location<'static>>,
        Option<String>,
    );
    let mut merged: HashMap<Seen<'_>, Counted> = HashMap::new();
    for counted in rows {
        let row = &counted.row;
        let blamed = row.stacked().map(|(blamed, _)| blamed);
        let about = match blamed {
            Some(_) => None,
            None => row.call.as_ref().and_then(BlockingCall::service),
        };
        let syscall = row.call.as_ref().map(|call| &*call.syscall);
        match merged.entry((syscall, about, row.watched_at, blamed)) {
            Entry::Occupied(mut same) => same.get_mut().add(counted),
            Entry::Vacant(free) => drop(free.insert(counted.clone())),
        }
    }
    merged.into_values().collect()
}
