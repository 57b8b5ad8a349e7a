//! Native resources: Rust values that travel in a message as themselves.
//!
//! 1. [`Native::new`] boxes the value behind an atomic pointer.
//! 2. Serialising swaps the pointer out of the `Native` and into the block. A second
//!    serialisation finds nothing and is an error.
//! 3. Receiving swaps it out of the block, looks at its type, and puts it back if it is of
//!    another one. A second receiver, even on another thread with the same `&Block`, finds
//!    nothing meanwhile or after and gets an error.
//! 4. A block or a `Native` that still has the value when it is dropped drops it, once.

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{self, Serialize, Serializer};

use crate::loan::{self, Loan};
use crate::off_heap::{Payload, drop_contained};
use crate::{DecodeErrorKind, embed};

/// The one place of a resource that has not moved out.
pub(crate) struct NativeCell(AtomicPtr<Payload>);

impl NativeCell {
    fn new(payload: Payload) -> NativeCell {
        NativeCell(AtomicPtr::new(Box::into_raw(Box::new(payload))))
    }

    /// Takes the resource, if it is still there.
    pub(crate) fn take(&self) -> Option<Box<Payload>> {
        take(&self.0)
    }
}

impl Drop for NativeCell {
    fn drop(&mut self) {
        if let Some(payload) = self.take() {
            drop_contained(payload);
        }
    }
}

fn take(place: &AtomicPtr<Payload>) -> Option<Box<Payload>> {
    // Acquire pairs with the release of whoever put it there or back.
    let payload = place.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: what is not null came out of `Box::into_raw`, and the swap gave it to us alone.
    (!payload.is_null()).then(|| unsafe { Box::from_raw(payload) })
}

/// A Rust value that travels in a message by moving: a socket, a channel, a file.
///
/// It is moved out of the `Native` when it is serialised into a message, through `&self`, and
/// out of the message when it is received. It is dropped with its message if no one receives it.
/// A term that holds one cannot be copied. `Native` without a parameter takes a resource of any
/// type.
pub struct Native<T: Send + 'static = Box<dyn Any + Send>> {
    cell: NativeCell,
    value: PhantomData<fn() -> T>,
}

impl<T: Send + 'static> Native<T> {
    /// Makes a value a resource.
    pub fn new(value: T) -> Native<T> {
        let payload: Payload = Box::new(value);
        // A resource of any type is held as itself, not boxed once more.
        let payload = match payload.downcast::<Payload>() {
            Ok(any) => *any,
            Err(payload) => payload,
        };
        Native {
            cell: NativeCell::new(payload),
            value: PhantomData,
        }
    }

    /// The value; `None` if it has moved into a message.
    pub fn into_inner(self) -> Option<T> {
        let payload = *self.cell.take()?;
        let payload = if is_any::<T>() {
            Box::new(payload)
        } else {
            payload
        };
        // The type was looked at when the resource was made or received.
        payload.downcast::<T>().ok().map(|value| *value)
    }

    /// Whether the value is still here.
    pub fn is_present(&self) -> bool {
        !self.cell.0.load(Ordering::Relaxed).is_null()
    }
}

fn is_any<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Payload>()
}

impl<T: Send + 'static> fmt::Debug for Native<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Native<{}>", std::any::type_name::<T>())
    }
}

impl<T: Send + 'static> Serialize for Native<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (result, taken) = loan::lend(Loan::Native(&self.cell), || {
            serializer.serialize_newtype_struct(embed::NATIVE, &())
        });
        match result {
            Ok(_) if !taken => Err(ser::Error::custom(
                "a native resource travels only in a VM message",
            )),
            result => result,
        }
    }
}

impl<'de, T: Send + 'static> Deserialize<'de> for Native<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Native<T>, D::Error> {
        deserializer.deserialize_newtype_struct(embed::NATIVE, NativeVisitor(PhantomData))
    }
}

struct NativeVisitor<T>(PhantomData<fn() -> T>);

impl<'de, T: Send + 'static> Visitor<'de> for NativeVisitor<T> {
    type Value = Native<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a native resource of type {}",
            std::any::type_name::<T>()
        )
    }

    fn visit_unit<E: de::Error>(self) -> Result<Native<T>, E> {
        let received = loan::take_source(|term| {
            let place = term.native()?;
            let Some(payload) = take(place) else {
                return Some(Err(E::custom(DecodeErrorKind::NativeMoved)));
            };
            if is_any::<T>() || (**payload).is::<T>() {
                let cell = NativeCell(AtomicPtr::new(Box::into_raw(payload)));
                return Some(Ok(Native {
                    cell,
                    value: PhantomData,
                }));
            }
            // No one else can have filled the place: only who takes a resource puts one back.
            place.store(Box::into_raw(payload), Ordering::Release);
            let other = de::Unexpected::Other("a native resource of another type");
            Some(Err(E::invalid_type(other, &self)))
        });
        let other = de::Unexpected::Other("another term, or a foreign format");
        received
            .flatten()
            .unwrap_or_else(|| Err(E::invalid_type(other, &self)))
    }
}
