//! Where a thread keeps its object.
//!
//! A thread-local, since the object may be of a type that must not leave its thread, and the
//! closures that use it come from others. A thread serves one resource and has one object of it.
//!
//! The object is *taken out* while a closure has it. So code that runs further down on the same
//! thread, on behalf of a closure that waits, finds nothing to borrow a second time; and an object
//! is dropped with nothing borrowed, while the thread's other thread-locals are still there.

use std::{any::Any, cell::RefCell, marker::PhantomData};

use super::places::Place;
use crate::error::drop_quietly;

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Absent) };
}

enum Slot {
    /// The thread serves no resource.
    Absent,
    Holds(Object),
    /// A closure has the object, of this resource.
    Lent(usize),
    /// It was discarded. The thread leaves its lane and takes no other.
    Lost,
}

struct Object {
    /// Of which resource.
    key: usize,
    // Dropped in this order: the place is free when the object is gone.
    value: Box<dyn Any>,
    _place: Place,
}

/// The object is this thread's until the guard is dropped, and is dropped with it.
pub(super) struct Installed(());

pub(super) fn install<T: 'static>(key: usize, value: T, place: Place) -> Installed {
    SLOT.replace(Slot::Holds(Object {
        key,
        value: Box::new(value),
        _place: place,
    }));
    Installed(())
}

impl Drop for Installed {
    fn drop(&mut self) {
        let slot = SLOT.replace(Slot::Absent);
        drop_quietly(slot);
    }
}

/// Whether the object that this thread had was discarded.
pub(super) fn is_lost() -> bool {
    SLOT.with_borrow(|slot| matches!(slot, Slot::Lost))
}

/// Whether a closure on this thread has its object, and this is one of that resource.
pub(super) fn is_lent(key: usize) -> bool {
    SLOT.with_borrow(|slot| matches!(slot, Slot::Lent(of) if *of == key))
}

/// The object, out of its slot. It goes back when this is dropped.
pub(super) struct Loan<T> {
    object: Option<Object>,
    of: PhantomData<T>,
}

/// Takes the object of a resource out of its slot. `None` if another closure has it, or if this is
/// not a thread of the resource's.
pub(super) fn borrow<T: 'static>(key: usize) -> Option<Loan<T>> {
    SLOT.with_borrow_mut(|slot| match std::mem::replace(slot, Slot::Lent(key)) {
        Slot::Holds(object) if object.key == key => Some(Loan {
            object: Some(object),
            of: PhantomData,
        }),
        other => {
            *slot = other;
            None
        }
    })
}

impl<T: 'static> Loan<T> {
    pub(super) fn get(&mut self) -> &mut T {
        (self.object.as_mut())
            .and_then(|object| object.value.downcast_mut())
            .expect("a resource's slot holds what its maker made, until it is given back")
    }

    /// Drops the object, here and now.
    pub(super) fn discard(mut self) {
        let object = self.object.take();
        drop_quietly(object);
        SLOT.replace(Slot::Lost);
    }
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            SLOT.replace(Slot::Holds(object));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, sync::Arc};

    use super::{super::places::Places, *};

    #[test]
    fn the_object_is_lent_to_one_at_a_time_and_only_by_its_own_resource() {
        let places = Arc::new(Places::new(1));
        let object = Rc::new(7);
        let installed = install(1, object.clone(), places.take());

        assert!(borrow::<Rc<i32>>(2).is_none());
        assert!(!is_lent(1));
        let mut loan = borrow::<Rc<i32>>(1).unwrap();
        assert_eq!(**loan.get(), 7);
        assert_eq!((is_lent(1), is_lent(2)), (true, false));
        assert!(borrow::<Rc<i32>>(1).is_none());
        drop(loan);
        assert!(borrow::<Rc<i32>>(1).is_some());

        drop(installed);
        assert!(borrow::<Rc<i32>>(1).is_none());
        assert_eq!((Rc::strong_count(&object), places.taken()), (1, 0));
    }

    #[test]
    fn a_discarded_object_is_gone_at_once_and_its_place_is_free() {
        let places = Arc::new(Places::new(1));
        let object = Rc::new(7);
        let installed = install(1, object.clone(), places.take());
        assert!(!is_lost());
        borrow::<Rc<i32>>(1).unwrap().discard();
        assert!(is_lost());
        assert_eq!((Rc::strong_count(&object), places.taken()), (1, 0));
        assert!(borrow::<Rc<i32>>(1).is_none());
        drop(installed);
        assert!(!is_lost());
    }
}
