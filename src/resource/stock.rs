//! How objects are made, lent to closures, and given up.

use std::{error::Error as StdError, panic::Location};

use tokio::runtime;

use super::{
    builder::Recycle,
    places::Places,
    slot::{self, Loan},
};
use crate::{
    error::{Error, catch, catch_for_later},
    job::Job,
    lane::Outfit,
    sync::Arc,
};

pub(super) type Cause = Arc<dyn StdError + Send + Sync>;
pub(super) type Make<T> = Box<dyn Fn() -> Result<T, Cause> + Send + Sync>;
pub(super) type Clean<T> = Box<dyn Fn(&mut T) -> Recycle + Send + Sync>;

/// What the threads of a resource share. The objects themselves are not among it: each stays on its
/// thread, so that this can be shared whatever they are.
pub(super) struct Stock<T> {
    pub(super) name: Arc<str>,
    pub(super) make: Make<T>,
    pub(super) clean: Clean<T>,
    pub(super) places: Arc<Places>,
    /// Where the maker was given.
    pub(super) location: &'static Location<'static>,
}

impl<T: 'static> Stock<T> {
    /// Runs a closure on this thread's object.
    ///
    /// The order: the closure has returned or panicked; if it may have left the object in the
    /// middle of something, that is put in order or dropped; then the object is back in its slot;
    /// then the lane hears what came of the closure, and takes the next.
    pub(super) fn run<R>(
        &self,
        f: impl FnOnce(&mut T, &Job) -> R,
        job: &Job,
        runtime: Option<&runtime::Handle>,
    ) -> Result<R, Error> {
        let Some(mut loan) = slot::borrow::<T>(self.key()) else {
            return Err(Error::InUse {
                lane: self.name.clone(),
            });
        };
        let _context = runtime.map(runtime::Handle::enter);
        let ran = catch_for_later(|| f(loan.get(), job));
        if ran.is_err() || job.is_cancelled() {
            self.recycle(loan);
        } else {
            drop(loan);
        }
        ran.map_err(|panic| panic.resume())
    }

    fn recycle(&self, mut loan: Loan<T>) {
        // An object whose recycling panics is certainly not in order.
        match catch_for_later(|| (self.clean)(loan.get())) {
            Ok(Recycle::Keep) => drop(loan),
            Ok(Recycle::Discard) => loan.discard(),
            Err(panic) => {
                loan.discard();
                panic.forget();
            }
        }
    }

    /// No two resources that exist have the same.
    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T: 'static> Outfit for Stock<T> {
    fn around(&self, is_wanted: &dyn Fn() -> bool, serve: &mut dyn FnMut()) -> Result<(), Cause> {
        let place = self.places.take();
        // That may have taken long. And not before it: to a shutdown that finds no place taken, no
        // object is made any more.
        if !is_wanted() {
            return Ok(());
        }
        let made = catch(self.location, || (self.make)());
        let object = made.unwrap_or_else(|panic| Err(Arc::new(panic.of_a_maker())))?;
        let _installed = slot::install(self.key(), object, place);
        serve();
        Ok(())
    }

    fn is_lost(&self) -> bool {
        slot::is_lost()
    }

    fn is_in_use(&self) -> bool {
        slot::is_lent(self.key())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{error::Unavailable, lane::Lane};

    fn stock(name: &str) -> Stock<Vec<u8>> {
        Stock {
            name: Arc::from(name),
            make: Box::new(|| Ok(Vec::new())),
            clean: Box::new(|_| Recycle::Discard),
            places: Arc::new(Places::new(1)),
            location: Location::caller(),
        }
    }

    /// Runs a test in the middle of a job.
    fn in_a_job(test: impl FnOnce(&Job) + Send + 'static) {
        let lane = Lane::builder("test").own_threads(crate::lane::Threads::new());
        let lane = lane.build();
        futures::executor::block_on(lane.offload_with(test)).unwrap();
    }

    #[test]
    fn a_closure_that_runs_inside_another_does_not_get_the_object_a_second_time() {
        in_a_job(|job| {
            let stock = stock("nested");
            let serve = &mut || {
                let outer = stock.run(
                    |it, job| {
                        let inner = stock.run(|it, _| it.push(9), job, None);
                        assert!(matches!(inner, Err(Error::InUse { .. })), "{inner:?}");
                        it.push(1);
                        it.clone()
                    },
                    job,
                    None,
                );
                assert_eq!(outer.unwrap(), [1]);
                // And it is back for the next.
                assert_eq!(stock.run(|it, _| it.len(), job, None).unwrap(), 1);
            };
            stock.around(&|| true, serve).unwrap();
            assert_eq!(stock.places.taken(), 0);
        });
    }

    #[test]
    fn a_closure_on_a_thread_of_somebody_else_gets_no_object() {
        in_a_job(|job| {
            let (one, other) = (stock("one"), stock("other"));
            assert!(matches!(
                one.run(|it, _| it.len(), job, None),
                Err(Error::InUse { .. })
            ));
            let serve = &mut || {
                let told = other.run(|it, _| it.len(), job, None).unwrap_err();
                assert_eq!(
                    told.to_string(),
                    "the object of `other` is in use by a closure that waits for this one"
                );
                assert_eq!(one.run(|it, _| it.len(), job, None).unwrap(), 0);
            };
            one.around(&|| true, serve).unwrap();
        });
    }

    #[test]
    fn a_thread_whose_maker_fails_does_not_serve_and_keeps_no_place() {
        let mut stock = stock("broken");
        stock.make = Box::new(|| Err(Arc::new(io::Error::from(io::ErrorKind::NotFound))));
        let cause = stock.around(&|| true, &mut || unreachable!()).unwrap_err();
        assert!(cause.downcast_ref::<io::Error>().is_some());
        stock.make = Box::new(|| panic!("as planned"));
        let cause = stock.around(&|| true, &mut || unreachable!()).unwrap_err();
        let told = Unavailable::new(stock.name.clone(), cause);
        assert!(told.cause().is::<crate::error::Panic>());
        assert_eq!(stock.places.taken(), 0);
    }
}
