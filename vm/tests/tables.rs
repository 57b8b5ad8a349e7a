//! Tables between processes: access, heirs, hand-over.

mod common;

use std::ops::Bound;

use common::{down, expect, run};
use otp_vm::{Atom, Binary, ExitReason, Native, OwnedTerm, Pid, TableError, TableOptions};

/// `{'ETS-TRANSFER', Table, From, Data}`.
type Transfer = (Atom, Atom, Pid, OwnedTerm);

#[test]
fn everyone_reads_a_protected_table_and_its_owner_writes() {
    run(|mut cx| async move {
        let table = cx
            .table_new("protected", TableOptions::set().named())
            .unwrap();
        table.insert(&cx, "key", &1).unwrap();
        let (_, monitor) = cx
            .spawn_monitor(|cx| async move {
                let table = cx.table("protected").unwrap();
                assert_eq!(table.lookup(&cx, "key").unwrap(), Some(1));
                let refused = |outcome: Result<(), TableError>| {
                    assert!(matches!(outcome, Err(TableError::Access(_))));
                };
                refused(table.insert(&cx, "key", &2));
                refused(table.delete(&cx, "key").map(drop));
                refused(table.clear(&cx).map(drop));
                refused(table.give_away(&cx, cx.pid(), &()));
                refused(table.set_heir::<()>(&cx, None));
                refused(table.delete_table(&cx).map(drop));
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        assert_eq!(table.lookup(&cx, "key").unwrap(), Some(1));
    });
}

#[test]
fn a_private_table_is_its_owners_and_a_public_one_everyones() {
    run(|mut cx| async move {
        let private = cx
            .table_new("private", TableOptions::set().private())
            .unwrap();
        let public = cx
            .table_new("public", TableOptions::set().public())
            .unwrap();
        private.insert(&cx, "key", &1).unwrap();
        let (theirs, shared) = (private.clone(), public.clone());
        let (_, monitor) = cx
            .spawn_monitor(|cx| async move {
                assert!(matches!(
                    theirs.contains(&cx, "key"),
                    Err(TableError::Access(_))
                ));
                shared.insert(&cx, "key", &2).unwrap();
            })
            .unwrap();
        down(&mut cx, monitor).await;
        assert!(private.contains(&cx, "key").unwrap());
        assert_eq!(public.lookup(&cx, "key").unwrap(), Some(2));
    });
}

#[test]
fn a_table_ends_with_its_owner_and_all_that_is_in_it() {
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|cx| async move {
                let table = cx.table_new("mortal", TableOptions::set().named()).unwrap();
                table.insert(&cx, "key", &1).unwrap();
                cx.send(cx.parent(), &Native::new(table)).unwrap();
            })
            .unwrap();
        let table = expect::<Native<otp_vm::Table>>(&mut cx)
            .await
            .into_inner()
            .unwrap();
        down(&mut cx, monitor).await;
        assert!(cx.table("mortal").is_none());
        assert_eq!((table.owner(), table.len()), (None, 0));
        assert!(matches!(
            table.lookup::<_, i64>(&cx, "key"),
            Err(TableError::NoTable(_))
        ));
        // The name is free again before anybody hears of the death.
        cx.table_new("mortal", TableOptions::set().named()).unwrap();
    });
}

#[test]
fn the_heir_has_the_table_before_a_monitor_tells_of_the_death() {
    run(|mut cx| async move {
        let heir = cx.pid();
        let (owner, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                let options = TableOptions::set().named().heir(heir, &"data").unwrap();
                let table = cx.table_new("inherited", options).unwrap();
                table.insert(&cx, "key", &1).unwrap();
                cx.send(heir, "ready").unwrap();
                cx.receive().await;
            })
            .unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "ready");
        cx.exit_process(owner, ExitReason::kill());
        down(&mut cx, monitor).await;
        let table = cx.table("inherited").unwrap();
        assert_eq!(table.owner(), Some(heir));
        assert_eq!(cx.tables().len(), 1);
        table.insert(&cx, "key", &2).unwrap();
        let (tag, name, from, data): Transfer = expect(&mut cx).await;
        assert_eq!(
            (tag.as_str(), name, from),
            ("ETS-TRANSFER", table.name(), owner)
        );
        assert_eq!(data.root().as_str(), Some("data"));
    });
}

#[test]
fn a_table_is_given_away_and_comes_back_from_the_dead() {
    run(|mut cx| async move {
        let keeper = cx.pid();
        let options = TableOptions::ordered_set().heir(keeper, &()).unwrap();
        let table = cx.table_new("given", options).unwrap();
        for round in 0..100 {
            let (owner, monitor) = cx
                .spawn_monitor(move |mut cx| async move {
                    let (_, _, from, data): Transfer = expect(&mut cx).await;
                    assert_eq!((from, data.root().as_i64()), (keeper, Some(round)));
                    let [table] = &cx.tables()[..] else {
                        panic!("one table was given")
                    };
                    table.insert(&cx, &round, &round).unwrap();
                })
                .unwrap();
            if round % 3 == 0 {
                // It may die before, while, or after it gets the table.
                cx.exit_process(owner, ExitReason::kill());
            }
            let given = table.give_away(&cx, owner, &round);
            assert!(matches!(given, Ok(()) | Err(TableError::NoProcess(_))));
            down(&mut cx, monitor).await;
            assert_eq!(table.owner(), Some(keeper));
        }
        let rows = table
            .range::<i64, i64, i64>(&cx, Bound::Unbounded, Bound::Unbounded, 1000)
            .unwrap();
        assert!(rows.iter().filter(|(round, _)| round % 3 != 0).count() == 66);
    });
}

#[test]
fn nobody_gets_a_table_after_death() {
    run(|mut cx| async move {
        let (dead, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        down(&mut cx, monitor).await;
        let table = cx.table_new("kept", TableOptions::set()).unwrap();
        assert!(matches!(
            table.give_away(&cx, dead, &()),
            Err(TableError::NoProcess(pid)) if pid == dead
        ));
        assert_eq!(table.owner(), Some(cx.pid()));
        assert!(!cx.is_alive(dead).await);
    });
}

#[test]
fn a_counter_counts_and_refuses_what_is_no_number() {
    run(|cx| async move {
        let table = cx.table_new("counters", TableOptions::set()).unwrap();
        assert!(matches!(
            table.update_counter(&cx, "n", 1, None),
            Err(TableError::NotACounter)
        ));
        assert_eq!(table.update_counter(&cx, "n", 5, Some(10)).unwrap(), 15);
        assert_eq!(table.update_counter(&cx, "n", -20, None).unwrap(), -5);
        assert!(matches!(
            table.update_counter(&cx, "n", i64::MIN, None),
            Err(TableError::CounterOverflow)
        ));
        table.insert(&cx, "text", "no number").unwrap();
        assert!(matches!(
            table.update_counter(&cx, "text", 1, Some(0)),
            Err(TableError::NotACounter)
        ));
        assert_eq!(table.lookup(&cx, "n").unwrap(), Some(-5));
    });
}

#[test]
fn a_row_with_a_native_is_refused_and_large_binaries_are_shared() {
    run(|cx| async move {
        let table = cx.table_new("rows", TableOptions::set()).unwrap();
        assert!(matches!(
            table.insert(&cx, "key", &Native::new(1)),
            Err(TableError::Native)
        ));
        assert!(table.is_empty());
        let bytes = Binary::from(vec![7; 1000]);
        table.insert(&cx, "key", &bytes).unwrap();
        let found: Binary = table.lookup(&cx, "key").unwrap().unwrap();
        assert!(found.ptr_eq(&bytes));
    });
}

#[test]
fn an_ordered_table_is_walked_in_both_directions() {
    run(|cx| async move {
        let table = cx
            .table_new("ordered", TableOptions::ordered_set())
            .unwrap();
        for key in [3, 1, 2] {
            table.insert(&cx, &key, &()).unwrap();
        }
        assert_eq!(table.first::<i64>(&cx).unwrap(), Some(1));
        assert_eq!(table.last::<i64>(&cx).unwrap(), Some(3));
        assert_eq!(table.next::<_, i64>(&cx, &1).unwrap(), Some(2));
        assert_eq!(table.next::<_, i64>(&cx, &1.5).unwrap(), Some(2));
        assert_eq!(table.next::<_, i64>(&cx, &3).unwrap(), None);
        assert_eq!(table.prev::<_, i64>(&cx, &3).unwrap(), Some(2));
        assert_eq!(
            table
                .delete_range(&cx, Bound::Excluded(&1), Bound::Unbounded, 10)
                .unwrap(),
            2
        );
        assert_eq!(table.len(), 1);
        let hashed = cx.table_new("hashed", TableOptions::set()).unwrap();
        assert!(matches!(
            hashed.first::<i64>(&cx),
            Err(TableError::NotOrdered(_))
        ));
    });
}
