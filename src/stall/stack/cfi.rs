//! From a function to its caller, by the tables that the compiler made for panics (`.eh_frame`).
//!
//! A row of these tables says, for one instruction of a function, where its frame is (the *canonical
//! frame address*, the stack pointer of the caller) and where the registers of its caller are. Any of
//! them may be unknown here, since the sleeping thread does not tell them, and what depends on an unknown
//! one is unknown.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult,
    FrameDescriptionEntry, LittleEndian, Register, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection, UnwindTableRow, Value,
};

use super::memory::Copied;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

pub(super) const RBP: usize = 6;
const RSP: usize = 7;
/// The return address, which the tables treat as a register.
const RIP: usize = 16;
/// A function leaves these as it has found them: rbx, rbp, r12 to r15.
const KEPT: [usize; 6] = [3, RBP, 12, 13, 14, 15];

/// The registers of x86_64, by their numbers in DWARF, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers([Option<u64>; 17]);

impl Registers {
    pub(super) fn new(sp: u64, pc: u64) -> Self {
        let mut registers = Self::default();
        registers.0[RSP] = Some(sp);
        registers.0[RIP] = Some(pc);
        registers
    }

    /// Zero if it is not known, where nothing is.
    pub(super) fn sp(&self) -> u64 {
        self.0[RSP].unwrap_or(0)
    }

    pub(super) fn pc(&self) -> u64 {
        self.0[RIP].unwrap_or(0)
    }

    pub(super) fn set(&mut self, register: usize, value: u64) {
        self.0[register] = Some(value);
    }

    fn of(&self, register: Register) -> Option<u64> {
        self.0.get(usize::from(register.0)).copied().flatten()
    }
}

/// A function that calls.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) registers: Registers,
    /// It does not call, but was interrupted by a signal: its address is not behind a call.
    pub(super) interrupted: bool,
}

/// Why there is no caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The thread begins here.
    Beginning,
    /// Its frame is found by `rbp`, the value of which is not known. It begins at this address of the
    /// file.
    NeedsFramePointer(u64),
    /// What is needed is at this address of the stack, which was not copied.
    Beyond(u64),
    Lost,
}

impl From<gimli::Error> for Stop {
    fn from(_: gimli::Error) -> Self {
        Self::Lost
    }
}

/// The tables of a file.
#[derive(Debug)]
pub(super) struct Tables {
    bases: BaseAddresses,
    entries: Box<[u8]>,
    /// Sorted by address, if the file has that.
    index: Option<Box<[u8]>>,
}

impl Tables {
    /// From the sections and their addresses.
    pub(super) fn new(
        entries: (u64, &[u8]),
        index: Option<(u64, &[u8])>,
        text: Option<u64>,
        got: Option<u64>,
    ) -> Option<Self> {
        let mut bases = BaseAddresses::default().set_eh_frame(entries.0);
        if let Some((address, _)) = index {
            bases = bases.set_eh_frame_hdr(address);
        }
        if let Some(text) = text {
            bases = bases.set_text(text);
        }
        if let Some(got) = got {
            bases = bases.set_got(got);
        }
        (!entries.1.is_empty()).then(|| Self {
            bases,
            entries: entries.1.into(),
            index: index.map(|(_, bytes)| bytes.into()),
        })
    }

    /// The caller of the function that has `address`, of the file, in it.
    pub(super) fn step(
        &self,
        address: u64,
        registers: &Registers,
        stack: &Copied,
        context: &mut UnwindContext<usize>,
    ) -> Result<Caller, Stop> {
        let section = EhFrame::new(&self.entries, LittleEndian);
        let entry = self.entry(&section, address)?;
        let row = entry.unwind_info_for_address(&section, &self.bases, context, address)?;
        let frame = Frame {
            registers,
            stack,
            section,
            encoding: entry.cie().encoding(),
        };
        let cfa = frame.address(row, entry.initial_address())?;
        Ok(Caller {
            registers: frame.callers(row, cfa)?,
            interrupted: entry.is_signal_trampoline(),
        })
    }

    fn entry<'a>(
        &'a self,
        section: &EhFrame<Slice<'a>>,
        address: u64,
    ) -> gimli::Result<FrameDescriptionEntry<Slice<'a>>> {
        let index = self.index.as_deref().and_then(|index| {
            let header = EhFrameHdr::new(index, LittleEndian);
            header.parse(&self.bases, size_of::<u64>() as u8).ok()
        });
        // The index may be there and have no table.
        match index.as_ref().and_then(|index| index.table()) {
            Some(table) => {
                table.fde_for_address(section, &self.bases, address, EhFrame::cie_from_offset)
            }
            None => section.fde_for_address(&self.bases, address, EhFrame::cie_from_offset),
        }
    }
}

/// A function in the middle of which the thread is.
struct Frame<'a> {
    registers: &'a Registers,
    stack: &'a Copied,
    section: EhFrame<Slice<'a>>,
    encoding: Encoding,
}

impl Frame<'_> {
    /// The canonical frame address.
    fn address(&self, row: &UnwindTableRow<usize>, function: u64) -> Result<u64, Stop> {
        match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => match self.registers.of(*register) {
                Some(value) => Ok(value.wrapping_add_signed(*offset)),
                // Below the frame are the return address and the saved register itself.
                None if usize::from(register.0) == RBP && *offset == 16 => {
                    Err(Stop::NeedsFramePointer(function))
                }
                None => Err(Stop::Lost),
            },
            CfaRule::Expression(expression) => self.evaluate(expression, None).ok_or(Stop::Lost),
        }
    }

    fn callers(&self, row: &UnwindTableRow<usize>, cfa: u64) -> Result<Registers, Stop> {
        let back = Register(RIP as u16);
        let pc = match row.register(back).ok_or(Stop::Lost)? {
            RegisterRule::Undefined => return Err(Stop::Beginning),
            RegisterRule::Offset(offset) => {
                let at = cfa.wrapping_add_signed(offset);
                self.stack.word(at).ok_or(Stop::Beyond(at))?
            }
            rule => self.value(&rule, RIP, cfa).ok_or(Stop::Lost)?,
        };
        let mut callers = Registers::new(cfa, pc);
        for (number, register) in callers.0.iter_mut().enumerate().take(RIP) {
            match row.register(Register(number as u16)) {
                Some(rule) => *register = self.value(&rule, number, cfa),
                None if KEPT.contains(&number) => *register = self.registers.0[number],
                // The stack pointer is there already; the others are lost in a call.
                None => {}
            }
        }
        Ok(callers)
    }

    fn value(&self, rule: &RegisterRule<usize>, register: usize, cfa: u64) -> Option<u64> {
        match rule {
            RegisterRule::SameValue => self.registers.0[register],
            RegisterRule::Offset(offset) => self.stack.word(cfa.wrapping_add_signed(*offset)),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(*offset)),
            RegisterRule::Register(other) => self.registers.of(*other),
            RegisterRule::Expression(expression) => {
                self.stack.word(self.evaluate(expression, Some(cfa))?)
            }
            RegisterRule::ValExpression(expression) => self.evaluate(expression, Some(cfa)),
            _ => None,
        }
    }

    fn evaluate(&self, expression: &UnwindExpression<usize>, first: Option<u64>) -> Option<u64> {
        /// No table asks for more, and a damaged one could go round and round.
        const LONGEST: u32 = 1000;
        let expression = expression.get(&self.section).ok()?;
        let mut evaluation = expression.evaluation(self.encoding);
        evaluation.set_max_iterations(LONGEST);
        if let Some(first) = first {
            evaluation.set_initial_value(first);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.registers.of(register)?;
                    evaluation
                        .resume_with_register(Value::Generic(value))
                        .ok()?
                }
                EvaluationResult::RequiresMemory {
                    address, size: 8, ..
                } => {
                    let value = self.stack.word(address)?;
                    evaluation.resume_with_memory(Value::Generic(value)).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.result().first()?.location {
            gimli::Location::Address { address } => Some(address),
            _ => None,
        }
    }
}
