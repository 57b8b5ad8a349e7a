//! How many pages with free blocks a thread keeps for itself.
//!
//! mimalloc gives each thread pages of its own, each with blocks of one size. A full page is nobody's. The first block
//! that the thread which filled it frees there makes it that thread's again, and only it makes new blocks in it, which
//! it does when it comes by: it takes the latest pages first. Others free blocks in it meanwhile. So where many blocks
//! live long, and several threads free and make them by chance, as schedulers do with processes, rows and messages that
//! wait, each keeps most pages for itself, half empty, and takes new ones. Their blocks then take half as much room
//! again as they need, or more, a little more each minute.
//!
//! Past a limit, a page in which blocks are freed stays nobody's, and whoever is next in need of blocks takes it once
//! an eighth of it is free.

use std::ffi::{c_int, c_long};
use std::sync::Once;

use crate::limits::DEFAULT_PAGES_TAKEN_BACK;

/// Its number among mimalloc's options.
const PAGE_MAX_RECLAIM: c_int = 41;

/// What it is if nobody has set it: as many as there are.
const UNLIMITED: c_long = -1;

unsafe extern "C" {
    /// Of mimalloc, which this crate links. It looks at the number before it uses it.
    safe fn mi_option_get(option: c_int) -> c_long;
    /// Sets one that the environment hasn't. The same.
    safe fn mi_option_set_default(option: c_int, value: c_long);
}

/// Has threads share the pages in which blocks are free: past [`DEFAULT_PAGES_TAKEN_BACK`] none takes more of them back
/// than it needs. For the whole program, once; what was set before by others stays. A VM does so before it starts.
///
/// ```
/// otp_heap::share_free_blocks();
/// ```
pub fn share_free_blocks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Also no if another version of mimalloc has another option there.
        if !cfg!(miri) && mi_option_get(PAGE_MAX_RECLAIM) == UNLIMITED {
            mi_option_set_default(PAGE_MAX_RECLAIM, DEFAULT_PAGES_TAKEN_BACK.into());
        }
    });
}
