//! Elixir's `PartitionSupervisor` tests, under their own names.

mod common;

use std::collections::BTreeSet;

use common::*;
use otp_stdlib::Name;
use otp_stdlib::gen_server::Target;
use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor, ResizeError};
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{AutoShutdown, ChildCounts, ChildError, ChildId, ChildKind};
use otp_stdlib::{StartError, gen_server};
use otp_vm::{Atom, CallError, Context, ExitReason, OwnedTerm, TableOptions, from_term, to_term};
use serde::Serialize;

/// Says which number it was started with.
struct Numbered(usize);

impl GenServer for Numbered {
    type Args = usize;
    type Call = ();
    type Reply = usize;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(number: usize, _cx: &mut Context) -> Init<Self> {
        Init::ok(Self(number))
    }

    async fn handle_call(
        &mut self,
        (): (),
        _from: gen_server::From<usize>,
        _cx: &mut Context,
    ) -> Reply<Self> {
        Reply::new(self.0)
    }
}

type Numbers = PartitionSupervisor<Numbered>;

fn numbered(number: usize) -> ChildSpec {
    ChildSpec::worker("numbered", move |cx| Numbered::start_link(cx, number))
}

async fn numbers(cx: &mut Context, flags: PartitionFlags) -> Result<Numbers, StartError> {
    cx.trap_exit(true);
    Numbers::start_link(cx, "numbers", flags, numbered).await
}

async fn number_of(cx: &mut Context, numbers: &Numbers, key: i64) -> usize {
    let server = numbers.server(cx, &key).expect("a partition");
    server.call(cx, ()).await.expect("it answers")
}

fn dynamic(_partition: usize) -> ChildSpec {
    ChildSpec::supervisor("", |cx| {
        DynamicSupervisor::start_link(cx, DynamicSupervisorFlags::new())
    })
}

#[test]
fn uses_the_atom_name_as_id() {
    run(async |mut cx: Context| {
        let spec = Numbers::child_spec("numbers", PartitionFlags::new(), numbered);
        assert_eq!(*spec.id(), "numbers");
        let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![spec]);
        let tree = tree.await.unwrap();
        let spec = tree.get_childspec(&mut cx, "numbers").await.unwrap();
        assert_eq!(spec.kind, ChildKind::Supervisor);
        assert_eq!(Numbers::named("numbers").unwrap().partitions(&cx), Some(2));
    });
}

/// A registry for names of partition supervisors.
async fn names(cx: &mut Context) -> Registry<String, ()> {
    Registry::start_link(cx, "names").await.unwrap()
}

fn key() -> String {
    "the numbers".to_owned()
}

/// Not of Elixir's tests, as those that follow.
#[test]
fn an_integer_of_any_size_belongs_to_a_partition_by_its_remainder() {
    run(async |mut cx: Context| {
        let flags = PartitionFlags::new().partitions(3);
        let numbers = numbers(&mut cx, flags).await.unwrap();
        for bit in 0..127 {
            for key in [1_i128 << bit, -(1 << bit), i128::MAX - (1 << bit)] {
                let server = numbers.server(&cx, &key).unwrap();
                let remainder = (key.unsigned_abs() % 3) as usize;
                assert_eq!(server.call(&mut cx, ()).await, Ok(remainder), "{key}");
            }
        }
        // 2 to the power of 201, and its opposite.
        for sign in ["", "-"] {
            let key =
                format!("{sign}3213876088517980551083924184682325205044405987565585670602752");
            let key: OwnedTerm = key.parse().unwrap();
            let server = numbers.server(&cx, &key).unwrap();
            assert_eq!(server.call(&mut cx, ()).await, Ok(2), "{key}");
        }
    });
}

#[test]
fn a_key_leads_to_nobody_by_a_name_that_is_no_partition_supervisors() {
    /// As a message may have it.
    #[derive(Serialize)]
    enum Forged<T> {
        Partitioned { supervisor: T, key: OwnedTerm },
    }
    fn forged(supervisor: &impl Serialize, key: &str) -> Option<Target> {
        let key = key.parse().unwrap();
        let target = to_term(&Forged::Partitioned { supervisor, key }).ok()?;
        from_term(target.root()).ok()
    }
    run(async |mut cx: Context| {
        let decoy_name = Atom::new("decoy").unwrap();
        let decoy = cx.table_new("decoy", TableOptions::set().named());
        let decoy = decoy.unwrap();
        let atom = |name: &str| OwnedTerm::from(Atom::new(name).unwrap());
        let me = Target::Pid(cx.pid());
        for partitions in [
            "[3,3]",
            "[0,0]",
            "[4294967296,1]",
            "[-1,9]",
            "[18446744073709551615,1]",
            "[]",
            "many",
        ] {
            let row: OwnedTerm = partitions.parse().unwrap();
            decoy.insert(&cx, &atom("partitions"), &row).unwrap();
            for not_a_pid in ["nobody", "7", "{a,pid}"] {
                let row: OwnedTerm = not_a_pid.parse().unwrap();
                for partition in 0..3 {
                    decoy.insert(&cx, &partition, &row).unwrap();
                }
                for key in ["1", "word", "-18446744073709551616", "[]"] {
                    let name = Target::Name(Atom::new("decoy").unwrap());
                    for supervisor in [
                        &name,
                        &me,
                        &Target::NameAt(Atom::new("decoy").unwrap(), cx.node()),
                    ] {
                        let target = forged(supervisor, key).unwrap();
                        assert_eq!(target.whereis(&cx), None, "{partitions} {key}");
                    }
                }
            }
        }
        // Each partition's supervisor is a partition itself: as deep as a message is read.
        let mut target = me;
        let mut deep = 0;
        while let Some(deeper) = forged(&target, "key") {
            target = deeper;
            deep += 1;
            assert_eq!(target.whereis(&cx), None);
        }
        assert!(deep > 50, "{deep}");
        assert!(
            target
                .to_term()
                .to_string()
                .contains("partition_supervisor")
        );
        let shallow = forged(&Target::NameAt(decoy_name, decoy_name), "key").unwrap();
        let server = to_term(&shallow).unwrap();
        let server: ServerRef<Numbered> = from_term(server.root()).unwrap();
        let nobody = server.call(&mut cx, ()).await.unwrap_err();
        assert_eq!(nobody, CallError::Exit(ExitReason::noproc()));
    });
}

#[test]
fn a_key_is_a_name_for_whichever_server_it_belongs_to() {
    run(async |mut cx: Context| {
        let flags = PartitionFlags::new().partitions(3);
        let numbers = numbers(&mut cx, flags).await.unwrap();
        let named = Numbers::named("numbers").unwrap();
        let server = named.server_via(&-5).unwrap();
        assert_eq!(server, numbers.server_via(&-5).unwrap());
        assert_ne!(server, numbers.server_via(&2).unwrap());
        let target = server.target().to_term().to_string();
        assert_eq!(target, "{via,partition_supervisor,{numbers,-5}}");
        // It is data: it can be kept in a table, and sent.
        let table = cx.table_new("kept", TableOptions::set()).unwrap();
        table.insert(&cx, &1, &server).unwrap();
        let server: ServerRef<Numbered> = table.lookup(&cx, &1).unwrap().unwrap();
        assert_eq!(server.call(&mut cx, ()).await, Ok(2));
        // Another process, and another partition.
        let before = server.whereis(&cx).unwrap();
        cx.exit_process(before, ExitReason::kill());
        ended(&mut cx, before).await;
        while server.whereis(&cx) == Some(before) {
            cx.yield_now().await;
        }
        assert_eq!(server.call(&mut cx, ()).await, Ok(2));
        numbers.resize(&mut cx, 2).await.unwrap();
        assert_eq!(server.call(&mut cx, ()).await, Ok(1));
        // Nobody.
        numbers.resize(&mut cx, 0).await.unwrap();
        let nobody = server.call(&mut cx, ()).await.unwrap_err();
        assert_eq!(nobody, CallError::Exit(ExitReason::noproc()));
        numbers
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(server.whereis(&cx), None);
    });
}

#[test]
fn a_key_is_a_name_under_a_via_name_too() {
    run(async |mut cx: Context| {
        let numbers = numbers_via(&mut cx).await;
        let server = numbers.server_via(&1).unwrap();
        assert_eq!(server.call(&mut cx, ()).await, Ok(1));
        let target = server.target().to_term().to_string();
        let name = r#"{via,names,<<"the numbers">>}"#;
        assert_eq!(target, format!("{{via,partition_supervisor,{{{name},1}}}}"));
    });
}

#[test]
fn uses_the_via_value_as_id() {
    run(async |mut cx: Context| {
        let names = Registry::<(String, String), ()>::start_link(&mut cx, "names");
        let names = names.await.unwrap();
        let key = ("bar".to_owned(), "baz".to_owned());
        let name = Name::via(&names, &key).unwrap();
        let spec = Numbers::child_spec_named(name, PartitionFlags::new(), numbered);
        assert_eq!(*spec.id(), ChildId::from(otp_vm::to_term(&key).unwrap()));
        let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![spec]);
        let tree = tree.await.unwrap();
        let spec = tree.which_children(&mut cx).await.unwrap();
        assert_eq!(spec[0].kind, ChildKind::Supervisor);
        assert_eq!(Numbers::via(&names, &key).unwrap().partitions(&cx), Some(2));
    });
}

/// A partition supervisor with a via name, by that name.
async fn numbers_via(cx: &mut Context) -> Numbers {
    let names = names(cx).await;
    let name = Name::via(&names, &key()).unwrap();
    let started = Numbers::start_link_named(cx, name, PartitionFlags::new(), numbered);
    started.await.unwrap();
    Numbers::via(&names, &key()).unwrap()
}

#[test]
fn on_success_with_via_name() {
    run(async |mut cx: Context| {
        let numbers = numbers_via(&mut cx).await;
        assert_eq!(numbers.partitions(&cx), Some(cx.vm().schedulers_online()));
        assert_eq!(number_of(&mut cx, &numbers, 0).await, 0);
        assert_eq!(number_of(&mut cx, &numbers, 1).await, 1);
        // A partition that is started again is found, and so is one after a change of their number.
        let first = numbers.whereis(&cx, &0).unwrap();
        cx.exit_process(first, ExitReason::kill());
        ended(&mut cx, first).await;
        while numbers.whereis(&cx, &0).is_none_or(|pid| pid == first) {
            cx.yield_now().await;
        }
        assert_eq!(number_of(&mut cx, &numbers, 0).await, 0);
        assert_eq!(numbers.resize(&mut cx, 1).await, Ok(2));
        assert_eq!(numbers.whereis(&cx, &1), numbers.whereis(&cx, &0));
    });
}

#[test]
fn stop_with_via_tuple() {
    run(async |mut cx: Context| {
        let numbers = numbers_via(&mut cx).await;
        let partition = numbers.whereis(&cx, &0).unwrap();
        let stopped = numbers.stop(&mut cx, ExitReason::normal(), LIMIT).await;
        stopped.unwrap();
        assert!(!cx.vm().is_alive(partition));
        assert_eq!(numbers.partitions(&cx), None);
    });
}

#[test]
fn raises_noproc_for_unknown_via_partition_supervisor() {
    run(async |mut cx: Context| {
        let unknown = Numbers::via(&names(&mut cx).await, &key()).unwrap();
        assert_eq!(unknown.partitions(&cx), None);
        let error = unknown.resize(&mut cx, 1).await.unwrap_err();
        assert!(matches!(error, ResizeError::NoProc(_)), "{error}");
        let error = unknown.count_children(&mut cx).await.unwrap_err();
        let noproc = ChildError::Supervisor(ExitReason::noproc());
        assert_eq!(error, noproc);
    });
}

#[test]
fn count_children_with_via_tuple() {
    run(async |mut cx: Context| {
        let numbers = numbers_via(&mut cx).await;
        let counts = ChildCounts {
            specs: 2,
            active: 2,
            supervisors: 0,
            workers: 2,
        };
        assert_eq!(numbers.count_children(&mut cx).await, Ok(counts));
    });
}

#[test]
fn on_success_with_atom_name() {
    run(async |mut cx: Context| {
        let flags = PartitionFlags::new();
        let sessions =
            PartitionSupervisor::<DynamicSupervisor>::start_link(&mut cx, "s", flags, dynamic);
        let sessions = sessions.await.unwrap();
        assert_eq!(sessions.partitions(&cx), Some(cx.vm().schedulers_online()));
        let mut started = BTreeSet::new();
        for _ in 0..100 {
            let key = cx.make_ref();
            let supervisor = sessions.server(&cx, &key).expect("a partition");
            let child = ChildSpec::process("session", for_ever_in);
            started.insert(supervisor.start_child(&mut cx, child).await.unwrap());
        }
        let mut found = BTreeSet::new();
        for partition in sessions.which_children(&mut cx).await.unwrap() {
            let supervisor = DynamicSupervisorRef::from_pid(partition.pid.expect("it runs"));
            let children = supervisor.which_children(&mut cx).await.unwrap();
            assert!(!children.is_empty(), "all keys came to one partition");
            found.extend(children.iter().filter_map(|child| child.pid));
        }
        assert_eq!(found, started);
    });
}

async fn for_ever_in(mut cx: Context) {
    for_ever(&mut cx).await;
}

#[test]
fn with_arguments() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new().partitions(3))
            .await
            .unwrap();
        assert_eq!(numbers.partitions(&cx), Some(3));
        for (key, number) in [(0, 0), (1, 1), (2, 2), (3, 0), (-1, 1)] {
            assert_eq!(number_of(&mut cx, &numbers, key).await, number);
        }
        // A key that is no integer leads always to the same.
        let first = numbers.whereis(&cx, "key");
        assert!(first.is_some());
        assert_eq!(numbers.whereis(&cx, "key"), first);
    });
}

#[test]
fn raises_on_bad_partitions() {
    run(async |mut cx: Context| {
        let error = numbers(&mut cx, PartitionFlags::new().partitions(0))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("{invalid_partitions,0}"),
            "{error}"
        );
        assert_eq!(cx.whereis("numbers"), None);
    });
}

#[test]
fn raises_with_bad_auto_shutdown() {
    run(async |mut cx: Context| {
        let flags = SupervisorFlags::one_for_one().auto_shutdown(AutoShutdown::AnySignificant);
        let error = numbers(&mut cx, PartitionFlags::new().flags(flags))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("invalid_auto_shutdown"),
            "{error}"
        );
    });
}

#[test]
fn is_synchronous() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new()).await.unwrap();
        numbers
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(cx.whereis("numbers"), None);
        assert_eq!(numbers.whereis(&cx, &0), None);
    });
}

#[test]
fn raises_noproc_for_unknown_atom_partition_supervisor() {
    run(async |mut cx: Context| {
        let unknown = Numbers::named("unknown").unwrap();
        assert_eq!(unknown.partitions(&cx), None);
        assert_eq!(unknown.whereis(&cx, &7), None);
        let error = unknown.resize(&mut cx, 1).await.unwrap_err();
        assert!(matches!(error, ResizeError::NoProc(_)), "{error}");
    });
}

#[test]
fn resizes_the_number_of_children() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new().partitions(8))
            .await
            .unwrap();
        for (size, before) in [(4, 8), (4, 4), (8, 4), (1, 8), (8, 1)] {
            assert_eq!(numbers.resize(&mut cx, size).await, Ok(before));
            assert_eq!(numbers.partitions(&cx), Some(size));
            let counts = numbers.count_children(&mut cx).await.unwrap();
            assert_eq!((counts.specs, counts.active), (8, size as u64));
            for key in 0..20 {
                assert_eq!(number_of(&mut cx, &numbers, key).await, key as usize % size);
            }
        }
    });
}

#[test]
fn raises_on_lookup_after_resizing_to_zero() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new().partitions(8))
            .await
            .unwrap();
        assert_eq!(numbers.resize(&mut cx, 0).await, Ok(8));
        assert_eq!(numbers.whereis(&cx, &0), None);
        assert_eq!(numbers.count_children(&mut cx).await.unwrap().active, 0);
        assert_eq!(numbers.resize(&mut cx, 8).await, Ok(0));
        assert_eq!(number_of(&mut cx, &numbers, 9).await, 1);
    });
}

#[test]
fn raises_if_trying_to_increase_the_number_of_partitions() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new().partitions(2))
            .await
            .unwrap();
        let (wanted, most) = (3, 2);
        let error = numbers.resize(&mut cx, wanted).await.unwrap_err();
        assert_eq!(error, ResizeError::TooMany { wanted, most });
        assert_eq!(numbers.partitions(&cx), Some(2));
    });
}

#[test]
fn returns_all_partitions() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new()).await.unwrap();
        let children = numbers.which_children(&mut cx).await.unwrap();
        assert_eq!(children.len(), cx.vm().schedulers_online());
        for (partition, child) in children.iter().enumerate() {
            assert_eq!(child.id.as_str(), partition.to_string());
            assert_eq!(child.pid, numbers.whereis(&cx, &partition));
            assert_eq!(child.kind, ChildKind::Worker);
        }
    });
}

#[test]
fn with_workers() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new()).await.unwrap();
        let workers = cx.vm().schedulers_online() as u64;
        let (specs, active, supervisors) = (workers, workers, 0);
        let expected = ChildCounts {
            specs,
            active,
            supervisors,
            workers,
        };
        assert_eq!(numbers.count_children(&mut cx).await.unwrap(), expected);
    });
}

#[test]
fn with_supervisors() {
    run(async |mut cx: Context| {
        let flags = PartitionFlags::new();
        let sessions =
            PartitionSupervisor::<DynamicSupervisor>::start_link(&mut cx, "s", flags, dynamic);
        let sessions = sessions.await.unwrap();
        let supervisors = cx.vm().schedulers_online() as u64;
        let (specs, active, workers) = (supervisors, supervisors, 0);
        let expected = ChildCounts {
            specs,
            active,
            supervisors,
            workers,
        };
        assert_eq!(sessions.count_children(&mut cx).await.unwrap(), expected);
    });
}

#[test]
fn raises_noproc_for_unknown_partition_supervisor() {
    run(async |mut cx: Context| {
        let unknown = Numbers::named("unknown").unwrap();
        let error = unknown.count_children(&mut cx).await.unwrap_err();
        assert_eq!(error, ChildError::Supervisor(ExitReason::noproc()));
    });
}

/// What a restart changes: the pid that a key leads to.
#[test]
fn a_partition_that_is_restarted_is_found_again() {
    run(async |mut cx: Context| {
        let numbers = numbers(&mut cx, PartitionFlags::new()).await.unwrap();
        let before = numbers.whereis(&cx, &1).unwrap();
        cx.exit_process(before, ExitReason::kill());
        ended(&mut cx, before).await;
        let begun = std::time::Instant::now();
        while numbers.whereis(&cx, &1) == Some(before) {
            assert!(begun.elapsed() < LIMIT);
            cx.yield_now().await;
        }
        assert_eq!(number_of(&mut cx, &numbers, 1).await, 1);
    });
}
