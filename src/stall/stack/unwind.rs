//! The walk from the innermost function to the beginning of the thread.

use std::sync::Arc;

use gimli::UnwindContext;

use super::{
    cfi::{Caller, RBP, Registers, Stop},
    frame::Confidence,
    frame_pointer,
    memory::Copied,
    module::Module,
    modules::Modules,
    trace::End,
};

/// Who is nested deeper than this is told of so many only.
const DEEPEST: usize = 512;

/// A function on the way, without its name.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) module: Arc<Module>,
    /// In the file: of what is executed next, or of the last byte of a call.
    pub(super) address: u64,
    pub(super) confidence: Confidence,
}

/// Follows a stack that begins at the start of the copy. If the copy is not `whole`, what lies behind it
/// is of that stack too.
pub(super) fn walk(
    stack: &Copied,
    whole: bool,
    pc: u64,
    modules: &mut Modules,
) -> (Vec<Found>, End) {
    let mut found = Vec::new();
    let mut caller = Caller {
        registers: Registers::new(stack.start, pc),
        interrupted: true,
    };
    let mut confidence = Confidence::Known;
    let mut context = UnwindContext::new();
    while found.len() < DEEPEST {
        let Caller {
            mut registers,
            interrupted,
        } = caller;
        // A call may be the last instruction of its function, and the address behind it another's.
        let pc = registers.pc().wrapping_sub(u64::from(!interrupted));
        let Some(place) = modules.at(pc) else {
            return (found, End::Lost);
        };
        found.push(Found {
            module: place.module.clone(),
            address: place.address,
            confidence,
        });
        let Some(tables) = place.module.tables() else {
            return (found, End::Lost);
        };
        let mut step = tables.step(place.address, &registers, stack, &mut context);
        if let Err(Stop::NeedsFramePointer(function)) = step {
            let function = pc.wrapping_sub(place.address.wrapping_sub(function));
            let recovered = frame_pointer::recover(function, registers.sp(), stack, modules);
            let Some((rbp, how)) = recovered else {
                let end = if whole { End::Lost } else { End::TooDeep };
                return (found, end);
            };
            confidence = confidence.min(how);
            registers.set(RBP, rbp);
            step = tables.step(place.address, &registers, stack, &mut context);
        }
        caller = match step {
            // The caller's stack ends further up, or this goes round in a circle.
            Ok(caller) if caller.registers.sp() <= registers.sp() => return (found, End::Lost),
            Ok(caller) if caller.registers.pc() == 0 => {
                // Where threads begin there is no address to return to; nor is there where a guess
                // was wrong.
                let end = match confidence {
                    Confidence::Guessed => End::Lost,
                    _ => End::Thread,
                };
                return (found, end);
            }
            Ok(caller) => caller,
            Err(Stop::Beginning) => return (found, End::Thread),
            Err(Stop::Beyond(address)) if !whole && address >= stack.end() => {
                return (found, End::TooDeep);
            }
            Err(_) => return (found, End::Lost),
        };
    }
    (found, End::TooDeep)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::maps::Maps, *};

    /// Words of a stack on which anything may lie: small numbers, places in the stack, in the code of
    /// this program, and others.
    fn words(code: std::ops::Range<u64>, stack: u64) -> impl Strategy<Value = Vec<u64>> {
        let word = prop_oneof![
            0..0x100_u64,
            (0..0x800_u64).prop_map(move |at| stack + 8 * at),
            code,
            any::<u64>(),
        ];
        prop::collection::vec(word, 0..512)
    }

    fn code() -> std::ops::Range<u64> {
        let maps = Maps::read().expect("a test may look into itself");
        let here = code as fn() -> std::ops::Range<u64> as usize as u64;
        maps.at(here).expect("it is mapped").range.clone()
    }

    const STACK: u64 = 0x7000_0000_0000;

    proptest! {
        #[test]
        fn whatever_lies_on_a_stack_the_walk_comes_to_an_end(
            words in words(code(), STACK),
            start in prop_oneof![Just(STACK), Just(STACK + 3), any::<u64>()],
            pc in prop_oneof![code(), any::<u64>()],
            whole in any::<bool>(),
        ) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let length = bytes.len();
            let stack = Copied { start, bytes };
            let mut modules = Modules::now().expect("a test may look into itself");
            let (found, end) = walk(&stack, whole, pc, &mut modules);
            // Each takes eight bytes at least: the address that it returns to.
            prop_assert!(found.len() <= 1 + length / 8);
            prop_assert!(!whole || end != End::TooDeep);
        }
    }
}
