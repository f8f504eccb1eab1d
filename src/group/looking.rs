//! What is in a group, for those who ask.

use tokio::time::Instant;

use super::{
    child::{Child, Stage},
    family::Family,
    info::ChildInfo,
    state::State,
    waiting::{Breadth, Concerned},
};
use crate::sync::{Arc, Weak};

impl<T> State<T> {
    pub(super) fn groups_within(&self) -> Vec<Weak<dyn Family>> {
        self.within.iter().map(|(_, inner)| inner.clone()).collect()
    }

    /// Whose jobs concern those who wait for the group.
    pub(super) fn concerned(&self, breadth: Breadth) -> Concerned {
        let offloaded = self
            .children
            .iter()
            .filter_map(|(_, child)| match &child.stage {
                Stage::Job(_, offloaded) => Some(offloaded.clone()),
                _ => None,
            });
        let within = match breadth {
            Breadth::Own => Vec::new(),
            Breadth::Within => self.groups_within(),
        };
        Concerned::new(offloaded.collect(), within)
    }

    pub(super) fn list(&self, group: &Arc<str>, now: Instant, into: &mut Vec<ChildInfo>) {
        let mut children: Vec<&Child> = self.children.iter().map(|(_, child)| child).collect();
        children.sort_unstable_by_key(|child| child.number);
        let stopped = self.is_stopped();
        into.extend(
            children
                .into_iter()
                .map(|child| child.info(group, now, stopped)),
        );
    }
}
