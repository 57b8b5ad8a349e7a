//! `term!` and `term_match!`, form by form.

use otp_heap::{Atom, OwnedTerm, Pid, Term, matches_term, parse, term, term_match};

#[test]
fn each_form_makes_its_term() {
    let pid = Pid::from_parts(1, 2);
    let part = term!([2, 3]);
    for (made, text) in [
        (term!(ok), "ok"),
        (term!(EXIT), "'EXIT'"),
        (term!(true), "true"),
        (term!(r#type), "type"),
        (term!(1), "1"),
        (term!(-1), "-1"),
        (
            term!(170141183460469231731687303715884105727),
            "170141183460469231731687303715884105727",
        ),
        (term!(-2.5), "-2.5"),
        (term!('c'), "99"),
        (term!("text"), "<<\"text\">>"),
        (term!(b"\xFF\x00"), "<<255,0>>"),
        (term!({}), "{}"),
        (term!([]), "[]"),
        (term!(#{}), "#{}"),
        (term!({ok, -1, #{}, [], {},}), "{ok,-1,#{},[],{}}"),
        (
            term!([1, -2, #{}, [a], "b", (pid),]),
            "[1,-2,#{},[a],<<\"b\">>,<0.1.2>]",
        ),
        (term!([1 | 2]), "[1|2]"),
        (term!([-1 | -2]), "[-1|-2]"),
        (term!([#{} | #{a => b}]), "[#{}|#{a => b}]"),
        (term!([a, b | [c]]), "[a,b,c]"),
        (term!([a | []]), "[a]"),
        (term!([1 | (&part)]), "[1,2,3]"),
        (
            term!(#{a => 1, -1 => -2, #{} => #{b => []}, [1 | x] => (vec![1, 2]), (pid) => {},}),
            "#{-1 => -2,a => 1,<0.1.2> => {},#{} => #{b => []},[1|x] => [1,2]}",
        ),
        (term!((Atom::new("a b").unwrap())), "'a b'"),
        (
            term!({(1 + 1), (Some("x")), (None::<u8>)}),
            "{2,<<\"x\">>,nil}",
        ),
    ] {
        assert_eq!(made, parse(text).unwrap(), "{text}");
    }
}

#[test]
#[should_panic(expected = "infinite")]
fn what_cannot_be_made_panics() {
    let _ = term!({ok, (f64::INFINITY)});
}

fn read(text: &str) -> OwnedTerm {
    parse(text).unwrap()
}

#[test]
fn values_are_matched_and_bound() {
    let t = read("{ok, -1, [a, 2.5 | z], #{k => {<<\"v\">>}, -1 => #{}, [x] => y}}");
    let t = t.root();
    assert_eq!(
        term_match!(t, {ok, n: i64, [_, f: f64 | tail: Atom], #{k => {v: &str}, -1 => m: Term}})
            .map(|(n, f, tail, v, m)| (n, f, tail.as_str(), v, m.to_string())),
        Some((-1, 2.5, "z", "v", "#{}".to_string()))
    );
    assert_eq!(
        term_match!(t, {ok, -1, [a, 2.5 | z], #{[x] => y, -1 => #{}}}),
        Some(())
    );
    assert_eq!(term_match!(t, whole: Term), Some(t));
    assert_eq!(term_match!(t, _), Some(()));
    let minus = -1;
    assert_eq!(
        term_match!(t, {_, (minus), [first: Atom | _], #{}}),
        Atom::existing("a")
    );
}

#[test]
fn other_forms_do_not_match() {
    let t = read("{ok, [1, 2], #{a => 1}}");
    let t = t.root();
    assert!(matches_term!(t, {ok, [1, 2], #{a => 1}}));
    assert!(!matches_term!(t, ok));
    assert!(!matches_term!(t, []));
    assert!(!matches_term!(t, #{}));
    assert!(!matches_term!(t, {ok, _}));
    assert!(!matches_term!(t, {ok, _, _, _}));
    assert!(!matches_term!(t, {error, _, _}));
    assert!(!matches_term!(t, {ok, [1], _}));
    assert!(!matches_term!(t, {ok, [1, 2, _], _}));
    assert!(!matches_term!(t, {ok, [1 | 2], _}));
    assert!(!matches_term!(t, {ok, [1, 2.0], _}));
    assert!(!matches_term!(t, {ok, _, #{b => _}}));
    assert!(!matches_term!(t, {ok, _, #{a => 2}}));
    assert_eq!(term_match!(t, {ok, numbers: Vec<String>, _}), None);
}
