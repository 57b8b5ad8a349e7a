//! A last word before the program aborts: a stack that overflowed, memory that was not there, a panic that may not
//! unwind. Rust says what it was, and this says whose code it was.
//!
//! The handler of SIGABRT is installed once for the program. It passes on to the one that was there before; if that was
//! the default, the program ends by it.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What to call: a `fn()`, or null.
static LAST_WORD: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// What was there before.
static PREVIOUS: OnceLock<Previous> = OnceLock::new();

struct Previous(libc::sigaction);

// SAFETY: numbers, and addresses of functions, which any thread may call.
unsafe impl Send for Previous {}
// SAFETY: as above.
unsafe impl Sync for Previous {}

/// Has `call` called when the program aborts, on the thread that aborts it. For one caller in a program: the last one's
/// is called.
///
/// If the system refuses the handler, nothing is called.
///
/// # Safety
///
/// `call` does nothing but what a signal's handler may: it allocates nothing, waits for no lock, does not unwind, and
/// needs little stack.
pub unsafe fn before_abort(call: fn()) {
    LAST_WORD.store(call as *mut (), Ordering::Release);
    PREVIOUS.get_or_init(|| {
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a handler of the right form, and room for what was there; all zero is the default action.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = handler as *const () as usize;
            // On the stack for signals: the thread's own may be what ran out.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGABRT, &raw const action, previous.as_mut_ptr());
            Previous(previous.assume_init())
        }
    });
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system gives what it says of the signal.
    let is_own = unsafe { (*info).si_pid() == libc::getpid() };
    // One that came from outside is no matter of whose code runs here.
    if is_own {
        let call = LAST_WORD.load(Ordering::Acquire);
        if !call.is_null() {
            // SAFETY: only `before_abort` writes it.
            let call = unsafe { std::mem::transmute::<*mut (), fn()>(call) };
            call();
        }
    }
    let previous = PREVIOUS.get().map_or(libc::SIG_DFL, |it| it.0.sa_sigaction);
    match previous {
        libc::SIG_IGN => {}
        libc::SIG_DFL => {
            // SAFETY: the default action, and a signal to this thread, which comes when the handler returns.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        handler => {
            let takes_info = PREVIOUS
                .get()
                .is_some_and(|it| it.0.sa_flags & libc::SA_SIGINFO != 0);
            // SAFETY: it was the program's handler, of the form that its flags say.
            unsafe {
                if takes_info {
                    let call = std::mem::transmute::<
                        usize,
                        extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void),
                    >(handler);
                    call(signal, info, context);
                } else {
                    std::mem::transmute::<usize, extern "C" fn(i32)>(handler)(signal);
                }
            }
        }
    }
}

/// Writes to the standard error stream, for who may not allocate or wait. What can't be written is lost.
pub fn write_last_word(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: bytes of that length.
        let written = unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => text = &text[written..],
            _ => return,
        }
    }
}
