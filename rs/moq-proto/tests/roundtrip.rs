//! What must hold for every message of every version.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;

use bytes::Bytes;
use moq_proto::{
    DecodeError, Prefix, PrefixError, VarInt, Version, arbitrary,
    lite::{Layout, MESSAGE_BYTES_MAX},
};
use proptest::{
    prelude::*,
    test_runner::{TestCaseResult, TestRunner},
};

/// Something that holds for a message of any kind.
trait Law {
    fn holds<M: Debug + PartialEq>(&self, layout: &Layout<M>, message: &M) -> TestCaseResult;
}

/// Tries a law on many messages of every kind that every version has.
fn try_on_all(law: &impl Law) {
    for version in Version::ALL.iter().copied() {
        let dialect = version.dialect();
        let of = Kind { law, version };
        of.kind("ANNOUNCE_REQUEST", Some(dialect.announce_request), arbitrary::announce_request(version));
        of.kind("ANNOUNCE_INIT", dialect.announce_init, arbitrary::announce_init());
        of.kind("ANNOUNCE_OK", dialect.announce_ok, arbitrary::announce_ok());
        of.kind("ANNOUNCE", Some(dialect.announce), arbitrary::announce(version));
        of.kind("SUBSCRIBE", Some(dialect.subscribe), arbitrary::subscribe(version));
        of.kind("SUBSCRIBE_UPDATE", Some(dialect.subscribe_update), arbitrary::subscribe_update(version));
        of.kind("subscribe replies", Some(dialect.reply), arbitrary::reply(version));
        of.kind("GROUP", Some(dialect.group), arbitrary::group(version));
        of.kind("SETUP", dialect.setup, arbitrary::setup());
        of.kind("DATAGRAM", dialect.datagram, arbitrary::datagram());
        of.kind("TRACK", dialect.track, arbitrary::track());
        of.kind("TRACK_INFO", dialect.track_info, arbitrary::track_info(version));
        of.kind("FETCH", dialect.fetch, arbitrary::fetch(version));
        of.kind("PROBE", dialect.probe, arbitrary::probe(version));
        of.kind("GOAWAY", dialect.goaway, arbitrary::goaway());
        of.kind("SESSION_INFO", dialect.session_info, arbitrary::session_info());
    }
}

struct Kind<'a, L> {
    law: &'a L,
    version: Version,
}

impl<L: Law> Kind<'_, L> {
    fn kind<M: Debug + PartialEq>(&self, name: &str, layout: Option<Layout<M>>, messages: impl Strategy<Value = M>) {
        let Some(layout) = layout else { return };
        let tried = TestRunner::default().run(&messages, |message| self.law.holds(&layout, &message));
        tried.unwrap_or_else(|error| panic!("{} {name}: {error}", self.version));
    }
}

/// The type before the size, where there is one, and the body.
fn open<M>(layout: &Layout<M>, message: &M) -> (Option<VarInt>, Bytes) {
    let wire = layout.to_wire(message);
    let mut prefix = Prefix::new(&wire);
    let kind = layout.is_typed().then(|| prefix.varint().unwrap());
    (kind, layout.encode(message))
}

#[test]
fn every_message_survives_its_own_wire() {
    struct Survives;
    impl Law for Survives {
        fn holds<M: Debug + PartialEq>(&self, layout: &Layout<M>, message: &M) -> TestCaseResult {
            prop_assert!(layout.can_say(message));
            let (kind, body) = open(layout, message);
            let read = layout.from_wire(kind, &body);
            prop_assert_eq!(read.as_ref(), Ok(message));
            Ok(())
        }
    }
    try_on_all(&Survives);
}

#[test]
fn the_envelope_is_read_as_it_arrives_and_holds_exactly_the_body() {
    struct Enveloped;
    impl Law for Enveloped {
        fn holds<M: Debug + PartialEq>(&self, layout: &Layout<M>, message: &M) -> TestCaseResult {
            let (wire, body) = (layout.to_wire(message), layout.encode(message));
            if wire == body {
                // A datagram is its body.
                return Ok(());
            }
            let head = wire.len() - body.len();
            let read = |arrived: &[u8]| {
                let mut prefix = Prefix::new(arrived);
                let kind = if layout.is_typed() { Some(prefix.varint()?) } else { None };
                Ok((kind, prefix.varint()?.get(), prefix.consumed()))
            };
            for arrived in 0..head {
                prop_assert_eq!(read(&wire[..arrived]), Err(PrefixError::Short));
            }
            let (kind, size, consumed) = read(&wire)?;
            prop_assert_eq!((size, consumed), (body.len() as u64, head));
            let read = layout.from_wire(kind, &wire[head..]);
            prop_assert_eq!(read.as_ref(), Ok(message));
            Ok(())
        }
    }
    try_on_all(&Enveloped);
}

#[test]
fn a_message_that_ends_early_or_goes_on_is_refused() {
    struct Exact;
    impl Law for Exact {
        fn holds<M: Debug + PartialEq>(&self, layout: &Layout<M>, message: &M) -> TestCaseResult {
            let (kind, body) = open(layout, message);
            if kind.is_none() && layout.to_wire(message) == body {
                // A datagram goes on to its end, wherever that is.
                return Ok(());
            }
            for end in 0..body.len() {
                prop_assert!(layout.from_wire(kind, &body[..end]).is_err(), "cut at {end}");
            }
            for more in [&[0][..], &[1], &[0xff, 0xff]] {
                let longer = [&body, more].concat();
                let leftover = DecodeError::Leftover { count: more.len() };
                prop_assert_eq!(layout.from_wire(kind, &longer).unwrap_err(), leftover);
            }
            Ok(())
        }
    }
    try_on_all(&Exact);
}

#[test]
fn a_type_stands_where_it_belongs_and_nowhere_else() {
    struct Typed;
    impl Law for Typed {
        fn holds<M: Debug + PartialEq>(&self, layout: &Layout<M>, message: &M) -> TestCaseResult {
            let (kind, body) = open(layout, message);
            let refused = match kind {
                Some(_) => layout.decode(&body).unwrap_err() == DecodeError::MissingType,
                None => layout.from_wire(Some(VarInt::ZERO), &body).unwrap_err() == DecodeError::UnknownType(VarInt::ZERO),
            };
            prop_assert!(refused);
            Ok(())
        }
    }
    try_on_all(&Typed);
}

#[test]
fn no_message_is_longer_than_the_limit() {
    struct Limited;
    impl Law for Limited {
        fn holds<M: Debug + PartialEq>(&self, layout: &Layout<M>, message: &M) -> TestCaseResult {
            let (kind, body) = open(layout, message);
            let longer = [&body[..], &vec![0; MESSAGE_BYTES_MAX + 1 - body.len()]].concat();
            let too_long = DecodeError::TooLong { what: "message", size: 65537, max: 65536 };
            prop_assert_eq!(layout.from_wire(kind, &longer).unwrap_err(), too_long);
            Ok(())
        }
    }
    try_on_all(&Limited);
}
