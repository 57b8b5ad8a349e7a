//! What users of `#[gen_server]` get wrong, and what the compiler tells them: it points at their line, and says what to
//! write. The texts are beside the programs; `TRYBUILD=overwrite` writes them anew.

#[test]
fn mistakes_are_told_at_their_line() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
