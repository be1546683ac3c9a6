use super::*;

#[test]
fn all_versions_come_newest_first_and_with_their_tokens() {
    assert!(Version::ALL.is_sorted_by(|newer, older| newer > older));
    let mut tokens: Vec<_> = Version::ALL.iter().map(|version| version.alpn()).collect();
    tokens.dedup();
    assert_eq!(tokens, Version::ALPNS);
}

#[test]
fn every_version_is_found_by_its_name() {
    for version in Version::ALL {
        assert_eq!(version.to_string().parse(), Ok(*version));
    }
    assert_eq!("moq-lite-07".parse::<Version>(), Err(VersionError("moq-lite-07".into())));
}

#[test]
fn a_token_settles_one_version_or_none() {
    for version in [Version::Lite03, Version::Lite04, Version::Lite05, Version::Lite06] {
        assert_eq!(Version::from_alpn(version.alpn()), Some(version));
    }
    for token in ["moql", "moq-lite-01", "moq-lite-02", "moq-lite-05-wip", "moq-lite-06-wip", "moq-lite-07", "moq-00", "h3", ""] {
        assert_eq!(Version::from_alpn(token), None, "{token}");
    }
}

#[test]
fn a_setup_code_settles_the_first_two_versions_only() {
    assert_eq!(Version::from_setup_code(0xff0d_ad01), Some(Version::Lite01));
    assert_eq!(Version::from_setup_code(0xff0d_ad02), Some(Version::Lite02));
    for code in [0, 0xff0d_ad03, 0xff0d_ad06, 0xff00_000e, 0x1_ff0d_ad02] {
        assert_eq!(Version::from_setup_code(code), None, "{code:#x}");
    }
}

#[test]
fn frames_carry_time_from_five_on() {
    for version in Version::ALL {
        let expected = if *version >= Version::Lite05 { Framing::Timed } else { Framing::Sized };
        assert_eq!(version.framing(), expected, "{version}");
    }
}
