//! A queue from whose middle an element can be taken back at the cost of a pop.

use slab::Slab;

/// The room that an empty queue keeps for the next elements.
const KEPT: usize = 1024;

/// First in, first out, with removal by key in constant time.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    nodes: Slab<Node<T>>,
    ends: Option<Ends>,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    front: usize,
    back: usize,
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    before: Option<usize>,
    after: Option<usize>,
}

impl<T> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Slab::new(),
            ends: None,
        }
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.ends.map(|ends| &self.nodes[ends.front].value)
    }

    /// Appends, and returns the key with which the element can be taken back.
    pub(crate) fn push(&mut self, value: T) -> usize {
        let before = self.ends.map(|ends| ends.back);
        let key = self.nodes.insert(Node {
            value,
            before,
            after: None,
        });
        if let Some(before) = before {
            self.nodes[before].after = Some(key);
        }
        let front = self.ends.map_or(key, |ends| ends.front);
        self.ends = Some(Ends { front, back: key });
        key
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let front = self.ends?.front;
        self.remove(front)
    }

    /// Takes an element out, wherever it stands. `None` if no element has that key.
    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let Node {
            value,
            before,
            after,
        } = self.nodes.try_remove(key)?;
        if let Some(before) = before {
            self.nodes[before].after = after;
        }
        if let Some(after) = after {
            self.nodes[after].before = before;
        }
        self.ends = self.ends.and_then(|Ends { front, back }| {
            Some(Ends {
                front: if front == key { after? } else { front },
                back: if back == key { before? } else { back },
            })
        });
        if self.ends.is_none() && self.nodes.capacity() > KEPT {
            // A burst must not hold its memory for ever.
            self.nodes = Slab::new();
        }
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.ends.map(|ends| ends.front);
        std::iter::from_fn(move || {
            let node = &self.nodes[next?];
            next = node.after;
            Some(&node.value)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the obvious thing: a deque that is searched.
        #[test]
        fn behaves_like_a_searched_deque(ops in proptest::collection::vec(0_u8..=3, 0..200)) {
            let mut fifo = Fifo::new();
            let mut deque: VecDeque<(usize, u32)> = VecDeque::new();
            for (value, op) in (0_u32..).zip(ops) {
                match op {
                    0 | 1 => {
                        let key = fifo.push(value);
                        deque.push_back((key, value));
                    }
                    2 => prop_assert_eq!(fifo.pop(), deque.pop_front().map(|(_, v)| v)),
                    _ => {
                        let middle = deque.len() / 2;
                        if let Some((key, expected)) = deque.remove(middle) {
                            prop_assert_eq!(fifo.remove(key), Some(expected));
                        }
                    }
                }
                let order: Vec<u32> = fifo.iter().copied().collect();
                let expected: Vec<u32> = deque.iter().map(|&(_, v)| v).collect();
                prop_assert_eq!(order, expected);
                prop_assert_eq!(fifo.front().copied(), deque.front().map(|&(_, v)| v));
            }
        }
    }
}
