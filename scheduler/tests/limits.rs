//! Limits of the whole program. Alone in its process, since it uses up what all share.

mod common;

use std::io::ErrorKind;

use common::LIMIT;
use otp_scheduler::simulation::{Simulation, SimulationError};
use otp_scheduler::{MAX_GATES, MAX_NATIVE, NativeError, Scheduler};

fn build() -> std::io::Result<Scheduler> {
    Scheduler::builder()
        .schedulers(1)
        .max_native(MAX_NATIVE)
        .build()
}

#[test]
fn past_the_gates_of_the_program_errors_say_so() {
    let enough = MAX_GATES.div_ceil(MAX_NATIVE);
    let schedulers: Vec<_> = (0..enough).map(|_| build().unwrap()).collect();
    let mut places = Vec::new();
    let mut errors = Vec::new();
    for scheduler in &schedulers {
        errors.push(loop {
            match scheduler.native_place() {
                Ok(place) => places.push(place),
                Err(error) => break error,
            }
        });
    }
    let (last, others) = errors.split_last().unwrap();
    assert!(
        others
            .iter()
            .all(|error| *error == NativeError::Limit { limit: MAX_NATIVE })
    );
    assert_eq!(*last, NativeError::Gates { limit: MAX_GATES });
    assert!(last.to_string().contains("end native tasks"), "{last}");
    // All of them but those of the schedulers' own threads.
    assert!((MAX_GATES - 64..MAX_GATES).contains(&places.len()));

    let refused = build().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
    assert!(
        refused.to_string().contains("end native tasks"),
        "{refused}"
    );
    let mut simulation = Simulation::new(1).unwrap();
    let refused = simulation.run().unwrap_err();
    assert_eq!(refused, SimulationError::Gates { limit: MAX_GATES });
    // What is there goes on.
    assert_eq!(schedulers[0].spawn(async { 7 }).wait(), Ok(7));

    drop(places);
    simulation.run().unwrap();
    let native = schedulers[0].spawn_native(|| 7).unwrap();
    assert_eq!(native.wait(), Ok(7));
    for scheduler in schedulers.into_iter().chain([build().unwrap()]) {
        scheduler.stop();
        assert_eq!(scheduler.join(LIMIT), Ok(()));
    }
}
