use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

#[test]
fn escapes_are_decoded_once_and_slashes_collapse() {
    for (text, expected) in [
        ("", ""),
        ("/", ""),
        ("/room/alice", "room/alice"),
        ("//room///alice//", "room/alice"),
        ("/r%6Fom/%C3%B6", "room/ö"),
        ("/ro%6fm", "room"),
        ("/100%25", "100%"),
        ("/%2541", "%41"),
        ("/a+b", "a+b"),
        ("/a%20b", "a b"),
        ("/...", "..."),
        ("/.hidden", ".hidden"),
        ("/ö", "ö"),
        ("/Room", "Room"),
        ("/a%3Fb", "a?b"),
    ] {
        assert_eq!(canonical(text).map(|path| path.as_str().to_owned()), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_two_readers_could_take_differently_is_refused() {
    for (text, error) in [
        ("/.", PathError::Dots),
        ("/..", PathError::Dots),
        ("/a/../b", PathError::Dots),
        ("/a/./b", PathError::Dots),
        ("/%2e", PathError::Dots),
        ("/%2E%2e/x", PathError::Dots),
        ("/.%2E", PathError::Dots),
        ("/a%2Fb", PathError::HiddenSlash),
        ("/%2f", PathError::HiddenSlash),
        ("/a\\b", PathError::HiddenSlash),
        ("/a%5Cb", PathError::HiddenSlash),
        ("/a%00", PathError::Control('\0')),
        ("/a\0", PathError::Control('\0')),
        ("/a%0ab", PathError::Control('\n')),
        ("/%7f", PathError::Control('\u{7f}')),
        ("/%C2%85", PathError::Control('\u{85}')),
        ("/%", PathError::BadEscape),
        ("/%4", PathError::BadEscape),
        ("/%4/1", PathError::BadEscape),
        ("/%zz", PathError::BadEscape),
        ("/%+1", PathError::BadEscape),
        ("/%é1", PathError::BadEscape),
        ("/%ff", PathError::Utf8),
        ("/%c3/%b6", PathError::Utf8),
        ("/%ed%a0%80", PathError::Utf8),
        ("/%c0%ae", PathError::Utf8),
    ] {
        assert_eq!(canonical(text), Err(error), "{text:?}");
    }
}

#[test]
fn limits_hold_for_what_is_decoded() {
    assert!(canonical(&"%61".repeat(Path::BYTES_MAX)).is_ok());
    assert_eq!(canonical(&"%61".repeat(Path::BYTES_MAX + 1)), Err(PathError::TooLong { size: 4097, max: 4096 }));
    assert!(canonical(&"/a".repeat(Path::SEGMENTS_MAX)).is_ok());
    assert_eq!(canonical(&"//a".repeat(33)), Err(PathError::TooDeep { count: 33, max: 32 }));
}

/// The same rule said another way: decode everything, then look at it.
fn reference(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(*first);
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            let value = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.contains('+'))?;
            // An encoded slash would be mistaken for a separator from here on.
            (value != b'/').then_some(())?;
            *bytes.last_mut()? = value;
            rest = rest.get(2..)?;
        }
    }
    // Sequences of UTF-8 may not go across a separator; no separator is ever inside a valid one.
    let decoded = String::from_utf8(bytes).ok()?;
    let segments: Vec<_> = decoded.split('/').filter(|segment| !segment.is_empty()).collect();
    let refused = decoded.contains(|c: char| c.is_control() || c == '\\') || segments.contains(&".") || segments.contains(&"..");
    let normal = segments.join("/");
    (!refused && segments.len() <= 32 && normal.len() <= 4096).then_some(normal)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn agrees_with_decoding_first_and_checking_after(parts in vec(select(&PARTS[..]), 0..16)) {
        let text = parts.concat();
        prop_assert_eq!(canonical(&text).ok().map(|path| path.as_str().to_owned()), reference(&text), "{}", text);
    }

    #[test]
    fn no_text_can_panic_it_and_results_are_paths(text in any::<String>()) {
        if let Ok(path) = canonical(&text) {
            prop_assert_eq!(Path::new(path.as_str()), Ok(path));
        }
    }
}

const PARTS: [&str; 24] = [
    "/", "/", "//", "a", "room", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", "%", "%25", "%0", "%00", "%c3", "%b6", "ö",
    "%ff", "+", "41", "\u{7f}",
];
