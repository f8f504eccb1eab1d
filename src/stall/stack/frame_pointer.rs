//! The frame pointer of a function, where it is not known.
//!
//! A function that keeps its frame in `rbp` begins like this, and many of the standard library do:
//!
//! ```text
//! push rbp          ┌───────────────────┐ higher addresses
//! mov  rbp, rsp     │ return address    │
//! push r14          │ rbp of the caller │ ◄── rbp
//! push rbx          │ r14, rbx          │
//! sub  rsp, 0x40    │ 0x40 bytes        │ ◄── rsp
//! ```
//!
//! So the distance of the two is in its code. Where that cannot be read (the stack is aligned, or
//! reserved in a loop) the stack is searched for such a pair: for the one with an address behind a call
//! of this very function, and if there is none or more than one, the first that looks like it is a guess.

use super::{frame::Confidence, memory::Copied, modules::Modules};

/// The longest call: `FF 94` with four more bytes and a prefix that does not matter.
const CALL: usize = 7;
/// As far as the beginning of a function is looked at.
const BEGINNING: usize = 64;
/// A frame larger than this is not searched.
const FARTHEST: u64 = 32 * 1024;

/// The value of `rbp` in a function that begins at `function` and whose `rsp` is `sp`.
pub(super) fn recover(
    function: u64,
    sp: u64,
    stack: &Copied,
    modules: &Modules,
) -> Option<(u64, Confidence)> {
    let calls = |rbp: u64| {
        let back = stack.word(rbp.checked_add(8)?)?;
        call_before(back, modules)
    };
    let is_of_this = |call: Call| call.target(modules) == Some(function);
    let beginning = modules.live().array::<BEGINNING>(function);
    let distance = beginning.and_then(|code| distance(&code));
    let mut guess = None;
    if let Some(Distance { bytes, is_all }) = distance
        && let Some(rbp) = sp.checked_add(bytes)
        && let Some(call) = calls(rbp)
    {
        if is_all || is_of_this(call) {
            return Some((rbp, Confidence::Checked));
        }
        guess = Some((rbp, Confidence::Guessed));
    }
    // Both are of eight bytes, and so is everything that is pushed.
    let places = (sp..stack.end().min(sp.saturating_add(FARTHEST))).step_by(8);
    let calls = places.filter_map(|rbp| Some((rbp, calls(rbp)?)));
    let mut of_this = None;
    for (rbp, call) in calls {
        if is_of_this(call) {
            if let Some(first) = of_this {
                // One is left over from an earlier call of the function.
                return Some((first, Confidence::Guessed));
            }
            of_this = Some(rbp);
        }
        guess = guess.or(Some((rbp, Confidence::Guessed)));
    }
    of_this.map(|rbp| (rbp, Confidence::Checked)).or(guess)
}

/// How far `rbp` is above `rsp`, as far as the beginning of a function tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Distance {
    bytes: u64,
    /// It says how much is reserved. If it does not, that may be nothing, or be said further down.
    is_all: bool,
}

fn distance(code: &[u8]) -> Option<Distance> {
    /// So much is reserved at once only by code that goes on to reserve more.
    const PAGE: u64 = 4096;
    // `endbr64`, where jumps are checked.
    let code = code.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa]).unwrap_or(code);
    let mut code = code.strip_prefix(&[0x55, 0x48, 0x89, 0xe5])?;
    let mut pushed = 0;
    loop {
        code = match code {
            [0x41, 0x50..=0x57, rest @ ..] | [0x50..=0x57, rest @ ..] => rest,
            _ => break,
        };
        pushed += 8;
    }
    let reserved = match code {
        [0x48, 0x83, 0xec, size, ..] if *size < 0x80 => Some(u64::from(*size)),
        [0x48, 0x81, 0xec, a, b, c, d, ..] => {
            let size = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            (size != PAGE).then_some(Some(size))?
        }
        // `and rsp`: it is aligned. `lea r11, [rsp - ...]`: it is reserved in a loop.
        [0x48, 0x83, 0xe4, ..] | [0x4c, 0x8d, 0x9c, 0x24, ..] => return None,
        _ => None,
    };
    Some(Distance {
        bytes: pushed + reserved.unwrap_or(0),
        is_all: reserved.is_some(),
    })
}

/// What a call goes to, as far as its code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// This address.
    To(u64),
    /// What is written at this address.
    Through(u64),
    /// What is in a register.
    Somewhere,
}

impl Call {
    fn target(self, modules: &Modules) -> Option<u64> {
        match self {
            Self::To(address) => Some(address),
            Self::Through(slot) => modules.live().word(slot),
            Self::Somewhere => None,
        }
    }
}

/// The call that returns to an address.
fn call_before(back: u64, modules: &Modules) -> Option<Call> {
    let start = back.checked_sub(CALL as u64)?;
    if !modules.is_code(start) || !modules.is_code(back - 1) {
        return None;
    }
    decode(&modules.live().array(start)?, back)
}

fn decode(code: &[u8; CALL], back: u64) -> Option<Call> {
    /// Whether the second byte says that it is a call, with one of these groups of operands.
    fn is_call(second: u8, group: u8) -> bool {
        second & 0b1111_1000 == group | 0b0001_0000 && second & 0b111 != 0b100
    }
    /// The same for operands that take one byte more.
    fn is_call_by_index(second: u8, group: u8) -> bool {
        second == group | 0b0001_0100
    }
    let relative = |a, b, c, d| back.wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into());
    Some(match *code {
        [_, _, 0xe8, a, b, c, d] => Call::To(relative(a, b, c, d)),
        [_, 0xff, 0x15, a, b, c, d] => Call::Through(relative(a, b, c, d)),
        [_, 0xff, second, ..] if is_call(second, 0x80) => Call::Somewhere,
        [0xff, second, ..] if is_call_by_index(second, 0x80) => Call::Somewhere,
        [_, _, _, 0xff, second, ..] if is_call_by_index(second, 0x40) => Call::Somewhere,
        [_, _, _, _, 0xff, second, _] if is_call(second, 0x40) => Call::Somewhere,
        [_, _, _, _, 0xff, second, _] if is_call_by_index(second, 0x00) => Call::Somewhere,
        [_, _, _, _, _, 0xff, 0xd0..=0xd7] => Call::Somewhere,
        [_, _, _, _, _, 0xff, second] if second != 0x15 && is_call(second, 0x00) => Call::Somewhere,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some call in the code of this program: what it calls, and where that returns to.
    fn some_call(modules: &Modules) -> (u64, u64) {
        let here = some_call as fn(&Modules) -> (u64, u64) as usize as u64;
        let code = modules.live().read(here, 4096).expect("it is mapped");
        (0..code.len() as u64 - 8)
            .find_map(|at| {
                let back = here + at + 8;
                let Call::To(target) = call_before(back, modules)? else {
                    return None;
                };
                let start = modules.live().array::<BEGINNING>(target)?;
                distance(&start).is_none().then_some((target, back))
            })
            .expect("everything calls")
    }

    #[test]
    fn the_stack_is_searched_where_the_code_does_not_say() {
        let modules = Modules::now().expect("a test may look into itself");
        let (function, back) = some_call(&modules);
        // A number, a place in the stack, and what looks like a frame of that function.
        let words = [7, 0x1018, 0x1030, back, 0];
        let stack = Copied {
            start: 0x1000,
            bytes: words
                .iter()
                .flat_map(|word: &u64| word.to_le_bytes())
                .collect(),
        };
        let of = |function| recover(function, 0x1000, &stack, &modules);
        assert_eq!(of(function), Some((0x1010, Confidence::Checked)));
        // Two of that function: an earlier call of it has left one behind.
        let words = [7, 0x1018, 0x1030, back, 0x1030, back];
        let twice = Copied {
            start: 0x1000,
            bytes: words
                .iter()
                .flat_map(|word: &u64| word.to_le_bytes())
                .collect(),
        };
        let found = recover(function, 0x1000, &twice, &modules);
        assert_eq!(found, Some((0x1010, Confidence::Guessed)));
        assert_eq!(of(8), Some((0x1010, Confidence::Guessed)));
        assert_eq!(recover(function, 0x1018, &stack, &modules), None);
        assert_eq!(recover(function, u64::MAX - 7, &stack, &modules), None);
    }

    #[test]
    fn the_distance_is_read_from_the_beginning_of_a_function() {
        let start = [0x55, 0x48, 0x89, 0xe5];
        let with = |rest: &[u8]| distance(&[&start, rest].concat());
        let all = |bytes| {
            Some(Distance {
                bytes,
                is_all: true,
            })
        };
        let perhaps = |bytes| {
            Some(Distance {
                bytes,
                is_all: false,
            })
        };
        assert_eq!(
            with(&[0x41, 0x56, 0x53, 0x48, 0x83, 0xec, 0x40]),
            all(16 + 0x40)
        );
        assert_eq!(with(&[0x48, 0x81, 0xec, 0, 2, 0, 0]), all(0x200));
        assert_eq!(with(&[0x50, 0xe8]), perhaps(8));
        assert_eq!(with(&[]), perhaps(0));
        assert_eq!(with(&[0x41, 0x57, 0x48, 0x83, 0xe4, 0xc0]), None);
        // Page by page, each of which is touched: one after the other, and in a loop.
        assert_eq!(with(&[0x48, 0x81, 0xec, 0, 0x10, 0, 0]), None);
        assert_eq!(
            with(&[0x53, 0x4c, 0x8d, 0x9c, 0x24, 0, 0, 0xff, 0xff]),
            None
        );
        assert_eq!(
            distance(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x53]),
            perhaps(8)
        );
        assert_eq!(distance(&[0x53, 0x48]), None);
    }

    #[test]
    fn a_call_is_told_by_the_bytes_before_an_address() {
        let call = |bytes: &[u8]| {
            let mut code = [0x90; CALL];
            code[CALL - bytes.len()..].copy_from_slice(bytes);
            decode(&code, 0x1000)
        };
        assert_eq!(call(&[0xe8, 0x10, 0, 0, 0]), Some(Call::To(0x1010)));
        assert_eq!(call(&[0xe8, 0xf0, 0xff, 0xff, 0xff]), Some(Call::To(0xff0)));
        assert_eq!(call(&[0xff, 0x15, 8, 0, 0, 0]), Some(Call::Through(0x1008)));
        for bytes in [
            &[0xff, 0xd0][..],               // rax
            &[0x41, 0xff, 0xd4],             // r12
            &[0xff, 0x10],                   // [rax]
            &[0xff, 0x50, 0x18],             // [rax + 24]
            &[0xff, 0x54, 0x24, 0x18],       // [rsp + 24]
            &[0xff, 0x14, 0xc8],             // [rax + 8 * rcx]
            &[0xff, 0x90, 0, 1, 0, 0],       // [rax + 256]
            &[0xff, 0x94, 0x24, 0, 1, 0, 0], // [rsp + 256]
        ] {
            assert_eq!(call(bytes), Some(Call::Somewhere), "{bytes:x?}");
        }
        for bytes in [
            &[0xff, 0xe0][..], // jmp rax
            &[0xff, 0x30],     // push [rax]
            &[0x90],
            &[0xeb, 0x10],
        ] {
            assert_eq!(call(bytes), None, "{bytes:x?}");
        }
    }
}
