//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a character that means itself.

/// Whether `text` as a whole matches `pattern`.
///
/// Only the last `*` is ever tried again, so the work is at most the product of both lengths: no pattern makes this
/// exponential.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on when what follows the last star doesn't fit: behind the star, one byte of the text later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        match (step(pattern, text), &mut retry) {
            (Step::Matched(next_pattern, next_text), _) => {
                (pattern, text) = (next_pattern, next_text)
            }
            (Step::Ended, _) => return true,
            (Step::Failed, Some((behind_star, from))) => {
                let [_, later @ ..] = *from else { return false };
                *from = later;
                (pattern, text) = (*behind_star, later);
            }
            (Step::Failed, None) => return false,
        }
    }
}

enum Step<'a> {
    Matched(&'a [u8], &'a [u8]),
    Ended,
    Failed,
}

/// Matches one character of the text against one element of the pattern that is not a star.
fn step<'a>(pattern: &'a [u8], text: &'a [u8]) -> Step<'a> {
    match (pattern, text) {
        ([], []) => Step::Ended,
        ([], _) | (_, []) => Step::Failed,
        ([b'?', pattern @ ..], [_, text @ ..]) => Step::Matched(pattern, text),
        ([b'[', class @ ..], [byte, text @ ..]) => match in_class(class, *byte) {
            (true, rest) => Step::Matched(rest, text),
            (false, _) => Step::Failed,
        },
        ([b'\\', literal, pattern @ ..], [byte, text @ ..]) => {
            if literal == byte {
                Step::Matched(pattern, text)
            } else {
                Step::Failed
            }
        }
        ([literal, pattern @ ..], [byte, text @ ..]) if literal == byte => {
            Step::Matched(pattern, text)
        }
        _ => Step::Failed,
    }
}

/// Whether `byte` is in the class whose text begins behind `[`, and what follows the class. A class without an end
/// goes to the end of the pattern, as in Redis.
fn in_class(class: &[u8], byte: u8) -> (bool, &[u8]) {
    let (negated, mut class) = match class {
        [b'^', class @ ..] => (true, class),
        class => (false, class),
    };
    let mut found = false;
    loop {
        match class {
            [] => break,
            [b']', rest @ ..] => {
                class = rest;
                break;
            }
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                class = rest;
            }
            [from, b'-', to, rest @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                class = rest;
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                class = rest;
            }
        }
    }
    (found != negated, class)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases: &[(&str, &str, bool)] = &[
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("[abc", "a", true),
            ("[\\]]", "]", true),
            ("a\\", "a\\", true),
            ("\\*", "\\*", false),
            (
                "*a*a*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                *expected,
                "{pattern} {text}"
            );
        }
    }

    /// The definition, with all the trying again that it implies.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                model(rest, text) || matches!(text, [_, later @ ..] if model(pattern, later))
            }
            ([b'?', rest @ ..], [_, later @ ..]) => model(rest, later),
            ([literal, rest @ ..], [byte, later @ ..]) => literal == byte && model(rest, later),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_match_as_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                model(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
