use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

#[test]
fn slashes_are_normalised_and_nothing_else() {
    for (text, normal) in [
        ("", ""),
        ("/", ""),
        ("///", ""),
        ("room", "room"),
        ("/room//alice/", "room/alice"),
        ("a///b//c", "a/b/c"),
        ("a/./../b", "a/./../b"),
        ("a%2fb", "a%2fb"),
    ] {
        assert_eq!(path(text).as_str(), normal, "{text}");
    }
}

#[test]
fn a_path_may_be_as_long_and_deep_as_the_limits_and_no_more() {
    let long = "x".repeat(Path::BYTES_MAX);
    assert_eq!(path(&long).as_str().len(), Path::BYTES_MAX);
    assert_eq!(path(&format!("//{long}//")).as_str(), long, "slashes that vanish do not count");
    assert_eq!(Path::new(&format!("{long}x")), Err(PathError::TooLong { size: 4097, max: 4096 }));

    let deep = ["s"; Path::SEGMENTS_MAX].join("//");
    assert_eq!(path(&deep).segments().count(), Path::SEGMENTS_MAX);
    assert_eq!(Path::new(&format!("{deep}/s")), Err(PathError::TooDeep { count: 33, max: 32 }));
    assert_eq!(path("s").join(&path(&deep)), Err(PathError::TooDeep { count: 33, max: 32 }));
}

#[test]
fn prefixes_cover_whole_segments() {
    for (long, prefix, rest) in [
        ("room", "room", Some("")),
        ("room/alice", "room", Some("alice")),
        ("room/alice/cam", "room/alice", Some("cam")),
        ("room/alice", "", Some("room/alice")),
        ("", "", Some("")),
        ("roomy", "room", None),
        ("room", "room/alice", None),
        ("", "room", None),
        ("Room", "room", None),
    ] {
        let (long, prefix) = (path(long), path(prefix));
        assert_eq!(long.strip_prefix(&prefix).as_ref().map(Path::as_str), rest, "{long} below {prefix}");
        assert_eq!(long.has_prefix(&prefix), rest.is_some(), "{long} below {prefix}");
    }
}

#[test]
fn the_root_has_no_segments() {
    assert!(Path::root().is_root());
    assert_eq!(Path::root().segments().count(), 0);
    assert_eq!(path("a/b").segments().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(Path::default(), Path::root());
}

#[test]
fn a_path_is_its_text_to_everybody() {
    let path: Path = "/room//alice/".parse().unwrap();

    assert_eq!([path.as_str(), path.as_ref(), path.borrow()], ["room/alice"; 3]);
    assert_eq!(format!("{path} {path:?}"), "room/alice \"room/alice\"");
    assert_eq!("s/".repeat(33).parse::<Path>(), Err(PathError::TooDeep { count: 33, max: 32 }));
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(text in arbitrary::text()) {
        if let Ok(once) = Path::new(&text) {
            prop_assert_eq!(&path(once.as_str()), &once);
        }
    }

    #[test]
    fn what_is_joined_can_be_stripped(above in arbitrary::path(), below in arbitrary::path()) {
        if let Ok(joined) = above.join(&below) {
            prop_assert_eq!(path(joined.as_str()), joined.clone());
            prop_assert!(joined.has_prefix(&above));
            prop_assert_eq!(joined.strip_prefix(&above), Some(below));
        }
    }

    #[test]
    fn covering_is_what_comparing_segments_says(long in arbitrary::path(), prefix in arbitrary::path()) {
        let (all, first): (Vec<_>, Vec<_>) = (long.segments().collect(), prefix.segments().collect());
        prop_assert_eq!(long.has_prefix(&prefix), all.starts_with(&first));
        prop_assert_eq!(long.strip_prefix(&prefix).is_some(), all.starts_with(&first));
    }
}
