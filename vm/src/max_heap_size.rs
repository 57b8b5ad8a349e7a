//! The limit on what a process keeps.

use otp_heap::{Term, View};

/// What happens when a process keeps more than it should. `max_heap_size` of OTP.
///
/// What counts is the terms on its heap, its dictionary, and the messages that it has taken in (unless its
/// `message_queue_data` is `off_heap`), exactly; by option, the shared binaries that its heap refers to, and the
/// estimate of [`ProcessInfo::native_memory`](crate::ProcessInfo::native_memory). It is looked at when the process adds
/// to its heap or its dictionary, when it takes messages in, and, for native memory, at the end of its slices: a
/// process past its limit is killed there, at its next entry into the VM.
///
/// Words have 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaxHeapSize {
    /// In words; 0 for no limit.
    pub size: usize,
    /// End the process, with reason `killed`.
    pub kill: bool,
    /// Tell of it, by an event of `tracing` (target `otp_vm::max_heap_size`), once until it is under the limit again.
    pub error_logger: bool,
    /// Count the shared binaries that the heap refers to.
    pub include_shared_binaries: bool,
    /// Count native memory; 0 without [`AccountingAllocator`](crate::AccountingAllocator).
    pub include_native_memory: bool,
}

impl Default for MaxHeapSize {
    /// OTP's: no limit, and if there is one: kill and tell.
    fn default() -> Self {
        Self {
            size: 0,
            kill: true,
            error_logger: true,
            include_shared_binaries: false,
            include_native_memory: false,
        }
    }
}

/// A limit as it is asked for: what it leaves out is as in the VM's default.
///
/// ```
/// use otp_vm::{MaxHeapSizeOptions, SpawnOptions};
///
/// let limit = MaxHeapSizeOptions::size(1 << 20).kill(false);
/// let options = SpawnOptions::new().max_heap_size(limit);
/// // Or by a number of words alone:
/// let options = SpawnOptions::new().max_heap_size(1 << 20);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a limit holds once it is given to a process"]
pub struct MaxHeapSizeOptions {
    size: usize,
    kill: Option<bool>,
    error_logger: Option<bool>,
    include_shared_binaries: Option<bool>,
    include_native_memory: Option<bool>,
}

/// Largest size: 2^59 - 1 words, as OTP's.
pub const MAX_HEAP_SIZE_LIMIT_WORDS: usize = (1 << 59) - 1;

/// Why a size was not set. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeapSizeError {
    /// A heap may not be limited to less than it starts with.
    #[error(
        "max_heap_size is {size} words, less than min_heap_size, {min}: give {min} or more, or 0 for no limit"
    )]
    BelowMin {
        /// What was asked for, in words.
        size: usize,
        /// `min_heap_size`, in words.
        min: usize,
    },
    /// More than a heap can have.
    #[error("a heap size of {size} words is too large: give at most {MAX_HEAP_SIZE_LIMIT_WORDS}")]
    TooLarge {
        /// What was asked for, in words.
        size: usize,
    },
    /// A term that is neither a size nor a map of options.
    #[error(
        "no max_heap_size: give a number of words, or a map with size, kill, error_logger, include_shared_binaries, \
         include_native_memory, of which size must be there"
    )]
    Term,
    /// The process ended.
    #[error("the process ended: it has no heap any more")]
    Gone,
}

impl MaxHeapSizeOptions {
    /// A limit of so many words; 0 for none.
    pub fn size(words: usize) -> Self {
        Self {
            size: words,
            kill: None,
            error_logger: None,
            include_shared_binaries: None,
            include_native_memory: None,
        }
    }

    /// Whether to kill the process.
    pub fn kill(mut self, kill: bool) -> Self {
        self.kill = Some(kill);
        self
    }

    /// Whether to tell of it.
    pub fn error_logger(mut self, tell: bool) -> Self {
        self.error_logger = Some(tell);
        self
    }

    /// Whether shared binaries count.
    pub fn include_shared_binaries(mut self, include: bool) -> Self {
        self.include_shared_binaries = Some(include);
        self
    }

    /// Whether native memory counts.
    pub fn include_native_memory(mut self, include: bool) -> Self {
        self.include_native_memory = Some(include);
        self
    }

    /// As OTP has it: a number of words, or a map with `size` and what else is to differ from the default.
    ///
    /// # Errors
    /// [`HeapSizeError::Term`] for anything else: an empty map, a negative size, a flag that is no boolean, an unknown
    /// key.
    ///
    /// ```
    /// use otp_vm::{MaxHeapSizeOptions, to_term};
    ///
    /// assert!(MaxHeapSizeOptions::from_term(to_term(&1024)?.root()).is_ok());
    /// assert!(MaxHeapSizeOptions::from_term(to_term(&-1)?.root()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_term(term: Term<'_>) -> Result<Self, HeapSizeError> {
        let words = |term: Term<'_>| term.as_i64().and_then(|words| usize::try_from(words).ok());
        if let Some(words) = words(term) {
            return Ok(Self::size(words));
        }
        let map = term.as_map().ok_or(HeapSizeError::Term)?;
        let mut size = None;
        let mut options = Self::size(0);
        for (key, value) in map.iter() {
            let key = key.as_atom().ok_or(HeapSizeError::Term)?;
            let flag = match value.view() {
                View::Atom(otp_heap::atoms::TRUE) => Some(true),
                View::Atom(otp_heap::atoms::FALSE) => Some(false),
                _ => None,
            };
            let known = match key.as_str() {
                "size" => {
                    size = words(value);
                    size.is_some()
                }
                "kill" => {
                    options.kill = flag;
                    flag.is_some()
                }
                "error_logger" => {
                    options.error_logger = flag;
                    flag.is_some()
                }
                "include_shared_binaries" => {
                    options.include_shared_binaries = flag;
                    flag.is_some()
                }
                "include_native_memory" => {
                    options.include_native_memory = flag;
                    flag.is_some()
                }
                _ => false,
            };
            if !known {
                return Err(HeapSizeError::Term);
            }
        }
        options.size = size.ok_or(HeapSizeError::Term)?;
        Ok(options)
    }

    /// With what was left out from `default`; checked.
    pub(crate) fn resolve(
        self,
        default: MaxHeapSize,
        min_heap_words: usize,
    ) -> Result<MaxHeapSize, HeapSizeError> {
        if self.size > MAX_HEAP_SIZE_LIMIT_WORDS {
            return Err(HeapSizeError::TooLarge { size: self.size });
        }
        if self.size != 0 && self.size < min_heap_words {
            return Err(HeapSizeError::BelowMin {
                size: self.size,
                min: min_heap_words,
            });
        }
        let or = |asked: Option<bool>, default| asked.unwrap_or(default);
        Ok(MaxHeapSize {
            size: self.size,
            kill: or(self.kill, default.kill),
            error_logger: or(self.error_logger, default.error_logger),
            include_shared_binaries: or(
                self.include_shared_binaries,
                default.include_shared_binaries,
            ),
            include_native_memory: or(self.include_native_memory, default.include_native_memory),
        })
    }
}

impl From<usize> for MaxHeapSizeOptions {
    fn from(words: usize) -> Self {
        Self::size(words)
    }
}

/// All of it, nothing from the default: to set a limit back.
impl From<MaxHeapSize> for MaxHeapSizeOptions {
    fn from(limit: MaxHeapSize) -> Self {
        Self {
            size: limit.size,
            kill: Some(limit.kill),
            error_logger: Some(limit.error_logger),
            include_shared_binaries: Some(limit.include_shared_binaries),
            include_native_memory: Some(limit.include_native_memory),
        }
    }
}
