//! What processes are made with as to memory, and the VM's defaults for it.

use std::sync::atomic::{AtomicBool, Ordering};

use otp_scheduler::lock::Mutex;

use crate::core::Core;
use crate::max_heap_size::{
    HeapSizeError, MAX_HEAP_SIZE_LIMIT_WORDS, MaxHeapSize, MaxHeapSizeOptions,
};
use crate::process::memory::{DEFAULT_MIN_HEAP_SIZE_WORDS, Memory};
use crate::vm::Vm;

/// The options of `spawn_opt` about memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MemoryOptions {
    pub(crate) max_heap_size: Option<MaxHeapSizeOptions>,
    pub(crate) min_heap_words: Option<usize>,
}

impl MemoryOptions {
    pub(crate) fn is_set(&self) -> bool {
        self.max_heap_size.is_some() || self.min_heap_words.is_some()
    }

    pub(crate) fn resolve(self, core: &Core) -> Result<Box<Memory>, HeapSizeError> {
        let defaults = core.heap_defaults();
        let min = self.min_heap_words.unwrap_or(defaults.min_heap_words);
        let asked = self
            .max_heap_size
            .unwrap_or_else(|| defaults.max_heap_size.into());
        check_min(min, 0)?;
        let limit = asked.resolve(defaults.max_heap_size, min)?;
        Ok(Box::new(Memory::new(limit, min)))
    }
}

/// A heap may not start with more than it is limited to.
pub(crate) fn check_min(min: usize, limit: usize) -> Result<(), HeapSizeError> {
    if min > MAX_HEAP_SIZE_LIMIT_WORDS {
        return Err(HeapSizeError::TooLarge { size: min });
    }
    if limit != 0 && limit < min {
        return Err(HeapSizeError::BelowMin { size: limit, min });
    }
    Ok(())
}

/// What processes are made with that are made without options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeapDefaults {
    pub(crate) max_heap_size: MaxHeapSize,
    pub(crate) min_heap_words: usize,
}

/// Where a VM keeps them.
#[derive(Debug)]
pub(crate) struct HeapDefaultsCell {
    defaults: Mutex<HeapDefaults>,
    /// There is a limit: spawning asks no more than this.
    limits: AtomicBool,
}

impl Default for HeapDefaultsCell {
    fn default() -> Self {
        Self {
            defaults: Mutex::new(HeapDefaults {
                max_heap_size: MaxHeapSize::default(),
                min_heap_words: DEFAULT_MIN_HEAP_SIZE_WORDS,
            }),
            limits: AtomicBool::new(false),
        }
    }
}

impl HeapDefaultsCell {
    pub(crate) fn get(&self) -> HeapDefaults {
        *self.defaults.lock()
    }

    #[inline]
    pub(crate) fn limits(&self) -> bool {
        self.limits.load(Ordering::Relaxed)
    }

    pub(crate) fn set<E>(
        &self,
        change: impl FnOnce(&mut HeapDefaults) -> Result<(), E>,
    ) -> Result<HeapDefaults, E> {
        let mut defaults = self.defaults.lock();
        let before = *defaults;
        let mut changed = before;
        change(&mut changed)?;
        *defaults = changed;
        let limits = changed.max_heap_size.size > 0;
        self.limits.store(limits, Ordering::Relaxed);
        Ok(before)
    }
}

impl Vm {
    /// Sets the limit on what each process keeps that is made from now on without one of its own; gives what was set
    /// before. What the options leave out stays as it was. `system_flag(max_heap_size, …)`.
    ///
    /// # Errors
    /// [`HeapSizeError`] for a size that no heap has.
    pub fn set_max_heap_size(
        &self,
        limit: impl Into<MaxHeapSizeOptions>,
    ) -> Result<MaxHeapSize, HeapSizeError> {
        let limit = limit.into();
        let before = self.core().set_heap_defaults(|defaults| {
            let resolved = limit.resolve(defaults.max_heap_size, defaults.min_heap_words)?;
            defaults.max_heap_size = resolved;
            Ok(())
        })?;
        Ok(before.max_heap_size)
    }

    /// Sets what heaps of new processes start with, in words; gives what was set before.
    /// `system_flag(min_heap_size, Words)`.
    ///
    /// # Errors
    /// [`HeapSizeError`] for a size that no heap has.
    pub fn set_min_heap_size(&self, words: usize) -> Result<usize, HeapSizeError> {
        let before = self.core().set_heap_defaults(|defaults| {
            check_min(words, defaults.max_heap_size.size)?;
            defaults.min_heap_words = words;
            Ok(())
        })?;
        Ok(before.min_heap_words)
    }
}
