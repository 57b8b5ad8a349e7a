//! The option `tracer`, and tracers that end.

use otp_vm::{TraceError, TraceFlags, TraceInfo, TraceTargets};

use crate::stage::{end, nothing, simulate, worker};

#[test]
fn new_clear() {
    simulate(|mut cx| async move {
        let tracer = cx.spawn(worker).unwrap();
        let vm = cx.vm().clone();
        assert_eq!(vm.trace(TraceTargets::New, TraceFlags::SEND, tracer), Ok(0));
        let info = vm.trace_info_new();
        assert_eq!((info.flags, info.tracer), (TraceFlags::SEND, Some(tracer)));
        end(&mut cx, tracer).await;
        assert_eq!(vm.trace_info_new(), TraceInfo::default());
    });
}

#[test]
fn existing_clear() {
    simulate(|cx| async move {
        let tracer = cx.spawn(worker).unwrap();
        let vm = cx.vm();
        let traced = vm
            .trace(TraceTargets::Existing, TraceFlags::SEND, tracer)
            .unwrap();
        // The tracer is one of them.
        assert_eq!(traced, vm.processes().len());
        let info = vm.trace_info(cx.pid()).unwrap();
        assert_eq!((info.flags, info.tracer), (TraceFlags::SEND, Some(tracer)));
        assert_eq!(vm.trace_stop(TraceTargets::All, TraceFlags::ALL), traced);
        assert_eq!(vm.trace_info(cx.pid()), Some(TraceInfo::default()));
    });
}

#[test]
fn tracer_die() {
    simulate(|mut cx| async move {
        let vm = cx.vm().clone();
        let existing = |tracer| vm.trace(TraceTargets::Existing, TraceFlags::ALL, tracer);
        let traced = cx.spawn(worker).unwrap();
        let first = cx.spawn(worker).unwrap();
        let count = existing(first).unwrap();
        end(&mut cx, first).await;
        let second = cx.spawn(worker).unwrap();
        assert_eq!(existing(second), Ok(count));
        assert_eq!(vm.trace_info(traced).unwrap().tracer, Some(second));
        end(&mut cx, second).await;
        let third = cx.spawn(worker).unwrap();
        assert_eq!(vm.trace(traced, TraceFlags::SEND, third), Ok(1));
        let info = vm.trace_info(traced).unwrap();
        assert_eq!((info.flags, info.tracer), (TraceFlags::SEND, Some(third)));
    });
}

/// A tracer that is gone is no tracer, and who is gone can't be traced.
#[test]
fn the_dead_neither_trace_nor_are_traced() {
    simulate(|mut cx| async move {
        let (dead, alive) = (cx.spawn(worker).unwrap(), cx.spawn(worker).unwrap());
        end(&mut cx, dead).await;
        let vm = cx.vm().clone();
        let by_the_dead = vm.trace(alive, TraceFlags::SEND, dead);
        assert_eq!(by_the_dead, Err(TraceError::NoTracer));
        assert_eq!(cx.trace(dead, TraceFlags::SEND), Err(TraceError::NoProcess));
        assert_eq!(vm.trace_stop(dead, TraceFlags::SEND), 0);
        assert_eq!(vm.trace_info(dead), None);
        nothing(&mut cx).await;
    });
}

/// No answer of it, or to it, brings the VM down.
#[test]
fn trace_info_badarg() {
    simulate(|mut cx| async move {
        let vm = cx.vm().clone();
        for index in [0, 1, 1000, u32::MAX >> 4] {
            for serial in [0, 1, u32::MAX] {
                assert_eq!(vm.trace_info(otp_vm::Pid::from_parts(index, serial)), None);
            }
        }
        assert_eq!(vm.trace_info(cx.pid()), Some(TraceInfo::default()));
        assert_eq!(vm.trace_info_new(), TraceInfo::default());
        nothing(&mut cx).await;
    });
}
