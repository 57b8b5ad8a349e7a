//! Rows against a model, ownership with its races, and many threads at once.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use otp_heap::{Native, OwnedTerm, Pid, from_term, to_term};
use proptest::collection::vec;
use proptest::prelude::*;

use super::ordered::OrderedRows;
use super::row::Row;
use super::rows::{Closed, Rows};
use super::set::SetRows;
use super::{Table, TableError, TableKind, TableOptions, Tables};

fn term(key: i64) -> OwnedTerm {
    to_term(&key).unwrap()
}

fn row(key: i64, value: i64) -> Row {
    Row::new(&key, &value).unwrap()
}

fn pair(row: &Row) -> (i64, i64) {
    (
        from_term(row.key()).unwrap(),
        from_term(row.value()).unwrap(),
    )
}

fn value(row: Option<Row>) -> Option<i64> {
    row.map(|row| pair(&row).1)
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(i64, i64),
    InsertNew(i64, i64),
    InsertMany(Vec<(i64, i64)>),
    Remove(i64),
    RemoveMany(Vec<i64>),
    Get(i64),
    Range(i64, i64, usize),
    RemoveRange(i64, i64, usize),
    Empty,
}

/// Few keys, so that operations meet.
fn operation() -> impl Strategy<Value = Operation> {
    let key = || -20..20_i64;
    prop_oneof![
        8 => (key(), any::<i64>()).prop_map(|(key, value)| Operation::Insert(key, value)),
        4 => (key(), any::<i64>()).prop_map(|(key, value)| Operation::InsertNew(key, value)),
        2 => vec((key(), any::<i64>()), 0..6).prop_map(Operation::InsertMany),
        4 => key().prop_map(Operation::Remove),
        2 => vec(key(), 0..6).prop_map(Operation::RemoveMany),
        4 => key().prop_map(Operation::Get),
        2 => (key(), key(), 0..10_usize).prop_map(|(from, to, limit)| Operation::Range(from, to, limit)),
        1 => (key(), key(), 0..10_usize).prop_map(|(from, to, limit)| Operation::RemoveRange(from, to, limit)),
        1 => Just(Operation::Empty),
    ]
}

fn model_range(model: &BTreeMap<i64, i64>, from: i64, to: i64, limit: usize) -> Vec<(i64, i64)> {
    model
        .iter()
        .filter(|(key, _)| (from..to).contains(*key))
        .take(limit)
        .map(|(key, value)| (*key, *value))
        .collect()
}

/// Does the operations to rows and to a model, which must stay alike.
fn is_a_map(rows: &Rows, operations: Vec<Operation>) {
    let mut model = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Insert(key, new) => {
                let old = rows.insert(row(key, new)).unwrap();
                assert_eq!(value(old), model.insert(key, new));
            }
            Operation::InsertNew(key, new) => {
                assert_eq!(
                    rows.insert_new(row(key, new)),
                    Ok(!model.contains_key(&key))
                );
                model.entry(key).or_insert(new);
            }
            Operation::InsertMany(pairs) => {
                let new = pairs.iter().map(|(key, new)| row(*key, *new));
                rows.insert_many(new.collect()).unwrap();
                model.extend(pairs);
            }
            Operation::Remove(key) => {
                let old = rows.remove(term(key).root()).unwrap();
                assert_eq!(value(old), model.remove(&key));
            }
            Operation::RemoveMany(keys) => {
                let terms: Vec<_> = keys.iter().map(|key| term(*key)).collect();
                rows.remove_many(&terms).unwrap();
                model.retain(|key, _| !keys.contains(key));
            }
            Operation::Get(key) => {
                let found = rows.get(term(key).root()).unwrap();
                assert_eq!(value(found), model.get(&key).copied());
            }
            Operation::Range(from, to, limit) => match rows {
                Rows::Ordered(rows) => {
                    let (first, last) = (term(from), term(to));
                    let range = (Bound::Included(first.root()), Bound::Excluded(last.root()));
                    let (found, _) = rows.range(range.0, range.1, limit).unwrap();
                    let found: Vec<_> = found.iter().map(pair).collect();
                    assert_eq!(found, model_range(&model, from, to, limit));
                }
                Rows::Set(rows) => {
                    let mut all = Vec::new();
                    let mut cursor = Some(0);
                    while let Some(from) = cursor {
                        let (step, next) = rows.scan(from, 3).unwrap();
                        all.extend(step);
                        cursor = next;
                    }
                    let mut pairs: Vec<_> = all.iter().map(pair).collect();
                    pairs.sort_unstable();
                    assert_eq!(pairs, model_range(&model, i64::MIN, i64::MAX, usize::MAX));
                }
            },
            Operation::RemoveRange(from, to, limit) => {
                let Rows::Ordered(rows) = rows else { continue };
                let (first, last) = (term(from), term(to));
                let range = (Bound::Included(first.root()), Bound::Excluded(last.root()));
                let expected = model_range(&model, from, to, limit);
                let removed = rows.remove_range(range.0, range.1, limit).unwrap();
                assert_eq!(removed, expected.len());
                model.retain(|key, value| !expected.contains(&(*key, *value)));
            }
            Operation::Empty => {
                drop(rows.empty(false).unwrap());
                model.clear();
            }
        }
        assert_eq!(rows.len(), model.len());
    }
}

proptest! {
    #[test]
    fn a_set_is_a_map(operations in vec(operation(), 0..200)) {
        is_a_map(&Rows::new(TableKind::Set), operations);
    }

    #[test]
    fn an_ordered_set_is_a_sorted_map(operations in vec(operation(), 0..200)) {
        is_a_map(&Rows::new(TableKind::OrderedSet), operations);
    }

    #[test]
    fn a_scan_meets_each_row_that_stays_once_while_others_come(
        stay in prop::collection::btree_set(0..1000_i64, 1..300),
        limit in 1..50_usize,
    ) {
        let rows = SetRows::new();
        stay.iter().for_each(|key| drop(rows.insert(row(*key, 0)).unwrap()));
        let mut seen = Vec::new();
        let mut cursor = Some(0);
        let mut others = 1000;
        while let Some(from) = cursor {
            let (step, next) = rows.scan(from, limit).unwrap();
            seen.extend(step.iter().map(|row| pair(row).0).filter(|key| *key < 1000));
            // The table grows and is hashed anew while it is walked; not without end, or the walk would have none.
            for _ in 0..40 {
                if others < 5000 {
                    rows.insert(row(others, 0)).unwrap();
                    others += 1;
                }
            }
            cursor = next;
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, stay.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_set_tells_one_from_one_point_zero_and_an_ordered_set_does_not() {
    let (set, ordered) = (SetRows::new(), OrderedRows::default());
    for table in [
        Row::new(&1, &"int").unwrap(),
        Row::new(&1.0, &"float").unwrap(),
    ] {
        set.insert(table.clone()).unwrap();
        ordered.insert(table).unwrap();
    }
    assert_eq!((set.len(), ordered.len()), (2, 1));
    // The row that came last is the one that is there, with its own key.
    let row = ordered.get(term(1).root()).unwrap().unwrap();
    assert_eq!(from_term::<f64>(row.key()).unwrap(), 1.0);
}

#[test]
fn memory_is_that_of_the_rows_and_goes_with_them() {
    let (set, ordered) = (SetRows::new(), OrderedRows::default());
    let (empty_set, empty_ordered) = (set.bytes(), ordered.bytes());
    let mut bytes = 0;
    for key in 0..1000 {
        let row = Row::new(&key, &vec![key; 10]).unwrap();
        bytes += row.bytes();
        set.insert(row.clone()).unwrap();
        ordered.insert(row).unwrap();
    }
    assert!(set.bytes() >= empty_set + bytes);
    assert!(ordered.bytes() >= empty_ordered + bytes);
    drop(set.empty(false).unwrap());
    drop(ordered.empty(false).unwrap());
    assert_eq!((set.bytes(), ordered.bytes()), (empty_set, empty_ordered));
}

#[test]
fn a_native_is_refused() {
    assert!(matches!(
        Row::new(&1, &Native::new(Box::new(1))),
        Err(TableError::Native)
    ));
    assert!(matches!(
        TableOptions::set().heir(PIDS[0], &Native::new(Box::new(1))),
        Err(TableError::Native)
    ));
}

#[test]
fn what_was_taken_out_is_freed_in_steps() {
    let rows = SetRows::new();
    for key in 0..1000 {
        rows.insert(row(key, key)).unwrap();
    }
    let kept = rows.get(term(7).root()).unwrap().unwrap();
    let mut discarded = rows.empty(false).unwrap();
    let mut steps = 1;
    while discarded.free(100) {
        steps += 1;
    }
    assert_eq!(steps, 10);
    assert_eq!(
        pair(&kept),
        (7, 7),
        "a row that somebody holds outlives its table"
    );
}

const PIDS: [Pid; 4] = [
    Pid::from_parts(1, 1),
    Pid::from_parts(2, 1),
    Pid::from_parts(3, 1),
    Pid::from_parts(4, 1),
];

fn owned(tables: &Tables, pid: Pid) -> usize {
    tables.owned_by(pid).len()
}

/// A table of the first pid's, whose heir is the second.
fn with_heir(tables: &Tables) -> Table {
    let options = TableOptions::set().heir(PIDS[1], &()).unwrap();
    tables.create(PIDS[0], "t", options).unwrap()
}

#[test]
fn a_name_is_given_once_and_the_limit_holds() {
    let tables = Tables::new(2);
    let table = tables
        .create(PIDS[0], "named", TableOptions::set().named())
        .unwrap();
    assert!(matches!(
        tables.create(PIDS[1], "named", TableOptions::set().named()),
        Err(TableError::NameTaken(_))
    ));
    tables
        .create(PIDS[0], "named", TableOptions::set())
        .unwrap();
    assert!(matches!(
        tables.create(PIDS[0], "third", TableOptions::set()),
        Err(TableError::Limit { limit: 2 })
    ));
    assert_eq!(tables.by_name(table.name()).unwrap().owner(), Some(PIDS[0]));
    tables.owner_died(PIDS[0], |_, _| unreachable!("nobody is the heir"));
    assert_eq!((tables.count(), table.owner()), (0, None));
    assert!(tables.by_name(table.name()).is_none());
    tables
        .create(PIDS[1], "named", TableOptions::set().named())
        .unwrap();
}

#[test]
fn the_heir_owns_the_table_before_it_hears_of_it() {
    let tables = Tables::new(8);
    let table = tables
        .create(
            PIDS[0],
            "t",
            TableOptions::set().named().heir(PIDS[1], &"data").unwrap(),
        )
        .unwrap();
    let mut told = Vec::new();
    tables.owner_died(PIDS[0], |heir, message| {
        assert_eq!(table.owner(), Some(heir));
        told.push((heir, message.to_string()));
        true
    });
    assert_eq!(
        told,
        [(
            PIDS[1],
            format!("{{'ETS-TRANSFER',t,{},<<\"data\">>}}", PIDS[0])
        )]
    );
    // The heir is still named, but nobody inherits from oneself.
    tables.owner_died(PIDS[1], |_, _| unreachable!("the heir was the owner"));
    assert_eq!(tables.count(), 0);
}

#[test]
fn who_is_not_the_owner_any_more_names_no_heir() {
    let tables = Tables::new(8);
    let table = with_heir(&tables);
    let name_nobody = |owner| tables.set_heir(&table.0, owner, None);
    tables.owner_died(PIDS[0], |heir, _| {
        assert!(matches!(name_nobody(PIDS[0]), Err(TableError::Access(_))));
        assert!(name_nobody(heir).is_ok());
        true
    });
}

#[test]
fn a_table_whose_heir_is_dead_is_deleted() {
    let tables = Tables::new(8);
    let table = with_heir(&tables);
    tables.owner_died(PIDS[0], |_, _| false);
    assert_eq!(
        (tables.count(), table.owner(), owned(&tables, PIDS[1])),
        (0, None, 0)
    );
}

#[test]
fn an_heir_that_dies_while_it_inherits_settles_the_table_itself() {
    let tables = Tables::new(8);
    let table = with_heir(&tables);
    tables.owner_died(PIDS[0], |heir, _| {
        // The heir's own end comes in between.
        tables.owner_died(heir, |_, _| unreachable!("nobody inherits from oneself"));
        false
    });
    assert_eq!((tables.count(), table.owner()), (0, None));
}

#[test]
fn a_table_given_back_to_a_giver_that_died_meanwhile_goes_to_its_heir() {
    let tables = Tables::new(8);
    let [giver, receiver, heir, _] = PIDS;
    let options = TableOptions::set().heir(heir, &()).unwrap();
    let table = tables.create(giver, "t", options).unwrap();
    let both_are_alive = Cell::new(true);
    let given = tables.give_away(
        &table.0,
        giver,
        receiver,
        term(0),
        |_| both_are_alive.get(),
        |pid, _| {
            if both_are_alive.replace(false) {
                // Both end now; the receiver's end comes to its tables only after this call.
                tables.owner_died(giver, |_, _| unreachable!("the receiver has the table"));
            }
            pid == heir
        },
    );
    assert!(matches!(given, Err(TableError::NoProcess(pid)) if pid == receiver));
    assert_eq!((table.owner(), owned(&tables, heir)), (Some(heir), 1));
}

/// Owners that die while tables are given to them and inherited by them: at the end every table belongs to the keeper,
/// who is the heir, or to a living process.
#[test]
fn no_table_is_lost_between_dying_owners() {
    const ROUNDS: u32 = 2000;
    let tables = Arc::new(Tables::new(64));
    let keeper = PIDS[0];
    let alive: Arc<Vec<AtomicBool>> =
        Arc::new((0..ROUNDS).map(|_| AtomicBool::new(true)).collect());
    let table = tables
        .create(keeper, "t", TableOptions::set().heir(keeper, &()).unwrap())
        .unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let killer = {
        let (tables, alive, turn) = (Arc::clone(&tables), Arc::clone(&alive), Arc::clone(&turn));
        thread::spawn(move || {
            for round in 0..ROUNDS {
                while turn.load(Ordering::Acquire) <= round as usize {
                    thread::yield_now();
                }
                alive[round as usize].store(false, Ordering::SeqCst);
                tables.owner_died(Pid::from_parts(100 + round, 1), |heir, _| heir == keeper);
            }
        })
    };
    let begin = std::time::Instant::now();
    for round in 0..ROUNDS {
        let receiver = Pid::from_parts(100 + round, 1);
        while table.owner() != Some(keeper) {
            assert!(
                begin.elapsed() < std::time::Duration::from_secs(20),
                "a table did not come home"
            );
            thread::yield_now();
        }
        turn.store(round as usize + 1, Ordering::Release);
        let is_alive = |pid| pid == keeper || alive[round as usize].load(Ordering::SeqCst);
        let deliver = |pid, _| is_alive(pid);
        match tables.give_away(&table.0, keeper, receiver, term(0), is_alive, deliver) {
            Ok(()) | Err(TableError::NoProcess(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    killer.join().unwrap();
    assert_eq!(
        (table.owner(), owned(&tables, keeper), tables.count()),
        (Some(keeper), 1, 1)
    );
}

/// Writers, readers, scanners and one who deletes, all at once.
#[test]
fn threads_see_whole_rows_until_the_table_is_closed() {
    const KEYS: i64 = 500;
    let set = Arc::new(SetRows::new());
    let ordered = Arc::new(OrderedRows::default());
    let start = Arc::new(std::sync::Barrier::new(5));
    let mut threads = Vec::new();
    for seed in 0..4_i64 {
        let (set, ordered, start) = (Arc::clone(&set), Arc::clone(&ordered), Arc::clone(&start));
        threads.push(thread::spawn(move || {
            start.wait();
            let mut done = 0_u64;
            for step in 0.. {
                let key = (step * 7 + seed * 13) % KEYS;
                // Key and value say the same, so a torn row would show.
                let outcome: Result<(), Closed> = (|| {
                    set.insert(row(key, key))?;
                    ordered.insert(row(key, key))?;
                    for found in [set.get(term(key).root())?, ordered.get(term(key).root())?]
                        .into_iter()
                        .flatten()
                    {
                        assert_eq!(pair(&found), (key, key));
                    }
                    if step % 5 == seed {
                        set.remove(term(key).root())?;
                        ordered.remove(term(key).root())?;
                    }
                    if step % 64 == 0 {
                        let (rows, _) = set.scan(0, 50)?;
                        assert!(rows.iter().all(|row| pair(row).0 == pair(row).1));
                        let (rows, _) = ordered.range(Bound::Unbounded, Bound::Unbounded, 50)?;
                        assert!(rows.windows(2).all(|two| pair(&two[0]).0 < pair(&two[1]).0));
                    }
                    Ok(())
                })();
                if outcome.is_err() {
                    break;
                }
                done += 1;
            }
            done
        }));
    }
    start.wait();
    let begin = std::time::Instant::now();
    while begin.elapsed() < std::time::Duration::from_millis(200) {
        assert!(set.len() <= KEYS as usize && ordered.len() <= KEYS as usize);
        thread::yield_now();
    }
    drop(set.empty(true).unwrap());
    drop(ordered.empty(true).unwrap());
    let done: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert!(done > 0);
    assert_eq!((set.len(), ordered.len()), (0, 0));
    assert!(matches!(set.get(term(1).root()), Err(Closed)));
    assert!(matches!(ordered.insert(row(1, 1)), Err(Closed)));
}
