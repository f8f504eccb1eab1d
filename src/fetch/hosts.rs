//! How many calls there are to each host, and which of them wait.
//!
//! 1. A call is held only while its host has as many in flight as it may. So whenever one of a host
//!    ends, the next one held for that host may begin, in its place, and no other needs looking at.
//! 2. A host is known only while it has calls: memory is for hosts with calls, not for all hosts
//!    that there ever were.

use std::collections::{HashMap, VecDeque};

use super::item::Call;
use crate::sync::Arc;

pub(super) struct Hosts {
    /// How many may be in flight to each; `None` for any number, and then nothing is counted.
    limit: Option<usize>,
    hosts: HashMap<Arc<str>, Host>,
    held: usize,
}

#[derive(Default)]
struct Host {
    in_flight: usize,
    held: VecDeque<Call>,
}

impl Hosts {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            hosts: HashMap::new(),
            held: 0,
        }
    }

    /// How many calls are held back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Gives the call back if it may begin now, and holds it otherwise.
    pub(super) fn enter(&mut self, call: Call) -> Option<Call> {
        let (Some(limit), Some(name)) = (self.limit, &call.host) else {
            return Some(call);
        };
        let host = self.hosts.entry(name.clone()).or_default();
        if host.in_flight < limit {
            host.in_flight += 1;
            return Some(call);
        }
        host.held.push_back(call);
        self.held += 1;
        None
    }

    /// A call to this host has ended: the one that may begin in its place.
    pub(super) fn leave(&mut self, name: Option<&Arc<str>>) -> Option<Call> {
        let name = name?;
        let host = self.hosts.get_mut(name)?;
        if let Some(next) = host.held.pop_front() {
            self.held -= 1;
            return Some(next);
        }
        host.in_flight -= 1;
        if host.in_flight == 0 {
            self.hosts.remove(name);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_goes_next_and_a_host_without_calls_is_forgotten() {
        let mut hosts = Hosts::new(Some(2));
        let call = |index| Call::new(index, "http://host/");
        let began: Vec<_> = (0..5).filter_map(|i| hosts.enter(call(i))).collect();
        assert_eq!((began.len(), hosts.held()), (2, 3));
        assert!(hosts.enter(Call::new(9, "http://other/")).is_some());
        let host = began[0].host.as_ref();
        let next: Vec<_> = (0..5)
            .map(|_| hosts.leave(host).map(|call| call.index))
            .collect();
        assert_eq!(next, [Some(2), Some(3), Some(4), None, None]);
        assert_eq!((hosts.held(), hosts.hosts.len()), (0, 1));
    }

    #[test]
    fn bad_urls_and_any_number_are_not_counted() {
        let mut hosts = Hosts::new(Some(1));
        for index in 0..3 {
            assert!(hosts.enter(Call::new(index, "bad")).is_some());
        }
        let mut hosts = Hosts::new(None);
        for index in 0..3 {
            assert!(hosts.enter(Call::new(index, "http://host/")).is_some());
        }
        assert!(hosts.hosts.is_empty());
    }
}
