//! Texts of terms: printed as the node prints them, and read as it reads them.

use otp_heap::parse;

use crate::erlang_support::{Erlang, Node, Random, Value, erlang};

const VALUES: usize = 20_000;
const TEXTS: usize = 20_000;
const BATCH: usize = 1_000;

/// Characters for strings: plain, in need of escapes, printable or not in each range.
const CHARACTERS: &[char] = &[
    'a',
    'Z',
    '0',
    ' ',
    '~',
    '"',
    '\'',
    '\\',
    '\n',
    '\r',
    '\t',
    '\u{8}',
    '\u{B}',
    '\u{C}',
    '\u{1B}',
    '\u{7F}',
    '\0',
    '\u{1F}',
    '\u{80}',
    '\u{9F}',
    '\u{A0}',
    'é',
    '÷',
    'ÿ',
    'Ā',
    '日',
    '\u{D7FF}',
    '\u{E000}',
    '\u{FFFD}',
    '\u{FFFE}',
    '😀',
    '\u{10FFFF}',
];

/// A text of characters that mostly print.
fn characters(random: &mut Random) -> String {
    let kinds = match random.below(4) {
        0 => &CHARACTERS[..8],
        1 => &CHARACTERS[..15],
        2 => &CHARACTERS[18..],
        _ => CHARACTERS,
    };
    let len = random.below(9);
    (0..len).map(|_| kinds[random.below(kinds.len())]).collect()
}

/// A value whose text does not depend on the node: nothing of other nodes, no
/// fun with names beyond ASCII (OTP 25 prints those as their bytes), no map over 32 keys (whose
/// order is OTP's secret).
fn printable(random: &mut Random, value: Value) -> Value {
    let mut all = |values: Vec<Value>| -> Vec<Value> {
        values
            .into_iter()
            .map(|value| printable(random, value))
            .collect()
    };
    match value {
        Value::Tuple(elements) => Value::Tuple(all(elements)),
        Value::List(elements, tail) => {
            let elements = all(elements);
            match printable(random, *tail) {
                Value::List(..) => Value::list(elements),
                tail => Value::List(elements, Box::new(tail)),
            }
        }
        Value::Map(mut pairs) => {
            pairs.truncate(32);
            let mut kept: Vec<(Value, Value)> = Vec::new();
            for (key, value) in pairs {
                let key = printable(random, key);
                if kept.iter().all(|(other, _)| !other.same(&key)) {
                    kept.push((key, printable(random, value)));
                }
            }
            Value::Map(kept)
        }
        Value::Pid(node, ..) | Value::Port(node, _) | Value::Ref(node, _)
            if node != Node::local() =>
        {
            Value::binary(characters(random))
        }
        Value::Export(ref module, ref function, _) if !format!("{module}{function}").is_ascii() => {
            Value::binary(
                characters(random)
                    .chars()
                    .map(|c| c as u8)
                    .collect::<Vec<u8>>(),
            )
        }
        Value::Bits(..) if random.one_in(4) => Value::binary(characters(random)),
        Value::Atom(_) if random.one_in(3) => Value::Atom(characters(random)),
        Value::Float(_) if random.one_in(3) => Value::Float(float(random)),
        Value::Nil if random.one_in(2) => text_list(random),
        other => other,
    }
}

fn text_list(random: &mut Random) -> Value {
    let text = characters(random);
    let code = |character| Value::from(i128::from(u32::from(character)));
    let mut codes: Vec<Value> = text.chars().map(code).collect();
    if random.one_in(6) {
        // What is a character by its value, and none to print.
        codes.push(Value::from(
            [0xD800, 0xFFFF, 0x11_0000, -1, 1 << 70][random.below(5)],
        ));
    }
    Value::list(codes)
}

/// Floats about the places where their text changes its form.
fn float(random: &mut Random) -> f64 {
    let value = match random.below(4) {
        0 => -0.0,
        1 => (random.bits() >> random.below(64)) as f64 * 10_f64.powi(random.below(40) as i32 - 30),
        2 => 2_f64.powi(53) + random.below(9) as f64 - 4.0,
        _ => 10_f64.powi(random.below(50) as i32 - 25) * random.below(1000) as f64,
    };
    if random.one_in(2) { value } else { -value }
}

/// The texts by `~0p` and `~0tp`. From OTP 26 on the order of a map's keys has to be asked for.
fn printed(erlang: &mut Erlang, values: &[Value]) -> [Vec<String>; 2] {
    let formats = if erlang.release() < 26 {
        ["~0p", "~0tp"]
    } else {
        ["~0kp", "~0ktp"]
    };
    formats.map(|format| {
        let batch = values
            .iter()
            .map(|value| vec![Value::binary(format), Value::list([value.clone()])]);
        let texts = erlang.ask("format", batch.collect()).into_iter();
        texts
            .map(|text| String::from_utf8(text.bytes().expect("a binary")).expect("UTF-8"))
            .collect()
    })
}

/// Fails with the place where the texts part, which may be far in.
fn assert_same(ours: &str, theirs: &str) {
    if ours != theirs {
        let same = ours.chars().zip(theirs.chars());
        let place = same.take_while(|(left, right)| left == right).count();
        let around = |text: &str| -> String {
            text.chars()
                .skip(place.saturating_sub(60))
                .take(120)
                .collect()
        };
        panic!("{}\n is not\n{}", around(ours), around(theirs));
    }
}

#[test]
fn terms_are_printed_as_the_node_prints_them_and_read_back() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(3);
    for _ in 0..VALUES / BATCH {
        let values: Vec<Value> = (0..BATCH)
            .map(|_| {
                let value = random.value(12);
                printable(&mut random, value)
            })
            .collect();
        let [latin1, unicode] = printed(&mut erlang, &values);
        for (value, (latin1, unicode)) in values.iter().zip(latin1.iter().zip(&unicode)) {
            let term = value.to_term();
            assert_same(&term.root().display_latin1().to_string(), latin1);
            assert_same(&term.to_string(), unicode);
            for text in [latin1, unicode] {
                let read = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!(read, term, "{text}");
            }
        }
    }
}

#[test]
fn what_only_this_crate_prints_is_read_back() {
    let mut random = Random::new(4);
    for _ in 0..VALUES {
        let term = random.value(12).to_term();
        for text in [term.to_string(), term.root().display_latin1().to_string()] {
            let read = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, term, "{text}");
        }
    }
}

/// Random text in the syntax of terms, with what is seldom written.
struct Writer<'r> {
    random: &'r mut Random,
    text: String,
}

impl Writer<'_> {
    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.random.below(choices.len())]
    }

    fn token(&mut self, token: &str) {
        self.text.push_str(token);
        let space = self.pick(&["", "", "", "", " ", "\n\t", " % {[<<\n", "\u{A0}"]);
        self.text.push_str(space);
    }

    /// Parts, separated by commas.
    fn parts(&mut self, mut part: impl FnMut(&mut Self)) {
        for index in 0..self.random.below(5) {
            if index > 0 {
                self.token(",");
            }
            part(self);
        }
    }

    fn term(&mut self, levels: usize) {
        match self.random.below(if levels == 0 { 9 } else { 17 }) {
            0 | 1 => self.number(),
            2 | 3 => self.atom(),
            4 | 5 => self.strings(),
            6 => {
                let sign = self.pick(&["-", "+", "-(", "- -"]);
                self.token(sign);
                self.number();
                if sign == "-(" {
                    self.token(")");
                }
            }
            7 => {
                self.token("fun ");
                self.fun_name();
                self.token(":");
                self.fun_name();
                let arity = self.pick(&["/0", "/ 255", "/256", "/16#f", "/-1", "/a"]);
                self.token(arity);
            }
            8 => {
                let odd = self.pick(&[
                    "X",
                    "_",
                    "begin 1 end",
                    "1 + 2",
                    "a:b",
                    "fun",
                    "{",
                    "#",
                    "$",
                ]);
                self.token(odd);
            }
            9 => {
                self.token("(");
                self.term(levels - 1);
                self.token(")");
            }
            10 | 11 => {
                self.token("{");
                self.parts(|writer| writer.term(levels - 1));
                self.token("}");
            }
            12 | 13 => {
                self.token("[");
                self.parts(|writer| writer.term(levels - 1));
                if self.random.one_in(4) {
                    self.token("|");
                    self.term(levels - 1);
                }
                self.token("]");
            }
            14 => {
                self.token("#");
                self.token("{");
                self.parts(|writer| {
                    writer.term(levels - 1);
                    let arrow = writer.pick(&["=>", "=>", "=>", "=>", ":="]);
                    writer.token(arrow);
                    writer.term(levels - 1);
                });
                self.token("}");
            }
            _ => self.binary(levels),
        }
    }

    fn number(&mut self) {
        let number = match self.random.below(8) {
            0 => self.random.below(300).to_string(),
            1 => self.random.bits().to_string(),
            2 => format!("16#{:x}", self.random.bits()),
            3 => format!("{}#{}", self.random.below(38), self.random.below(100)),
            4 => format!("{:?}", self.random.float().abs()),
            5 => self
                .pick(&[
                    "1_000",
                    "1__0",
                    "1_",
                    "16#_f",
                    "3#",
                    "1_0.5_0e1_0",
                    "1.0e",
                    "1.e1",
                    "1.0E+3",
                ])
                .into(),
            6 => self
                .pick(&[
                    "$a",
                    "$\\n",
                    "$\\x41",
                    "$\\x{65E5}",
                    "$\\101",
                    "$\\^A",
                    "$ ",
                    "$日",
                    "$\\x4",
                ])
                .into(),
            _ => format!("{}{}", self.random.bits(), self.random.bits()),
        };
        self.token(&number);
    }

    fn atom(&mut self) {
        let atom = self.pick(&[
            "a",
            "ok",
            "aB_1@",
            "élan",
            "'quo ted'",
            "'it\\'s'",
            "'\\x{3A9}'",
            "''",
            "maybe",
            "and",
            "'and'",
            "end",
            "aé÷",
            "ÿ",
            "Éa",
            "日",
        ]);
        self.token(atom);
    }

    /// No reserved word: OTP prints those without quotes in funs, so the crate reads them there,
    /// as OTP's own parser does not.
    fn fun_name(&mut self) {
        let name = self.pick(&["a", "aB_1@", "élan", "'quo ted'", "'and'", "É"]);
        self.token(name);
    }

    fn strings(&mut self) {
        for _ in 0..1 + self.random.below(2) {
            let string = self.pick(&[
                "\"\"",
                "\"abc\"",
                "\"a\\\"b\\\\\"",
                "\"é日\"",
                "\"\\x{1F600}\\n\\e\\d\\s\\z\"",
                "\"\\x{110000}\"",
                "\"two\nlines\"",
                "\"\\7\\77\\777\\8\"",
                "\"\\^\\\\\"",
                "\"\\x4\"",
            ]);
            self.token(string);
        }
    }

    fn binary(&mut self, levels: usize) {
        self.token("<<");
        self.parts(|writer| writer.segment(levels));
        self.token(">>");
    }

    fn segment(&mut self, levels: usize) {
        match self.random.below(10) {
            0..=3 => self.number(),
            4 => {
                self.token("-");
                self.number();
            }
            5 | 6 => self.strings(),
            7 | 8 => self.binary(levels.saturating_sub(1).min(1)),
            _ => self.atom(),
        }
        if self.random.one_in(2) {
            self.token(":");
            let size = self.pick(&[
                "0", "1", "3", "4", "7", "8", "12", "16", "31", "32", "64", "65", "100", "(8)",
                "(-1)", "-1", "$\\x08", "a", "16#10",
            ]);
            self.token(size);
        }
        if self.random.one_in(2) {
            self.token("/");
            for index in 0..1 + self.random.below(3) {
                if index > 0 {
                    self.token("-");
                }
                let kind = self.pick(&[
                    "integer",
                    "float",
                    "binary",
                    "bytes",
                    "bits",
                    "bitstring",
                    "utf8",
                    "utf16",
                    "utf32",
                    "big",
                    "little",
                    "native",
                    "signed",
                    "unsigned",
                    "unit:1",
                    "unit:8",
                    "unit : 3",
                    "unit:257",
                    "nothing",
                    "'float'",
                ]);
                self.token(kind);
            }
        }
    }
}

/// One character less, more or another.
fn damage(random: &mut Random, text: &mut String) {
    let place = text.floor_char_boundary(random.below(text.len() + 1));
    if random.one_in(2) && place < text.len() {
        text.remove(place);
    }
    if random.one_in(2) {
        let odd = b"{}[]()<>=|,:/#-+.'\"\\$ a1_%";
        text.insert(place, odd[random.below(odd.len())].into());
    }
}

#[test]
fn texts_are_read_as_the_node_reads_them() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(5);
    let (mut terms, mut errors) = (0, 0);
    for _ in 0..TEXTS / BATCH {
        let texts: Vec<String> = (0..BATCH)
            .map(|_| {
                let mut writer = Writer {
                    random: &mut random,
                    text: String::new(),
                };
                writer.term(3);
                let mut text = writer.text;
                if random.one_in(4) {
                    damage(&mut random, &mut text);
                }
                // The full stop comes after it, and not into a comment.
                text + "\n"
            })
            .collect();
        let batch: Vec<_> = texts
            .iter()
            .map(|text| vec![Value::binary(text.as_str())])
            .collect();
        for (text, read) in texts.iter().zip(erlang.try_ask("parse", &batch)) {
            match (parse(&format!("{text} .")), read) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours, theirs.to_term(), "{text}");
                    terms += 1;
                }
                (Err(_), Err(_)) => errors += 1,
                (Ok(ours), Err(theirs)) => panic!("{text:?} is {ours}, and not {theirs:?}"),
                (Err(error), Ok(theirs)) => panic!("{text:?}: {error}, and not {theirs:?}"),
            }
        }
    }
    println!("{terms} texts of terms, {errors} of none");
    assert!(terms > TEXTS / 4 && errors > TEXTS / 8, "{terms} {errors}");
}
