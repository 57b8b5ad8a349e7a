//! Leaves that few terms have: large integers, identifiers, exported funs, bitstrings.

use super::{Frame, Open, Writer};
use crate::etf::atom_names;
use crate::etf::error::EncodeError;
use crate::etf::limits::COPIED_BYTES_PER_WORK;
use crate::etf::room::Room;
use crate::etf::tags::{
    EXPORT_EXT, LARGE_BIG_EXT, NEW_PID_EXT, NEW_PORT_EXT, NEWER_REFERENCE_EXT, SMALL_BIG_EXT,
    SMALL_INTEGER_EXT, V4_PORT_EXT,
};
use crate::number::BigInt;
use crate::{Atom, Term, View};

/// Largest port number in the older of the two forms, which OTP prefers.
const NEW_PORT_ID_MAX: u64 = (1 << 28) - 1;

impl Writer<'_> {
    /// Leaves that few terms have.
    #[cold]
    #[inline(never)]
    pub(super) fn rare<'t>(
        &mut self,
        open: &mut Open<'t>,
        term: Term<'t>,
    ) -> Result<Option<Frame>, EncodeError> {
        let local = (self.options.node, self.options.creation);
        match term.view() {
            View::BigInt(big) => self.big(big)?,
            View::Pid(pid) => self.pid(local, pid.index(), pid.serial()),
            View::ExternalPid(pid) => self.pid((pid.node, pid.creation), pid.id, pid.serial),
            View::Port(port) => self.port(local, port.as_u64()),
            View::ExternalPort(port) => self.port((port.node, port.creation), port.id),
            View::Ref(reference) => self.reference(local, &reference.numbers()),
            View::ExternalRef(external) => {
                self.reference((external.node, external.creation), external.ids());
            }
            View::Export(fun) => {
                self.out.push(EXPORT_EXT);
                self.atom(fun.module);
                self.atom(fun.function);
                self.out.extend_from_slice(&[SMALL_INTEGER_EXT, fun.arity]);
            }
            View::Bits(bits) => {
                return self.binary(open, bits.bytes(), Some(bits.last_bits()));
            }
            View::Native => return Err(EncodeError::Native),
            _ => unreachable!("all other kinds are written by `leaf` and `other`"),
        }
        Ok(None)
    }

    /// An atom inside another term.
    fn atom(&mut self, atom: Atom) {
        let version = self.options.minor_version;
        let mut room = Room::new(std::mem::take(self.out));
        let known = atom_names::put_known(self.names, &mut room, atom, version);
        *self.out = room.finish();
        if !known {
            atom_names::put(self.names, self.out, atom, version);
        }
    }

    fn big(&mut self, big: BigInt<'_>) -> Result<(), EncodeError> {
        let limbs = big.limbs();
        let zeros = limbs.last().map_or(0, |last| last.leading_zeros() / 8);
        let len = limbs.len() * 8 - zeros as usize;
        match (u8::try_from(len), u32::try_from(len)) {
            (Ok(len), _) => self.out.extend_from_slice(&[SMALL_BIG_EXT, len]),
            (_, Ok(len)) => self.tagged(LARGE_BIG_EXT, len),
            _ => return Err(EncodeError::TooLong { bytes: len }),
        }
        self.out.push(big.is_negative().into());
        let end = self.out.len() + len;
        self.out
            .extend(limbs.iter().flat_map(|limb| limb.to_le_bytes()));
        self.out.truncate(end);
        self.work += len / COPIED_BYTES_PER_WORK;
        Ok(())
    }

    fn pid(&mut self, (node, creation): (Atom, u32), id: u32, serial: u32) {
        self.out.push(NEW_PID_EXT);
        self.atom(node);
        self.numbers(&[id, serial, creation]);
    }

    fn port(&mut self, (node, creation): (Atom, u32), id: u64) {
        if id <= NEW_PORT_ID_MAX {
            self.out.push(NEW_PORT_EXT);
            self.atom(node);
            self.numbers(&[id as u32, creation]);
        } else {
            self.out.push(V4_PORT_EXT);
            self.atom(node);
            self.numbers(&[(id >> 32) as u32, id as u32, creation]);
        }
    }

    fn reference(&mut self, (node, creation): (Atom, u32), numbers: &[u32]) {
        self.out
            .extend_from_slice(&[NEWER_REFERENCE_EXT, 0, numbers.len() as u8]);
        self.atom(node);
        self.numbers(&[creation]);
        self.numbers(numbers);
    }

    fn numbers(&mut self, numbers: &[u32]) {
        let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
        self.out.extend(bytes);
    }
}
