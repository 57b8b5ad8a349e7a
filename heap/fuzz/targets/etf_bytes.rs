//! Any bytes as external format: read or refused, the same whole and by steps, within the limits.
#![no_main]

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use libfuzzer_sys::fuzz_target;
use otp_heap::etf::{self, DecodeError, DecodeOptions, Decoder, EncodeOptions};
use otp_heap::{Atom, Binary, OwnedTerm};
use otp_heap_fuzz::{assert_same, limit_atoms, walk};

/// Bytes that a compressed term may inflate to here.
const INFLATED_BYTES_MAX: usize = 1 << 20;

fuzz_target!(
    init: limit_atoms(),
    |data: &[u8]| {
        let Some(([flags, depth, words, budget], bytes)) = data.split_first_chunk() else {
            return;
        };
        let mut options = DecodeOptions::new()
            .inflated_bytes_max(INFLATED_BYTES_MAX)
            .existing_atoms(flags & 1 != 0);
        let mut all = DecodeOptions::new().depth_max(u32::MAX);
        let mut written = EncodeOptions::new();
        if flags & 2 != 0 {
            let node = Atom::new("here@host").unwrap();
            options = options.node(node, 7);
            // What is local then is so on the way back, and nothing else is.
            all = all.node(node, 7);
            written = written.node(node, 7);
        }
        if flags & 4 != 0 {
            options = options.depth_max((*depth).into());
        }
        if flags & 8 != 0 {
            options = options.words_max(4 * u32::from(*words));
        }
        if flags & 16 != 0 {
            options = options.depth_max(u32::MAX);
        }
        if flags & 32 != 0 {
            // No fuzzer finds a checksum: so the compressed form of any bytes, of an announced size that may be wrong.
            let bytes = compressed(bytes, (*words).into());
            read(&bytes, &options, (*budget).into(), &written, &all);
        } else {
            read(bytes, &options, (*budget).into(), &written, &all);
        }
    }
);

fn compressed(bytes: &[u8], wrong: u32) -> Vec<u8> {
    let size = bytes.len() as u32 ^ wrong;
    let mut out = vec![131, 80];
    out.extend(size.to_be_bytes());
    let mut deflater = ZlibEncoder::new(out, Compression::fast());
    deflater.write_all(bytes).unwrap();
    deflater.finish().unwrap()
}

fn read(
    bytes: &[u8],
    options: &DecodeOptions,
    budget: usize,
    written: &EncodeOptions,
    all: &DecodeOptions,
) {
    let whole = etf::decode((), bytes, options);
    let input = Binary::from(bytes);
    let by_steps = [
        steps(Decoder::new(bytes, options), budget),
        steps(Decoder::shared(&input, options), budget),
        etf::decode_shared((), &input, options),
    ];
    for other in by_steps {
        match (&whole, &other) {
            (Ok(left), Ok(right)) => {
                assert_eq!(left.1, right.1);
                assert!(left.0 == right.0);
            }
            (Err(left), Err(right)) => assert_eq!(left, right),
            _ => panic!("{whole:?} whole, {other:?} by steps"),
        }
    }
    if let Ok((term, used)) = whole {
        assert!(used <= bytes.len());
        let announced = match bytes {
            [131, 80, size @ ..] => size
                .first_chunk()
                .map_or(0, |size| u32::from_be_bytes(*size) as usize),
            _ => 0,
        };
        let read_max = bytes.len().max(announced);
        let words = term.root().words();
        assert!(8 * words <= 16 * read_max, "{words} words");
        // The room of a block doubles.
        let bytes = term.bytes();
        assert!(bytes <= 2 * 16 * read_max + 1024, "{bytes} bytes");
        assert!(walk(term.root(), usize::MAX));
        let again = etf::encode(term.root(), written).unwrap();
        let (read, used) = etf::decode((), &again, all).unwrap();
        assert_eq!(used, again.len());
        assert_same(read.root(), term.root());
    }
}

fn steps(mut decoder: Decoder<'_, ()>, budget: usize) -> Result<(OwnedTerm, usize), DecodeError> {
    loop {
        match decoder.step(budget) {
            Ok(progress) if progress.done => return Ok(decoder.finish(())),
            Ok(_) => {}
            Err(error) => {
                // It stays so.
                assert_eq!(decoder.step(budget), Err(error));
                return Err(error);
            }
        }
    }
}
