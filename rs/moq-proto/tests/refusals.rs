//! What a peer may not say, and what it may not say too much of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use moq_proto::{
    DecodeError, HopChain, HopError, HopId, Path, PathError, Timescale, TimescaleError, TimestampError, VarInt, Version, Writer,
    lite::message::{
        Announce, AnnounceInit, Fetch, Goaway, ProbeLevel, Role, Setup, SubscribeDrop, SubscribeOk, SubscribeOptions,
        SubscribeReply, SubscribeUpdate, TrackInfo,
    },
};

fn body(write: impl FnOnce(&mut Writer) -> &mut Writer) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

fn int(value: u32) -> VarInt {
    VarInt::from_u32(value)
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

const SETUP_VERSIONS: [Version; 2] = [Version::Lite05, Version::Lite06];

#[test]
fn a_setup_with_a_parameter_twice_is_refused_even_an_unknown_one() {
    for version in SETUP_VERSIONS {
        let setup = version.dialect().setup.unwrap();
        for id in [1, 5, 0x7e57] {
            let twice = body(|w| w.length(2).varint(int(id)).sized(&[1]).varint(int(id)).sized(&[1]));
            assert_eq!(setup.decode(&twice), Err(DecodeError::Repeated { what: "parameter", id: id.into() }));
        }
    }
}

#[test]
fn a_setup_may_have_64_parameters_and_no_more() {
    let unknown = |count: u32| {
        body(|w| {
            w.varint(int(count));
            (0..count).fold(w, |w, id| w.varint(int(100 + id)).sized(&[]))
        })
    };
    for version in SETUP_VERSIONS {
        let setup = version.dialect().setup.unwrap();
        assert_eq!(setup.decode(&unknown(64)), Ok(Setup::default()));
        let too_many = DecodeError::TooMany { what: "parameters", count: 65, max: 64 };
        assert_eq!(setup.decode(&unknown(65)), Err(too_many));
    }
}

#[test]
fn a_setup_value_is_exactly_one_integer_or_text() {
    for version in SETUP_VERSIONS {
        let setup = version.dialect().setup.unwrap();
        let with = |id: u32, value: &[u8]| setup.decode(&body(|w| w.length(1).varint(int(id)).sized(value)));
        for id in [1, 3, 4, 5] {
            assert_eq!(with(id, &[1, 0]), Err(DecodeError::Leftover { count: 1 }));
            assert_eq!(with(id, &[]), Err(DecodeError::Short { missing: 1 }));
            assert_eq!(with(id, &[0x40]), Err(DecodeError::Short { missing: 1 }));
        }
        assert_eq!(with(2, &[0xff]), Err(DecodeError::Utf8));
    }
}

#[test]
fn setup_values_beyond_those_known_mean_the_most_that_is_known() {
    for version in SETUP_VERSIONS {
        let setup = version.dialect().setup.unwrap();
        let with = |id: u32, value: u8| setup.decode(&body(|w| w.length(1).varint(int(id)).sized(&[value]))).unwrap();
        let probes = [0, 1, 2, 3].map(|level| with(1, level).probe);
        assert_eq!(probes, [ProbeLevel::None, ProbeLevel::Report, ProbeLevel::Increase, ProbeLevel::Increase]);
        let roles = [0, 1, 2, 3].map(|role| with(3, role).role);
        assert_eq!(roles, [None, Some(Role::Publisher), Some(Role::Subscriber), None]);
        assert_eq!(with(5, 0).hop, HopId::UNKNOWN);
    }
}

#[test]
fn an_announce_status_is_one_that_the_version_knows() {
    for version in Version::ALL.iter().copied().filter(|version| *version < Version::Lite06) {
        let announce = version.dialect().announce;
        let with = |status: u8| {
            let hops = if version < Version::Lite03 { &[][..] } else { &[0] };
            announce.decode(&body(|w| w.u8(status).string("a").bytes(hops)))
        };
        let unknown = |status| Err(DecodeError::Invalid { field: "announce status", value: status });
        assert_eq!(with(0), Ok(Announce::Ended { suffix: path("a") }));
        assert_eq!(with(1), Ok(Announce::Active { suffix: path("a"), hops: HopChain::new() }));
        assert_eq!(with(3), unknown(3), "{version}");
        match version {
            Version::Lite05 => assert!(matches!(with(2), Ok(Announce::Restart { .. }))),
            _ => assert_eq!(with(2), unknown(2), "{version}"),
        }
    }
}

#[test]
fn a_chain_has_at_most_32_hops_and_none_twice_but_the_unknown() {
    let hops = |ids: &[u32]| {
        body(|w| {
            w.u8(1).string("a").length(ids.len());
            ids.iter().fold(w, |w, id| w.varint(int(*id)))
        })
    };
    let many: Vec<u32> = (1..=33).collect();
    for version in [Version::Lite04, Version::Lite05] {
        let announce = version.dialect().announce;
        assert!(announce.decode(&hops(&many[..32])).is_ok());
        assert_eq!(announce.decode(&hops(&many)), Err(HopError::TooMany { max: 32 }.into()));
        let repeated = HopError::Repeated(int(7).into());
        assert_eq!(announce.decode(&hops(&[7, 0, 0, 7])), Err(repeated.into()));
        assert!(announce.decode(&hops(&[7, 0, 0])).is_ok());
    }
    let counted = Version::Lite03.dialect().announce;
    assert!(counted.decode(&body(|w| w.u8(1).string("a").u8(32))).is_ok());
    let too_many = counted.decode(&body(|w| w.u8(1).string("a").u8(33)));
    assert_eq!(too_many, Err(HopError::TooMany { max: 32 }.into()));

    let start = body(|w| w.string("a").length(2).varint(int(7)).varint(int(7)).u8(0).u8(0));
    let repeated = HopError::Repeated(int(7).into());
    assert_eq!(Version::Lite06.dialect().announce.from_wire(Some(VarInt::ZERO), &start), Err(repeated.into()));
}

#[test]
fn a_path_has_at_most_32_segments_and_4096_bytes_in_every_message() {
    let deep = vec!["s"; 33].join("/");
    let long = "x".repeat(4097);
    for version in Version::ALL {
        let dialect = version.dialect();
        for (text, error) in
            [(&deep, PathError::TooDeep { count: 33, max: 32 }), (&long, PathError::TooLong { size: 4097, max: 4096 })]
        {
            let named = body(|w| w.string(text).bytes(&[0; 16]));
            let id_and_named = [&[0], &named[..]].concat();
            let error = DecodeError::Path(error);
            assert_eq!(dialect.announce_request.decode(&named).unwrap_err(), error);
            assert_eq!(dialect.subscribe.decode(&id_and_named).unwrap_err(), error);
            if let Some(layout) = dialect.track {
                assert_eq!(layout.decode(&named).unwrap_err(), error);
            }
            if let Some(layout) = dialect.fetch {
                assert_eq!(layout.decode(&named).unwrap_err(), error);
            }
            let announce = match dialect.announce.is_typed() {
                true => dialect.announce.from_wire(Some(VarInt::ZERO), &named),
                false => dialect.announce.decode(&id_and_named),
            };
            assert_eq!(announce.unwrap_err(), error);
        }
    }
}

#[test]
fn ordered_is_0_or_1() {
    let refused = DecodeError::Invalid { field: "ordered", value: 2 };
    for version in [Version::Lite03, Version::Lite04, Version::Lite05] {
        let update = version.dialect().subscribe_update;
        assert_eq!(update.decode(&[0, 2, 0, 0, 0]).unwrap_err(), refused);
    }
    assert_eq!(Version::Lite05.dialect().track_info.unwrap().decode(&[0, 2, 0, 1]).unwrap_err(), refused);
    let ok = Version::Lite04.dialect().reply;
    assert_eq!(ok.from_wire(Some(VarInt::ZERO), &[0, 2, 0, 0, 0]).unwrap_err(), refused);
}

#[test]
fn a_frame_end_needs_a_group_end_and_no_start_behind_it() {
    let needs = |needs| DecodeError::Contradiction { field: "frame end", needs };
    let update = Version::Lite06.dialect().subscribe_update;
    assert_eq!(update.decode(&[0, 0, 0, 0, 0, 3]).unwrap_err(), needs("group end"));
    assert!(update.decode(&[0, 0, 0, 1, 0, 3]).is_ok());

    let fetch = Version::Lite06.dialect().fetch.unwrap();
    assert_eq!(fetch.decode(&[0, 0, 0, 0, 3, 3]).unwrap_err(), needs("a frame start before it"));
    assert!(fetch.decode(&[0, 0, 0, 0, 3, 4]).is_ok(), "one frame");
}

#[test]
fn a_frame_end_without_a_group_end_is_left_out() {
    let update = Version::Lite06.dialect().subscribe_update;
    let options = SubscribeOptions { max_age: Some(int(5)), frame_end: Some(int(3)), ..SubscribeOptions::default() };
    let read = update.decode(&update.encode(&SubscribeUpdate(options)));
    assert_eq!(read, Ok(SubscribeUpdate(SubscribeOptions { frame_end: None, ..options })));
}

#[test]
fn no_limit_on_age_is_said_with_the_largest_number_that_all_peers_read() {
    for version in Version::ALL.iter().filter(|version| **version >= Version::Lite03) {
        let update = version.dialect().subscribe_update;
        let read = update.decode(&update.encode(&SubscribeUpdate::default())).unwrap();
        assert_eq!(read.0.max_age, Some(VarInt::JS_MAX), "{version}");
    }
}

#[test]
fn a_reply_type_that_the_version_does_not_know_is_refused() {
    for (version, first_unknown) in [(Version::Lite03, 2), (Version::Lite04, 2), (Version::Lite05, 3), (Version::Lite06, 3)] {
        let kind = int(first_unknown);
        let refused = version.dialect().reply.from_wire(Some(kind), &[0, 0, 0]);
        assert_eq!(refused, Err(DecodeError::UnknownType(kind)), "{version}");
    }
}

#[test]
fn an_announce_type_that_the_version_does_not_know_is_skipped_whole() {
    let announce = Version::Lite06.dialect().announce;
    for kind in [int(3), int(9), VarInt::MAX] {
        assert_eq!(announce.from_wire(Some(kind), b"whatever"), Ok(Announce::Unknown { kind }));
    }
}

#[test]
fn a_timescale_is_not_zero_and_a_timestamp_within_range() {
    let info = Version::Lite06.dialect().track_info.unwrap();
    assert_eq!(info.decode(&[127, 0, 0]), Err(TimescaleError::Zero.into()));
    let expected = TrackInfo { priority: 127, ordered: false, max_age: VarInt::ZERO, timescale: Timescale::try_from(1).unwrap() };
    assert_eq!(info.decode(&[127, 0, 1]), Ok(expected));

    let datagram = Version::Lite05.dialect().datagram.unwrap();
    let late = body(|w| w.u8(0).u8(0).varint(VarInt::saturating(1 << 61)));
    assert_eq!(datagram.decode(&late).unwrap_err(), TimestampError(1 << 61).into());
}

#[test]
fn a_goaway_uri_has_at_most_8192_bytes() {
    let goaway = Version::Lite04.dialect().goaway.unwrap();
    let with = |size: usize| goaway.decode(&goaway.encode(&Goaway { uri: "u".repeat(size) }));
    assert!(with(Goaway::URI_MAX).is_ok());
    assert_eq!(with(8193).unwrap_err(), DecodeError::TooLong { what: "URI", size: 8193, max: 8192 });
}

#[test]
fn a_count_that_the_message_cannot_hold_is_refused_before_anything_is_allocated() {
    let init = Version::Lite02.dialect().announce_init.unwrap();
    assert!(matches!(init.decode(&body(|w| w.varint(VarInt::MAX))), Err(DecodeError::TooMany { .. })));
    assert_eq!(init.decode(&body(|w| w.varint(int(60_000)))), Err(DecodeError::Short { missing: 60_000 }));
    assert_eq!(init.decode(&[0]), Ok(AnnounceInit::default()));
}

#[test]
fn what_a_version_cannot_say_has_no_bytes() {
    let (suffix, hops, group) = (path("a"), HopChain::new(), int(1));
    let dropped = SubscribeReply::Drop(SubscribeDrop { start: group, end: group, code: group });
    let ok = SubscribeReply::Ok(SubscribeOk::default());
    for version in Version::ALL.iter().copied() {
        let dialect = version.dialect();
        let says = [
            (dialect.announce.to_wire(&Announce::Active { suffix: suffix.clone(), hops: hops.clone() }), !dialect.announce_ids),
            (dialect.announce.to_wire(&Announce::End { id: group }), dialect.announce_ids),
            (dialect.announce.to_wire(&Announce::Restart { suffix: suffix.clone(), hops: hops.clone() }), false),
            (dialect.announce.to_wire(&Announce::Unknown { kind: int(9) }), false),
            (dialect.reply.to_wire(&ok), version < Version::Lite05),
            (dialect.reply.to_wire(&dropped), version >= Version::Lite03),
            (dialect.reply.to_wire(&SubscribeReply::Start { group }), version >= Version::Lite05),
        ];
        for (wire, sayable) in says {
            assert_eq!(!wire.is_empty(), sayable, "{version} {wire:?}");
        }
    }
}

#[test]
fn messages_exist_from_their_version_on() {
    for version in Version::ALL.iter().copied() {
        let dialect = version.dialect();
        let (early, five) = (version < Version::Lite03, version >= Version::Lite05);
        assert_eq!(dialect.session_info.is_some(), early);
        assert_eq!(dialect.announce_init.is_some(), early);
        assert_eq!(dialect.probe.is_some(), !early);
        assert_eq!(dialect.goaway.is_some(), version >= Version::Lite04);
        assert_eq!(dialect.setup.is_some(), five);
        assert_eq!(dialect.path_in_setup, five);
        assert_eq!(dialect.announce_ok.is_some(), five);
        assert_eq!((dialect.track.is_some(), dialect.track_info.is_some()), (five, five));
        assert_eq!((dialect.fetch.is_some(), dialect.datagram.is_some()), (five, five));
    }
}

#[test]
fn fields_that_a_version_has_no_place_for_are_left_out() {
    let whole = Fetch {
        broadcast: path("a"),
        track: "v".into(),
        priority: 1,
        group: int(2),
        frame_start: int(3),
        frame_end: Some(int(4)),
    };
    let fetch = Version::Lite05.dialect().fetch.unwrap();
    let read = fetch.decode(&fetch.encode(&whole));
    assert_eq!(read, Ok(Fetch { frame_start: VarInt::ZERO, frame_end: None, ..whole }));

    let ended = Version::Lite05.dialect().announce;
    let with_hops = body(|w| w.u8(0).string("a").u8(1).u8(7));
    assert_eq!(ended.decode(&with_hops), Ok(Announce::Ended { suffix: path("a") }), "hops of what ended mean nothing");
}
