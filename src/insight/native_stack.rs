//! [`NativeStack`]: the calls that a running thread is in.

use std::io;
use std::os::raw::c_int;
use std::sync::Arc;

use gimli::{CfaRule, Register, RegisterRule, UnwindContext, UnwindTableRow};

use super::modules::Modules;
use crate::overflow::sample::{self, Sample};
use crate::shared::Mailbox;
use crate::stack::{Frames, FramesEnd};

/// A stack that is walked: a copy of it, and the registers of the call that has been reached.
#[derive(Debug)]
pub(super) struct NativeStack {
    /// By their numbers in debug information.
    registers: [Option<u64>; REGISTERS],
    start: u64,
    stack: Vec<u8>,
    /// How often the hub had resumed a fiber, if one had the thread.
    pub(super) resumes: Option<u64>,
}

const REGISTERS: usize = 17;
const STACK_POINTER: usize = 7;
const INSTRUCTION_POINTER: usize = 16;

impl NativeStack {
    /// Interrupts the thread of this hub by `signal`.
    pub(super) fn of(hub: &Arc<Mailbox>, signal: c_int) -> io::Result<NativeStack> {
        let unknown = || io::Error::other("the system does not say which thread it is");
        let mut words = hub.proc_path().ok_or_else(unknown)?.split('/');
        let (process, thread) = (words.next(), words.nth(1));
        // Otherwise `/proc` shows the numbers of another namespace.
        let is_here = process.and_then(|id| id.parse().ok()) == Some(std::process::id());
        let thread = thread.filter(|_| is_here).and_then(|id| id.parse().ok());
        let Sample {
            registers,
            stack,
            resumes,
        } = sample::take(hub, thread.ok_or_else(unknown)?, signal)?;
        Ok(NativeStack {
            registers: registers.map(Some),
            start: registers[STACK_POINTER],
            stack,
            resumes,
        })
    }

    /// Returns where each of its calls goes on, the innermost first, and what is behind the last one.
    pub(super) fn walk(mut self) -> io::Result<(Box<[usize]>, FramesEnd)> {
        let mut frames = Frames::new();
        let mut modules = Modules::load()?;
        let mut context = UnwindContext::new();
        // Where a call goes on is behind the call; the innermost has not made one.
        let mut behind_call = 0;
        while let Some(address) = self.registers[INSTRUCTION_POINTER].filter(|a| *a != 0) {
            // What was found there may be any number.
            if !frames.push(address.wrapping_add(1 - behind_call) as usize) {
                break;
            }
            let leave = |row: &UnwindTableRow<usize>| self.leave(row);
            let left = modules.row_at(address - behind_call, &mut context, leave);
            if left.flatten().is_none() {
                break;
            }
            behind_call = 1;
        }
        Ok((frames.addresses().into(), FramesEnd::Cut))
    }

    /// Goes on with the caller. Returns nothing if that is not known.
    fn leave(&mut self, row: &UnwindTableRow<usize>) -> Option<()> {
        let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else {
            return None;
        };
        let value = |register: Register| *self.registers.get(usize::from(register.0))?;
        let frame = value(register)?.checked_add_signed(offset)?;
        if frame <= self.registers[STACK_POINTER]? {
            return None;
        }
        let mut callers = self.registers;
        for (number, caller) in (0..).zip(&mut callers) {
            match row.register(Register(number)) {
                // Those that the callee keeps are as they were unless the tables say otherwise.
                RegisterRule::Undefined if usize::from(number) == INSTRUCTION_POINTER => {
                    *caller = None;
                }
                RegisterRule::Undefined | RegisterRule::SameValue => {}
                RegisterRule::Offset(n) => *caller = self.read(frame.checked_add_signed(n)?),
                RegisterRule::ValOffset(n) => *caller = frame.checked_add_signed(n),
                RegisterRule::Register(other) => *caller = value(other),
                _ => *caller = None,
            }
        }
        callers[STACK_POINTER] = Some(frame);
        self.registers = callers;
        Some(())
    }

    /// Reads a word of the stack.
    fn read(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.stack.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}
