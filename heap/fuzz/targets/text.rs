//! Any text: read or refused with a place inside it; what is printed is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_heap::ParseOptions;
use otp_heap_fuzz::{assert_same, limit_atoms, walk};

fuzz_target!(
    init: limit_atoms(),
    |data: &[u8]| {
        let Some(([flags, depth, words, limit], bytes)) = data.split_first_chunk() else {
            return;
        };
        let text = String::from_utf8_lossy(bytes);
        let wide = ParseOptions::new().binary_bytes_max(1 << 20);
        let mut options = wide.existing_atoms(flags & 1 != 0);
        if flags & 2 != 0 {
            options = options.depth_max((*depth).into());
        }
        if flags & 4 != 0 {
            options = options.words_max(4 * u32::from(*words));
        }
        if flags & 8 != 0 {
            options = options.binary_bytes_max((*limit).into()).integer_digits_max((*limit).into());
        }
        match options.parse(&text) {
            Ok(term) => {
                assert!(walk(term.root(), usize::MAX));
                let printed = term.to_string();
                assert_same(wide.parse(&printed).unwrap().root(), term.root());
                let latin1 = term.root().display_latin1().to_string();
                assert!(latin1.chars().all(|character| character <= 'ÿ'));
                assert_same(wide.parse(&latin1).unwrap().root(), term.root());
                let cut = term.root().display_limited((*limit).into()).to_string();
                assert!(cut.len() <= usize::from(*limit) + "...".len());
            }
            Err(error) => {
                // At the end of the text the place is one behind it.
                assert!((1..=text.lines().count() + 1).contains(&error.line()));
                assert!((1..=text.chars().count() + 1).contains(&error.column()));
                assert!(!error.to_string().is_empty());
            }
        }
    }
);
