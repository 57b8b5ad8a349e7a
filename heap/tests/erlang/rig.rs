//! The rig itself.

use crate::erlang_support::{Random, Value, erlang};

#[test]
fn the_node_answers_what_it_is_asked() {
    let Some(mut erlang) = erlang() else { return };
    assert!(erlang.release() >= 25);
    let one = Value::from(1);
    let answer = erlang.ask("compare", vec![vec![one.clone(), Value::Float(1.0)]]);
    let [no, yes] = ["false", "true"].map(Value::atom);
    assert_eq!(answer, [Value::Tuple(vec![no.clone(), yes, no])]);
    let text = Value::binary("{ok, [1, 2]}");
    let parsed = erlang.ask("parse", vec![vec![text]]);
    let list = Value::list([one.clone(), Value::from(2)]);
    assert_eq!(parsed, [Value::Tuple(vec![Value::atom("ok"), list])]);
    let failed = erlang.try_ask("parse", &[vec![Value::binary("{ok,")]]);
    assert!(failed[0].is_err());
}

#[test]
fn random_values_pass_through_the_node_and_the_crate() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(1);
    let mut values: Vec<Value> = (0..3000).map(|_| random.value(20)).collect();
    values.extend((0..50).map(|_| random.deep(100)));
    let batch = values
        .iter()
        .map(|value| vec![Value::binary(value.to_external()), Value::Nil])
        .collect();
    let answers = erlang.ask("from_binary", batch);
    for (answer, value) in answers.iter().zip(&values) {
        assert!(answer.same(value), "{answer:?} is not {value:?}");
        let term = value.to_term();
        assert!(
            Value::from_term(term.root()).same(value),
            "{term} is not {value:?}"
        );
        assert_eq!(term, answer.to_term());
    }
}
