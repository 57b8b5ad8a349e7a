//! The limit on atoms belongs to the program, so its test is a program of its own.

use otp_heap::{
    ATOM_LIMIT_MAX, Atom, AtomError, EncodeError, atom_count, atoms_refused, set_atom_limit,
    to_term,
};
use serde::Serialize;

#[test]
fn the_table_refuses_atoms_at_its_limit() {
    let (count, _) = atom_count();
    let error = set_atom_limit(count - 1).unwrap_err();
    assert!(matches!(error, AtomError::LimitFixed { .. }), "{error}");
    for limit in [ATOM_LIMIT_MAX + 1, u32::MAX] {
        let too_high = AtomError::LimitTooHigh { limit };
        assert_eq!(set_atom_limit(limit), Err(too_high));
    }
    let limit = count + 1;
    set_atom_limit(limit).unwrap();
    assert_eq!(
        set_atom_limit(limit + 1),
        Err(AtomError::LimitFixed { limit, count })
    );
    let last = Atom::new("the last one").unwrap();
    let full = AtomError::TableFull { limit };
    assert_eq!(atoms_refused(), 0);
    assert_eq!(Atom::new("one too many"), Err(full));
    assert_eq!(atoms_refused(), 1);
    assert!(full.to_string().contains("set_atom_limit"), "{full}");
    assert_eq!(Atom::new("the last one"), Ok(last));
    assert_eq!(atom_count(), (limit, limit));

    #[derive(Serialize)]
    enum Message {
        NeverHeardOf,
    }
    assert_eq!(
        to_term(&Message::NeverHeardOf).unwrap_err(),
        EncodeError::Atom(full)
    );
}
