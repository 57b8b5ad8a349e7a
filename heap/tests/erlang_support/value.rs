//! Terms as a plain tree, with their external format.

use otp_heap::{
    Atom, Builder, Export, ExternalPid, ExternalPort, ExternalRef, OwnedTerm, Pid, Port, Ref, Term,
    View,
};

/// A node's name and incarnation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub name: String,
    pub creation: u32,
}

impl Node {
    /// The node without a name: its identifiers are local ones.
    pub fn local() -> Node {
        Node {
            name: "nonode@nohost".into(),
            creation: 0,
        }
    }

    fn is_local(&self) -> bool {
        *self == Node::local()
    }
}

/// A term. `==` sees the order of a map's pairs, [`Value::same`] does not.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Sign, and magnitude from the least significant byte, without zeros at its end.
    Integer(bool, Vec<u8>),
    Float(f64),
    Atom(String),
    /// Id and serial.
    Pid(Node, u32, u32),
    /// Its numbers in the order of the external format.
    Ref(Node, Vec<u32>),
    Port(Node, u64),
    Export(String, String, u8),
    Tuple(Vec<Value>),
    Nil,
    /// Elements, at least one, and the tail, which is no such list itself.
    List(Vec<Value>, Box<Value>),
    Map(Vec<(Value, Value)>),
    /// Bytes, and the bits of the last one, 0 for all.
    Bits(Vec<u8>, u8),
}

impl From<i128> for Value {
    fn from(value: i128) -> Value {
        let mut magnitude = value.unsigned_abs().to_le_bytes().to_vec();
        while magnitude.last() == Some(&0) {
            magnitude.pop();
        }
        Value::Integer(value < 0, magnitude)
    }
}

impl Value {
    pub fn atom(name: &str) -> Value {
        Value::Atom(name.into())
    }

    pub fn binary(bytes: impl Into<Vec<u8>>) -> Value {
        Value::Bits(bytes.into(), 0)
    }

    /// A proper list.
    pub fn list(elements: impl IntoIterator<Item = Value>) -> Value {
        let elements: Vec<Value> = elements.into_iter().collect();
        if elements.is_empty() {
            return Value::Nil;
        }
        Value::List(elements, Box::new(Value::Nil))
    }

    /// Whether Erlang's `=:=` says so: maps inside count with their pairs in any order.
    pub fn same(&self, other: &Value) -> bool {
        let all = |left: &[Value], right: &[Value]| {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.same(r))
        };
        match (self, other) {
            (Value::Map(left), Value::Map(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, value)| {
                        let found = right.iter().find(|(other, _)| key.same(other));
                        found.is_some_and(|(_, other)| value.same(other))
                    })
            }
            (Value::Tuple(left), Value::Tuple(right)) => all(left, right),
            (Value::List(left, left_tail), Value::List(right, right_tail)) => {
                all(left, right) && left_tail.same(right_tail)
            }
            _ => self == other,
        }
    }

    /// Whether the question is true of this value or of a part.
    pub fn any(&self, question: &dyn Fn(&Value) -> bool) -> bool {
        question(self)
            || match self {
                Value::Tuple(parts) => parts.iter().any(|part| part.any(question)),
                Value::List(parts, tail) => {
                    parts.iter().any(|part| part.any(question)) || tail.any(question)
                }
                Value::Map(pairs) => pairs
                    .iter()
                    .any(|(key, value)| key.any(question) || value.any(question)),
                _ => false,
            }
    }

    /// The elements of a proper list.
    pub fn elements(self) -> Option<Vec<Value>> {
        match self {
            Value::Nil => Some(Vec::new()),
            Value::List(elements, tail) if *tail == Value::Nil => Some(elements),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    pub fn to_i128(&self) -> Option<i128> {
        let Value::Integer(negative, magnitude) = self else {
            return None;
        };
        let value = magnitude.iter().rev().try_fold(0_i128, |value, byte| {
            value.checked_mul(256)?.checked_add(i128::from(*byte))
        })?;
        Some(if *negative { -value } else { value })
    }

    /// The bytes of a binary.
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Value::Bits(bytes, 0) => Some(bytes),
            _ => None,
        }
    }

    /// The same as a term of the crate, built by hand.
    pub fn to_term(&self) -> OwnedTerm {
        let mut builder = Builder::new();
        self.build(&mut builder);
        builder.finish(()).expect("the generator keeps the limits")
    }

    /// Pushes the term.
    pub fn build<H>(&self, builder: &mut Builder<H>) {
        let atom = |name: &str| Atom::new(name).expect("the generator keeps the limits");
        match self {
            Value::Integer(negative, magnitude) => {
                let limbs: Vec<u64> = magnitude
                    .chunks(8)
                    .map(|chunk| {
                        let mut limb = [0; 8];
                        limb[..chunk.len()].copy_from_slice(chunk);
                        u64::from_le_bytes(limb)
                    })
                    .collect();
                builder.limbs(*negative, &limbs);
            }
            Value::Float(value) => {
                builder.float(*value);
            }
            Value::Atom(name) => {
                builder.atom(atom(name));
            }
            Value::Pid(node, id, serial) => {
                if node.is_local() {
                    builder.pid(Pid::from_parts(*id, *serial));
                } else {
                    builder.external_pid(ExternalPid {
                        node: atom(&node.name),
                        creation: node.creation,
                        id: *id,
                        serial: *serial,
                    });
                }
            }
            Value::Ref(node, ids) => {
                if node.is_local() {
                    builder.reference(Ref::from_u64(local_ref(ids)));
                } else {
                    let external = ExternalRef::new(atom(&node.name), node.creation, ids);
                    builder.external_ref(&external.expect("one to five numbers"));
                }
            }
            Value::Port(node, id) => {
                if node.is_local() {
                    builder.port(Port::from_u64(*id));
                } else {
                    builder.external_port(ExternalPort {
                        node: atom(&node.name),
                        creation: node.creation,
                        id: *id,
                    });
                }
            }
            Value::Export(module, function, arity) => {
                builder.export(Export {
                    module: atom(module),
                    function: atom(function),
                    arity: *arity,
                });
            }
            Value::Tuple(elements) => {
                elements.iter().for_each(|element| element.build(builder));
                builder.tuple(elements.len());
            }
            Value::Nil => {
                builder.nil();
            }
            Value::List(elements, tail) => {
                elements.iter().for_each(|element| element.build(builder));
                tail.build(builder);
                for _ in elements {
                    builder.cons();
                }
            }
            Value::Map(pairs) => {
                for (key, value) in pairs {
                    key.build(builder);
                    value.build(builder);
                }
                builder.map(pairs.len());
            }
            Value::Bits(bytes, last) => {
                let bits = match last {
                    0 => bytes.len() * 8,
                    last => bytes.len() * 8 - 8 + usize::from(*last),
                };
                builder.bits(bytes, bits);
            }
        }
    }

    /// The tree of a term of the crate; maps in the crate's order.
    pub fn from_term(term: Term<'_>) -> Value {
        let text = |atom: Atom| atom.as_str().to_owned();
        let node = |name: Atom, creation| Node {
            name: text(name),
            creation,
        };
        match term.view() {
            View::Int(value) => Value::from(i128::from(value)),
            View::BigInt(big) => {
                let mut magnitude: Vec<u8> = big
                    .limbs()
                    .iter()
                    .flat_map(|limb| limb.to_le_bytes())
                    .collect();
                while magnitude.last() == Some(&0) {
                    magnitude.pop();
                }
                Value::Integer(big.is_negative(), magnitude)
            }
            View::Float(value) => Value::Float(value),
            View::Atom(atom) => Value::Atom(text(atom)),
            View::Pid(pid) => Value::Pid(Node::local(), pid.index(), pid.serial()),
            View::Ref(reference) => {
                let bits = reference.as_u64();
                let ids = [bits & 0x3FFFF, bits >> 18 & 0xFFFF_FFFF, bits >> 50];
                Value::Ref(Node::local(), ids.map(|id| id as u32).to_vec())
            }
            View::Port(port) => Value::Port(Node::local(), port.as_u64()),
            View::ExternalPid(pid) => Value::Pid(node(pid.node, pid.creation), pid.id, pid.serial),
            View::ExternalRef(external) => Value::Ref(
                node(external.node, external.creation),
                external.ids().to_vec(),
            ),
            View::ExternalPort(port) => Value::Port(node(port.node, port.creation), port.id),
            View::Export(fun) => Value::Export(text(fun.module), text(fun.function), fun.arity),
            View::Tuple(tuple) => Value::Tuple(tuple.iter().map(Value::from_term).collect()),
            View::Nil => Value::Nil,
            View::Cons(_) => {
                let mut list = term.list_iter();
                let elements = list.by_ref().map(Value::from_term).collect();
                Value::List(elements, Box::new(Value::from_term(list.tail())))
            }
            View::Map(map) => {
                let pairs = map.sorted().into_iter();
                Value::Map(
                    pairs
                        .map(|(key, value)| (Value::from_term(key), Value::from_term(value)))
                        .collect(),
                )
            }
            View::Binary(bytes) => Value::Bits(bytes.to_vec(), 0),
            View::Bits(bits) => Value::Bits(bits.bytes().to_vec(), bits.last_bits()),
            other => panic!("no such value: {other:?}"),
        }
    }

    /// The external format, with its version byte. Not always the bytes that OTP would choose.
    pub fn to_external(&self) -> Vec<u8> {
        let mut bytes = vec![131];
        self.put(&mut bytes);
        bytes
    }

    fn put(&self, out: &mut Vec<u8>) {
        let count = |len: usize| (len as u32).to_be_bytes();
        match self {
            Value::Integer(negative, magnitude) => match self.to_i128() {
                Some(value) if i32::try_from(value).is_ok() => {
                    out.push(98);
                    out.extend((value as i32).to_be_bytes());
                }
                _ => {
                    out.push(111);
                    out.extend(count(magnitude.len()));
                    out.push((*negative).into());
                    out.extend(magnitude);
                }
            },
            Value::Float(value) => {
                out.push(70);
                out.extend(value.to_be_bytes());
            }
            Value::Atom(name) => {
                out.push(118);
                out.extend((name.len() as u16).to_be_bytes());
                out.extend(name.as_bytes());
            }
            Value::Pid(node, id, serial) => {
                out.push(88);
                Value::atom(&node.name).put(out);
                out.extend(
                    [id, serial, &node.creation]
                        .into_iter()
                        .flat_map(|n| n.to_be_bytes()),
                );
            }
            Value::Ref(node, ids) => {
                out.push(90);
                out.extend((ids.len() as u16).to_be_bytes());
                Value::atom(&node.name).put(out);
                out.extend(node.creation.to_be_bytes());
                out.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
            }
            Value::Port(node, id) => {
                out.push(120);
                Value::atom(&node.name).put(out);
                out.extend(id.to_be_bytes());
                out.extend(node.creation.to_be_bytes());
            }
            Value::Export(module, function, arity) => {
                out.push(113);
                Value::atom(module).put(out);
                Value::atom(function).put(out);
                out.extend([97, *arity]);
            }
            Value::Tuple(elements) => {
                out.push(105);
                out.extend(count(elements.len()));
                elements.iter().for_each(|element| element.put(out));
            }
            Value::Nil => out.push(106),
            Value::List(elements, tail) => {
                out.push(108);
                out.extend(count(elements.len()));
                elements.iter().for_each(|element| element.put(out));
                tail.put(out);
            }
            Value::Map(pairs) => {
                out.push(116);
                out.extend(count(pairs.len()));
                for (key, value) in pairs {
                    key.put(out);
                    value.put(out);
                }
            }
            Value::Bits(bytes, 0) => {
                out.push(109);
                out.extend(count(bytes.len()));
                out.extend(bytes);
            }
            Value::Bits(bytes, last) => {
                out.push(77);
                out.extend(count(bytes.len()));
                out.push(*last);
                out.extend(bytes);
            }
        }
    }

    /// The value of an external format as `term_to_binary/1` writes it.
    ///
    /// # Panics
    ///
    /// If the bytes are something else.
    pub fn from_external(bytes: &[u8]) -> Value {
        let mut input = Input(bytes);
        assert_eq!(input.byte(), 131, "the version");
        let value = input.value();
        assert!(input.0.is_empty(), "bytes are left over");
        value
    }
}

/// The 60 bits of a local reference, as they lie in its numbers: 18, 32 and 10.
fn local_ref(ids: &[u32]) -> u64 {
    let [low, middle, high] = ids else {
        panic!("a local reference has three numbers");
    };
    u64::from(*high) << 50 | u64::from(*middle) << 18 | u64::from(*low)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().expect("the bytes go on");
        self.0 = rest;
        *first
    }

    fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn long(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (first, rest) = self.0.split_at(len);
        self.0 = rest;
        first.to_vec()
    }

    fn values(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.value()).collect()
    }

    fn atom(&mut self) -> String {
        match self.value() {
            Value::Atom(name) => name,
            other => panic!("no atom: {other:?}"),
        }
    }

    fn latin1(&mut self, len: usize) -> Value {
        Value::Atom(self.bytes(len).into_iter().map(char::from).collect())
    }

    fn utf8(&mut self, len: usize) -> Value {
        Value::Atom(String::from_utf8(self.bytes(len)).expect("UTF-8"))
    }

    fn big(&mut self, len: usize) -> Value {
        let negative = self.byte() == 1;
        Value::Integer(negative, self.bytes(len))
    }

    fn value(&mut self) -> Value {
        match self.byte() {
            97 => Value::from(i128::from(self.byte())),
            98 => Value::from(i128::from(self.long() as i32)),
            110 => {
                let len = self.byte();
                self.big(len.into())
            }
            111 => {
                let len = self.long();
                self.big(len as usize)
            }
            70 => Value::Float(f64::from_be_bytes(self.array())),
            100 => {
                let len = self.short();
                self.latin1(len.into())
            }
            115 => {
                let len = self.byte();
                self.latin1(len.into())
            }
            118 => {
                let len = self.short();
                self.utf8(len.into())
            }
            119 => {
                let len = self.byte();
                self.utf8(len.into())
            }
            88 => {
                let name = self.atom();
                let (id, serial, creation) = (self.long(), self.long(), self.long());
                Value::Pid(Node { name, creation }, id, serial)
            }
            90 => {
                let len = self.short();
                let name = self.atom();
                let creation = self.long();
                let ids = (0..len).map(|_| self.long()).collect();
                Value::Ref(Node { name, creation }, ids)
            }
            tag @ (89 | 120) => {
                let name = self.atom();
                let id = match tag {
                    89 => self.long().into(),
                    _ => u64::from_be_bytes(self.array()),
                };
                let creation = self.long();
                Value::Port(Node { name, creation }, id)
            }
            113 => {
                let (module, function) = (self.atom(), self.atom());
                let arity = self.value().to_i128().expect("an arity");
                Value::Export(module, function, arity as u8)
            }
            104 => {
                let len = self.byte();
                Value::Tuple(self.values(len.into()))
            }
            105 => {
                let len = self.long();
                Value::Tuple(self.values(len as usize))
            }
            106 => Value::Nil,
            107 => {
                let len = self.short();
                let bytes = self.bytes(len.into());
                Value::list(bytes.into_iter().map(|byte| Value::from(i128::from(byte))))
            }
            108 => {
                let len = self.long();
                let mut elements = self.values(len as usize);
                match self.value() {
                    Value::List(rest, tail) => {
                        elements.extend(rest);
                        Value::List(elements, tail)
                    }
                    tail => Value::List(elements, Box::new(tail)),
                }
            }
            116 => {
                let len = self.long();
                Value::Map((0..len).map(|_| (self.value(), self.value())).collect())
            }
            109 => {
                let len = self.long();
                Value::Bits(self.bytes(len as usize), 0)
            }
            77 => {
                let len = self.long();
                let last = self.byte();
                Value::Bits(self.bytes(len as usize), last % 8)
            }
            tag => panic!("term_to_binary/1 writes no tag {tag} for these terms"),
        }
    }
}
