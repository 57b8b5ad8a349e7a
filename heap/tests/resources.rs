//! What lies outside a block is counted, moved, and dropped once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use otp_heap::{
    Atom, Binary, Block, CopyError, DecodeErrorKind, EncodeError, NATIVE_SHOWN, Native, OwnedTerm,
    Pid, Ref, from_term, to_block, to_shown_term, to_term,
};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Serialize, Serializer};

/// Counts its drops.
#[derive(Clone)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counter() -> (Arc<AtomicUsize>, Counted) {
    let drops = Arc::new(AtomicUsize::new(0));
    (drops.clone(), Counted(drops))
}

fn long() -> Binary {
    Binary::from(vec![1; 65])
}

#[test]
fn a_long_binary_is_counted_through_its_whole_way() {
    let binary = long();
    let term = to_term(&vec![binary.clone(), binary.slice(1..)]).unwrap();
    assert_eq!(
        binary.reference_count(),
        2,
        "64 bytes are copied, 65 are shared"
    );
    let copy = term.try_clone().unwrap();
    let element = term.root().list_iter().next().unwrap();
    let part = Block::copy_of((), element).unwrap();
    let embedded = to_term(&(1, &copy, element)).unwrap();
    assert_eq!(binary.reference_count(), 6);
    let moved = embedded.with_header([0_u64; 8]).with_header(1_u8);
    assert_eq!(binary.reference_count(), 6);
    let received: Binary = from_term(element).unwrap();
    assert!(received.ptr_eq(&binary));
    drop((term, copy, part, moved, received));
    assert_eq!(binary.reference_count(), 1);
}

#[test]
fn a_slice_outlives_its_whole() {
    let whole = Binary::from("0123456789".repeat(20));
    let part = whole.slice(10..=109).slice(5..95);
    drop(whole);
    assert_eq!(part.len(), 90);
    assert_eq!(&part[..6], b"567890");
    assert_eq!(part, Binary::from(&part[..]));
    assert_eq!(part.reference_count(), 1);
}

#[test]
fn a_range_that_is_not_inside_is_refused() {
    let whole = long();
    assert!(whole.slice(65..).is_empty());
    for range in [(0, 65), (65, 65), (0, usize::MAX)] {
        let outside = || whole.slice(range.0..=range.1);
        assert!(
            catch_unwind(AssertUnwindSafe(outside)).is_err(),
            "{range:?}"
        );
    }
}

#[test]
fn a_native_moves_in_and_out_once() {
    let (drops, counted) = counter();
    let native = Native::new(counted);
    let term = to_term(&(1, &native)).unwrap();
    assert!(!native.is_present());
    assert_eq!(to_term(&native).unwrap_err(), EncodeError::NativeMoved);
    assert!(native.into_inner().is_none());
    let (_, received): (u8, Native<Counted>) = from_term(term.root()).unwrap();
    let error = from_term::<(u8, Native<Counted>)>(term.root()).unwrap_err();
    assert_eq!(error.kind(), &DecodeErrorKind::NativeMoved);
    assert_eq!(error.path(), "[1]");
    drop(term);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(received.into_inner().unwrap());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn a_native_is_dropped_with_its_message() {
    let (drops, counted) = counter();
    let block = to_block(
        1_u8,
        &vec![Native::new(counted.clone()), Native::new(counted)],
    )
    .unwrap();
    let block = block.with_header((2_u64, 3_u64));
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(block);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[test]
fn a_native_of_another_type_stays_where_it_is() {
    let (drops, counted) = counter();
    let term = to_term(&Native::new(counted)).unwrap();
    assert!(from_term::<Native<String>>(term.root()).is_err());
    let any: Native = from_term(term.root()).unwrap();
    let value = any.into_inner().unwrap().downcast::<Counted>().unwrap();
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    // And of any type from the start.
    let term = to_term(&Native::<Box<dyn std::any::Any + Send>>::new(value)).unwrap();
    drop(from_term::<Native<Counted>>(term.root()).unwrap());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn a_native_is_not_copied() {
    let term = to_term(&(long(), Native::new(1))).unwrap();
    assert_eq!(term.try_clone().unwrap_err(), CopyError::Native);
    let element = term.root().as_tuple().unwrap().get(1).unwrap();
    assert_eq!(Block::copy_of((), element).unwrap_err(), CopyError::Native);
    assert_eq!(to_term(&(1, &term)).unwrap_err(), EncodeError::NativeCopy);
    assert!(from_term::<(Binary, OwnedTerm)>(term.root()).is_err());
}

#[test]
fn a_native_that_panics_in_its_drop_takes_no_one_along() {
    struct Panics(Arc<AtomicUsize>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("dropped");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let binary = long();
    let natives = [
        Native::new(Panics(drops.clone())),
        Native::new(Panics(drops.clone())),
    ];
    drop(to_term(&(&binary, &natives, &binary)).unwrap());
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    assert_eq!(binary.reference_count(), 1);
}

#[test]
fn two_threads_receive_one_native_once() {
    for _ in 0..100 {
        let (drops, counted) = counter();
        let term = to_term(&Native::new(counted)).unwrap();
        let received = std::thread::scope(|scope| {
            let receive = || from_term::<Native<Counted>>(term.root()).is_ok();
            let other = scope.spawn(receive);
            usize::from(receive()) + usize::from(other.join().unwrap())
        });
        assert_eq!(received, 1);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }
}

struct Fails<F>(F);

impl<F: Fn()> Serialize for Fails<F> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        (self.0)();
        Err(S::Error::custom("failed"))
    }
}

#[test]
fn a_serialize_that_panics_or_fails_half_way_leaks_nothing() {
    let binary = long();
    let (drops, counted) = counter();
    let natives = [Native::new(counted.clone()), Native::new(counted)];
    let value = (
        &binary,
        &natives[0],
        vec![0; 100],
        Fails(|| panic!("half way")),
    );
    assert!(catch_unwind(AssertUnwindSafe(|| to_term(&value))).is_err());
    assert_eq!(
        (binary.reference_count(), drops.load(Ordering::Relaxed)),
        (1, 1)
    );
    let value = (&binary, &natives[1], vec![0; 100], Fails(|| ()));
    assert_eq!(
        to_term(&value).unwrap_err(),
        EncodeError::Message("failed".into())
    );
    assert_eq!(
        (binary.reference_count(), drops.load(Ordering::Relaxed)),
        (1, 2)
    );
}

/// Swallows the failure of its element.
struct Swallows<T>(T);

impl<T: Serialize> Serialize for Swallows<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(1)?;
        if tuple.serialize_element(&self.0).is_err() {
            tuple.serialize_element("swallowed")?;
        }
        tuple.end()
    }
}

#[test]
fn a_swallowed_failure_leaves_a_whole_block() {
    let binary = long();
    let half = std::collections::BTreeMap::from([(1, Fails(|| ()))]);
    let term = to_term(&vec![Swallows((&binary, 1, half, 2))]).unwrap();
    assert_eq!(term.to_string(), "[{<<\"swallowed\">>}]");
    // The copies walk the garbage as well.
    let copy = to_term(&(1, &term)).unwrap();
    assert_eq!(copy.to_string(), "{1,[{<<\"swallowed\">>}]}");
    drop((term, copy));
    assert_eq!(binary.reference_count(), 1);
}

#[test]
fn encoding_inside_encoding_does_not_mix() {
    struct Nested<'a>(&'a OwnedTerm);
    impl Serialize for Nested<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let again = to_term(&(self.0, self.0)).map_err(S::Error::custom)?;
            again.serialize(serializer)
        }
    }
    let inner = to_term(&long()).unwrap();
    let term = to_term(&(Nested(&inner), &inner)).unwrap();
    let ((a, b), c): ((OwnedTerm, OwnedTerm), OwnedTerm) = from_term(term.root()).unwrap();
    assert!([a, b, c].iter().all(|term| *term == inner));
}

#[test]
fn foreign_formats_get_text_and_structure() {
    let pid = Pid::from_parts(1, 2);
    let value = (Atom::new("name").unwrap(), pid, Ref::from_u64(3));
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, r##"["name","<0.1.2>","#Ref<0.0.0.3>"]"##);
    assert_eq!(
        serde_json::from_str::<(Atom, Pid, Ref)>(&json).unwrap(),
        value
    );
    let term = to_term(&(1, vec![Some(2.5), None], true, "text", pid)).unwrap();
    assert_eq!(
        serde_json::to_string(&term).unwrap(),
        r#"[1,[2.5,null],true,"text","<0.1.2>"]"#
    );
    assert_eq!(
        serde_json::to_string(&Binary::from("ab")).unwrap(),
        "[97,98]"
    );
    let binary: Binary = serde_json::from_str("[97,98]").unwrap();
    assert_eq!(&*binary, b"ab");
    assert!(serde_json::from_str::<OwnedTerm>("1").is_err());
}

#[test]
fn a_foreign_format_refuses_a_native_and_leaves_it() {
    let native = Native::new(String::from("here"));
    let error = serde_json::to_string(&(1, &native)).unwrap_err();
    assert!(
        error.to_string().contains("only in a VM message"),
        "{error}"
    );
    assert!(serde_json::from_str::<Native<String>>("null").is_err());
    let term = to_term(&native).unwrap();
    assert!(serde_json::to_string(&term).is_err());
    let back: Native<String> = from_term(term.root()).unwrap();
    assert_eq!(back.into_inner().unwrap(), "here");
}

#[test]
fn a_name_of_ours_used_by_hand_is_no_danger() {
    struct Fake(&'static str);
    impl Serialize for Fake {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_newtype_struct(self.0, &[1, 2])
        }
    }
    for name in ["$otp::Pid", "$otp::Ref", "$otp::Atom"] {
        assert!(to_term(&Fake(name)).is_err());
    }
    // Nothing is lent, so these are plain newtypes.
    for name in ["$otp::Term", "$otp::Binary", "$otp::Native", "$other"] {
        assert_eq!(to_term(&Fake(name)).unwrap().to_string(), "{1,2}");
    }
}

#[test]
fn the_header_is_moved_and_dropped_once() {
    let (drops, counted) = counter();
    let (drops_2, counted_2) = counter();
    let block = to_block(counted, "text").unwrap();
    let raw = block.into_raw();
    // SAFETY: `raw` came from `into_raw` just above.
    let block = unsafe { Block::from_raw(raw) };
    let block = block.with_header(counted_2);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    let (old, block) = block.replace_header((1_u128, 2_u8));
    assert_eq!(drops_2.load(Ordering::Relaxed), 0);
    drop(old);
    assert_eq!(block.header(), &(1, 2));
    assert_eq!(block.to_string(), "<<\"text\">>");
    assert_eq!((&raw const *block.header()).addr() % align_of::<u128>(), 0);
}

#[test]
fn a_value_that_is_shown_keeps_its_resources() {
    #[derive(Serialize)]
    struct Server {
        count: u32,
        file: Native<Counted>,
        peers: Vec<Native<Counted>>,
    }
    let (drops, counted) = counter();
    let server = Server {
        count: 7,
        file: Native::new(counted.clone()),
        peers: vec![Native::new(counted.clone())],
    };
    let text = format!("<<\"{NATIVE_SHOWN}\">>");
    let expected = format!("#{{count => 7,file => {text},peers => [{text}]}}");
    for _ in 0..2 {
        let shown = to_shown_term(&server).unwrap();
        assert_eq!(shown.to_string(), expected);
        assert!(!shown.has_natives());
        // It may travel: nobody else's is in it.
        assert!(shown.try_clone().is_ok());
    }
    assert!(server.file.is_present() && server.peers[0].is_present());
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    // One that has moved is shown like others; a term that holds one is not copied.
    let moved = to_term(&server.file).unwrap();
    assert_eq!(to_shown_term(&server).unwrap().to_string(), expected);
    assert!(matches!(
        to_shown_term(&moved),
        Err(EncodeError::NativeCopy)
    ));
    assert!(from_term::<Native<Counted>>(moved.root()).is_ok());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}
