//! Source locations as small numbers, so that one fits into an atomic beside something else.

use std::{
    cell::Cell,
    collections::HashMap,
    panic::Location,
    sync::{LazyLock, RwLock},
};

/// How many bits a place takes. There is one for each call of `watched` in the source.
pub(super) const BITS: u32 = 24;

type Source = &'static Location<'static>;

/// A line of source. Places of the same line and column are equal, and none is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

#[derive(Default)]
struct Known {
    numbers: HashMap<Source, u32>,
    sources: Vec<Source>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

const CACHED: usize = 16;

thread_local! {
    /// What this thread asked for last, by address: the lock is shared by all threads.
    static CACHE: [Cell<(usize, u32)>; CACHED] = const { [const { Cell::new((0, 0)) }; CACHED] };
}

impl Place {
    pub(super) fn of(source: Source) -> Self {
        let address = std::ptr::from_ref(source).addr();
        // A location is some words long, so that its lowest bits say nothing.
        let slot = (address >> 3) % CACHED;
        let cached = CACHE.try_with(|cache| cache[slot].get());
        if let Ok((at, number)) = cached
            && at == address
        {
            return Self(number);
        }
        let number = number_of(source);
        let _ = CACHE.try_with(|cache| cache[slot].set((address, number)));
        Self(number)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The place of that number; zero is none.
    pub(super) fn source(number: u32) -> Option<Source> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let known = KNOWN.read().unwrap_or_else(|e| e.into_inner());
        known.sources.get(index).copied()
    }
}

fn number_of(source: Source) -> u32 {
    if let Some(number) = KNOWN
        .read()
        .unwrap_or_else(|e| e.into_inner())
        .numbers
        .get(source)
    {
        return *number;
    }
    let mut known = KNOWN.write().unwrap_or_else(|e| e.into_inner());
    if let Some(number) = known.numbers.get(source) {
        return *number;
    }
    let next = known.sources.len() + 1;
    // A program of sixteen million calls of `watched` has the last ones share a place.
    let number = u32::try_from(next).unwrap_or(u32::MAX).min((1 << BITS) - 1);
    known.sources.push(source);
    known.numbers.insert(source, number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn here() -> Place {
        Place::of(Location::caller())
    }

    #[test]
    fn a_place_has_one_number_and_is_found_again() {
        let places: Vec<Place> = (0..3).map(|_| here()).collect();
        let other = here();
        assert!(places.iter().all(|place| *place == places[0]));
        assert_ne!(places[0], other);
        let found = Place::source(other.number()).expect("it is known");
        assert!(found.file().ends_with("place.rs"), "{found}");
        assert_eq!(Place::source(0), None);
        let on_another_thread = std::thread::spawn(move || Place::source(other.number()));
        assert_eq!(on_another_thread.join().expect("no panic"), Some(found));
    }
}
