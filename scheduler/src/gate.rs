//! The gate: how a thread in a task's own code is made to wait, and let go on, from outside.
//!
//! A signal whose handler does nothing but wait on a futex. No stack is switched and nothing is interrupted for good:
//! the thread is only made to wait, as the kernel could have done at the same place.
//!
//! Protocol:
//! 1. `close` stores CLOSED, then sends the signal to the thread, with the slot's number as the signal's value.
//! 2. The handler finds the slot, and that it is the slot of the thread that it runs on. In user code it waits while
//!    the gate is closed. In a section of the VM it must not wait (the thread may hold what others need): it leaves a
//!    note, and the thread waits when it leaves the section.
//!    Before it waits it says so in the gate (WAITING).
//! 3. `open` stores OPEN and wakes the futex, if the thread waits.
//!
//! A thread that gives way by choice closes its own gate, in a section, and passes it after the section: nothing needs
//! to interrupt it.
//!
//! A signal that comes late finds an open gate and returns. Signals that nobody here sent go to the handler that was
//! there before.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use crate::futex;
use crate::lock::Mutex;
use crate::slot::Slot;

const OPEN: u32 = 0;
const CLOSED: u32 = 1;
/// Closed, and the thread stands at it.
const WAITING: u32 = 2;

/// Threads that run tasks at once, of all schedulers of the program together: each has a gate, which is found by its
/// number. Past it there are no native tasks ([`NativeError::Gates`](crate::NativeError::Gates)), no schedulers, and no
/// spare threads.
///
/// The kernel's own limit is near: a thread has four mappings (its stack, that of its signal handlers, and their
/// guards), and `vm.max_map_count` is 65,530 by default.
pub const MAX_GATES: usize = 1 << 14;

/// What `si_code` says of a signal that was queued with a value.
const QUEUED: libc::c_int = -1;

/// Slots by number, as the handler finds them. Written once each, never cleared.
static SLOTS: [AtomicPtr<Slot>; MAX_GATES] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_GATES];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The handlers that were there before, by signal number.
static BEFORE: [AtomicPtr<libc::sigaction>; SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];
static INSTALLING: Mutex<()> = Mutex::new(());
const SIGNALS: usize = 65;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    word: AtomicU32,
    /// The thread's kernel id; 0 while the slot has no thread.
    thread: AtomicI32,
    /// The slot's number, plus one.
    number: AtomicUsize,
    pub(crate) bound: crate::standing::Standing,
    pub(crate) pin: crate::pins::Pin,
}

impl Gate {
    /// A thread takes the slot.
    pub(crate) fn sit_down(&self) {
        self.word.store(OPEN, Ordering::SeqCst);
        self.bound.forget();
        self.pin.forget();
        // SAFETY: a call without arguments.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        self.thread.store(thread, Ordering::SeqCst);
    }

    pub(crate) fn stand_up(&self) {
        self.thread.store(0, Ordering::SeqCst);
    }

    pub(crate) fn thread(&self) -> i32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// On the gate's own thread: waits while the gate is closed.
    #[cold]
    pub(crate) fn pass(&self) {
        loop {
            let waits =
                self.word
                    .compare_exchange(CLOSED, WAITING, Ordering::SeqCst, Ordering::SeqCst);
            if waits == Err(OPEN) {
                return;
            }
            futex::wait(&self.word, WAITING, None);
        }
    }

    pub(crate) fn open(&self) {
        if self.word.swap(OPEN, Ordering::SeqCst) == WAITING {
            futex::wake_one(&self.word);
        }
    }

    /// Makes the thread wait, from soon on.
    pub(crate) fn close(&self, signal: i32) {
        let closed = self
            .word
            .compare_exchange(OPEN, CLOSED, Ordering::SeqCst, Ordering::SeqCst);
        if closed.is_ok() {
            self.send(signal);
        }
    }

    /// By the gate's own thread, which waits at it from soon on by its own choice: no signal.
    pub(crate) fn close_own(&self) {
        self.word.store(CLOSED, Ordering::SeqCst);
    }

    /// True if the gate is closed and its thread waits at it. One that doesn't, though the gate is closed, is in a
    /// section of the VM, in the kernel, or gets no core.
    pub(crate) fn has_arrived(&self) -> bool {
        self.word.load(Ordering::SeqCst) == WAITING
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::SeqCst) != OPEN
    }

    fn send(&self, signal: i32) {
        // SAFETY: the structure is plain data, zero is valid for all of it.
        let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
        info.si_signo = signal;
        info.si_code = QUEUED;
        // SAFETY: for a queued signal the fields after the code are pid, uid and value, in this layout on 64-bit Linux.
        unsafe {
            let queued = (&raw mut info).cast::<Queued>();
            (*queued).pid = libc::getpid();
            (*queued).uid = libc::getuid();
            (*queued).value = self.number.load(Ordering::Relaxed);
            libc::syscall(
                libc::SYS_rt_tgsigqueueinfo,
                (*queued).pid,
                self.thread(),
                signal,
                &raw const info,
            );
        }
    }

    /// CPU time that the thread has used, in nanoseconds; `None` if it is gone.
    pub(crate) fn cpu_ns(&self) -> Option<u64> {
        // The kernel's encoding of "scheduling clock of thread so-and-so".
        let clock = (!self.thread() << 3) | 6;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a valid place for the answer.
        let result = unsafe { libc::clock_gettime(clock, &mut time) };
        (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        is_waiting(self.thread())
    }

    /// Takes the thread out of the kernel's idle class. False if the system does not let it (without privilege,
    /// or a limit on niceness that allows it).
    pub(crate) fn promote(&self) -> bool {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: a valid parameter; the thread is one of this program.
        unsafe { libc::sched_setscheduler(self.thread(), libc::SCHED_OTHER, &parameter) == 0 }
    }

    /// Puts the thread into the kernel's idle class: it runs when nothing else wants to. There may be no way back.
    pub(crate) fn demote(&self) {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: a valid parameter; the thread is one of this program.
        unsafe { libc::sched_setscheduler(self.thread(), libc::SCHED_IDLE, &parameter) };
    }
}

/// Makes a slot with a number of its own, if there is one left. It is never freed.
pub(crate) fn enrol(make: impl FnOnce() -> Slot) -> Option<&'static Slot> {
    let index = NEXT
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |next| {
            (next < MAX_GATES).then_some(next + 1)
        })
        .ok()?;
    let slot: &'static Slot = Box::leak(Box::new(make()));
    slot.gate().number.store(index + 1, Ordering::SeqCst);
    SLOTS[index].store(ptr::from_ref(slot).cast_mut(), Ordering::SeqCst);
    Some(slot)
}

/// True if the thread sleeps in the kernel, false if it runs or waits for a core. Costs some microseconds.
pub(crate) fn is_waiting(thread: i32) -> bool {
    let mut path = [0_u8; 48];
    let mut rest = &mut path[..];
    if write!(rest, "/proc/self/task/{thread}/stat\0").is_err() {
        return false;
    }
    let mut text = [0_u8; 128];
    // SAFETY: a path with a nul at its end, and room for what is read.
    let count = unsafe {
        let file = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let count = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        count
    };
    // `1234 (name) S ...`: the name may have brackets of its own.
    let text = &text[..usize::try_from(count).unwrap_or(0)];
    let bracket = text.iter().rposition(|&byte| byte == b')');
    let state = bracket.and_then(|bracket| text.get(bracket + 2));
    matches!(state, Some(b'S' | b'D'))
}

/// The kernel's `sched_attr`, in its first version.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// The kernel's layout of a queued signal's information on 64-bit Linux.
#[repr(C)]
struct Queued {
    signal: libc::c_int,
    error: libc::c_int,
    code: libc::c_int,
    padding: libc::c_int,
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: usize,
}

/// Sets the slice that the kernel gives a thread; 0 for its default, or as thread for the calling one. A waking thread
/// with a short slice runs before a running one with a longer slice (Linux 6.12 and later; older ones take no notice).
pub(crate) fn set_kernel_slice(thread: i32, nanoseconds: u64) {
    // SAFETY: calls about a thread of this program, with a valid structure.
    unsafe {
        let attributes = Attributes {
            size: size_of::<Attributes>() as u32,
            policy: libc::SCHED_OTHER as u32,
            flags: 0,
            nice: libc::getpriority(libc::PRIO_PROCESS, thread as libc::id_t),
            priority: 0,
            runtime: nanoseconds,
            deadline: 0,
            period: 0,
        };
        libc::syscall(libc::SYS_sched_setattr, thread, &raw const attributes, 0);
    }
}

/// The signal used unless another is set.
pub(crate) fn default_signal() -> i32 {
    libc::SIGRTMIN() + 5
}

/// Makes sure that barriers can be had.
pub(crate) fn prepare_barriers() -> io::Result<()> {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: a call without pointers.
    if unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Installs the handler.
pub(crate) fn install(signal: i32) -> io::Result<()> {
    // The standard signals mean something to others: a segmentation fault, say, or the end of a child.
    if !(libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "signal {signal} can't close gates; give one from SIGRTMIN ({}) to SIGRTMAX ({})",
                libc::SIGRTMIN(),
                libc::SIGRTMAX(),
            ),
        ));
    }
    let _installing = INSTALLING.lock();
    let before = &BEFORE[signal as usize];
    if !before.load(Ordering::SeqCst).is_null() {
        return Ok(());
    }
    // SAFETY: plain data; zero is the default action with an empty mask.
    let (mut action, mut old): (libc::sigaction, libc::sigaction) = unsafe {
        (
            MaybeUninit::zeroed().assume_init(),
            MaybeUninit::zeroed().assume_init(),
        )
    };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: valid actions.
    unsafe {
        if libc::sigaction(signal, ptr::null(), &mut old) < 0 {
            return Err(io::Error::last_os_error());
        }
        // Known before the handler can run.
        before.store(Box::into_raw(Box::new(old)), Ordering::SeqCst);
        if libc::sigaction(signal, &action, ptr::null_mut()) < 0 {
            let error = io::Error::last_os_error();
            // Or else the next call would take it for installed.
            drop(Box::from_raw(
                before.swap(ptr::null_mut(), Ordering::SeqCst),
            ));
            return Err(error);
        }
    }
    Ok(())
}

/// Lets the signal through on the calling thread, whatever its maker had masked.
pub(crate) fn unblock(signal: i32) {
    // SAFETY: a set made here, on this thread's stack.
    unsafe {
        let mut set = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
    }
}

/// All threads of the program have passed a full barrier when this returns true.
pub(crate) fn barrier_on_all_threads() -> bool {
    #[cfg(not(loom))]
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    // SAFETY: a call without pointers.
    #[cfg(not(loom))]
    unsafe {
        libc::syscall(libc::SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) == 0
    }
    #[cfg(loom)]
    {
        crate::sync::fence(Ordering::SeqCst);
        true
    }
}

/// Runs on the thread that was sent the signal, at any point of its user code or of the VM's. It touches atomics and
/// the futex only.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the thread's own word.
    let error = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel gives a valid structure to a handler with SA_SIGINFO; the cast is that of `send`.
    let (code, pid, value) = unsafe {
        let queued = info.cast::<Queued>();
        ((*queued).code, (*queued).pid, (*queued).value)
    };
    // SAFETY: calls without arguments.
    let (own_pid, own_thread) = unsafe { (libc::getpid(), libc::syscall(libc::SYS_gettid) as i32) };
    let slot = if code == QUEUED && pid == own_pid {
        let place = SLOTS.get(value.wrapping_sub(1));
        // SAFETY: null or a slot, and slots are never freed.
        place.and_then(|place| unsafe { place.load(Ordering::SeqCst).as_ref() })
    } else {
        None
    };
    match slot {
        Some(slot) if slot.gate().thread() == own_thread => {
            slot.signalled();
        }
        // For a thread that has ended since.
        Some(_) => {}
        None => handle_as_before(signal, info, context),
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
}

fn handle_as_before(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: written once, before this handler was installed, and never freed.
    let Some(before) = (unsafe { BEFORE[signal as usize].load(Ordering::SeqCst).as_ref() }) else {
        return;
    };
    if matches!(before.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
        return;
    }
    // SAFETY: the program installed this function as a handler of that kind.
    unsafe {
        if before.sa_flags & libc::SA_SIGINFO != 0 {
            type Long = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            std::mem::transmute::<usize, Long>(before.sa_sigaction)(signal, info, context);
        } else {
            type Short = extern "C" fn(libc::c_int);
            std::mem::transmute::<usize, Short>(before.sa_sigaction)(signal);
        }
    }
}
