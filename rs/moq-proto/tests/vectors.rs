//! Bytes written by others: every vector is decoded and compared, and encoded and compared.
//!
//! `vectors/moq-lite.json` was computed by an encoder of its own, and holds byte strings published elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use moq_proto::{
    Cost, DecodeError, FrameHead, HopChain, HopId, Path, Prefix, Reader, Timescale, Timestamp, VarInt, Version, Writer,
    lite::{
        Dialect, Layout,
        legacy::{ClientSetup, ServerSetup},
        message::{
            Announce, AnnounceInit, AnnounceOk, AnnounceRequest, Datagram, Fetch, Goaway, GroupHeader, Probe, ProbeLevel, Role,
            SessionInfo, Setup, Subscribe, SubscribeDrop, SubscribeOk, SubscribeOptions, SubscribeReply, SubscribeUpdate,
            TrackInfo, TrackRequest,
        },
        stream,
    },
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vector {
    version: String,
    message: String,
    fields: Fields,
    hex: String,
}

/// A vector's fields, in the nouns they stand for. What is absent has its default.
#[derive(Deserialize)]
struct Fields(Value);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn opt(&self, name: &str) -> Option<VarInt> {
        self.get(name).map(varint)
    }

    fn int(&self, name: &str) -> VarInt {
        self.opt(name).unwrap_or_default()
    }

    fn byte(&self, name: &str) -> u8 {
        self.int(name).get().try_into().unwrap()
    }

    fn bool(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.as_bool().unwrap())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap().as_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> Path {
        self.text(name).parse().unwrap()
    }

    fn hop(&self, name: &str) -> HopId {
        self.int(name).into()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.get(name).unwrap().as_array().unwrap()
    }

    /// Named hops, counted hops, or none.
    fn hops(&self) -> HopChain {
        if let Some(count) = self.opt("hop_count") {
            return HopChain::try_from(vec![HopId::UNKNOWN; count.get() as usize]).unwrap();
        }
        let hops = self.get("hops").map_or(&[][..], |hops| hops.as_array().unwrap());
        HopChain::try_from_iter(hops.iter().map(|hop| varint(hop).into())).unwrap()
    }

    fn cost(&self) -> Cost {
        Cost { warm: self.int("warm"), cold: self.int("cold") }
    }

    fn options(&self) -> SubscribeOptions {
        SubscribeOptions {
            priority: self.byte("priority"),
            ordered: self.bool("ordered"),
            max_age: self.opt("max_age_ms"),
            group_start: self.opt("group_start"),
            group_end: self.opt("group_end"),
            frame_start: self.int("frame_start"),
            frame_end: self.opt("frame_end"),
        }
    }

    /// Frames as `[timestamp, payload]`, or as payloads alone.
    fn frames(&self) -> Vec<(Option<Timestamp>, String)> {
        let frame = |frame: &Value| match frame {
            Value::Array(parts) => {
                (Some(Timestamp::try_from(varint(&parts[0]).get()).unwrap()), parts[1].as_str().unwrap().to_owned())
            }
            payload => (None, payload.as_str().unwrap().to_owned()),
        };
        self.list("frames").iter().map(frame).collect()
    }
}

fn varint(value: &Value) -> VarInt {
    VarInt::try_from(value.as_u64().unwrap()).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/moq-lite.json")).unwrap()
}

/// Takes the envelope off the front of `wire` and decodes; returns the message and what follows it.
fn read<'a, M>(layout: &Layout<M>, wire: &'a [u8]) -> (Result<M, DecodeError>, &'a [u8]) {
    let mut prefix = Prefix::new(wire);
    let kind = layout.is_typed().then(|| prefix.varint().unwrap());
    let size = prefix.varint().unwrap().get() as usize;
    let (body, rest) = wire[prefix.consumed()..].split_at(size);
    (layout.from_wire(kind, body), rest)
}

/// One message, both ways; returns what follows it.
fn both_ways<'a, M: std::fmt::Debug + PartialEq>(layout: &Layout<M>, expected: &M, wire: &'a [u8]) -> &'a [u8] {
    let (message, rest) = read(layout, wire);
    assert_eq!(message.as_ref(), Ok(expected));
    let spelled = &wire[..wire.len() - rest.len()];
    assert_eq!(layout.to_wire(expected)[..], *spelled);
    rest
}

/// Frames to the end of the stream, both ways.
fn frames_both_ways(version: Version, expected: &[(Option<Timestamp>, String)], wire: &[u8]) {
    let (mut rest, mut now, mut written) = (wire, Timestamp::ZERO, Writer::new());
    for (timestamp, payload) in expected {
        let (head, size) = version.framing().read_head(rest).unwrap().unwrap();
        let (found, next) = rest[size..].split_at(head.size as usize);
        assert_eq!(found, payload.as_bytes());
        let delta = timestamp.map(|timestamp| timestamp.since(now));
        assert_eq!(head, FrameHead { delta, size: payload.len() as u64 });
        now = timestamp.unwrap_or(now);
        version.framing().write_head(head, &mut written);
        written.bytes(payload.as_bytes());
        rest = next;
    }
    assert!(rest.is_empty());
    assert_eq!(written.into_bytes()[..], *wire);
}

fn setup(fields: &Fields) -> Setup {
    Setup {
        probe: [ProbeLevel::None, ProbeLevel::Report, ProbeLevel::Increase][fields.byte("probe") as usize],
        path: fields.get("path").map(|_| fields.text("path")),
        role: [None, Some(Role::Publisher), Some(Role::Subscriber)][fields.byte("role") as usize],
        cost: fields.opt("cost"),
        hop: fields.hop("hop"),
    }
}

/// What follows the message, where it has a stream to follow on.
fn lite<'a>(version: Version, dialect: &Dialect, name: &str, fields: &Fields, wire: &'a [u8]) -> &'a [u8] {
    match name {
        // Parameters come in any order; those of this vector are in the order of their numbers, as ours are.
        "SETUP" => both_ways(&dialect.setup.unwrap(), &setup(fields), wire),
        "SETUP(unknown parameter)" => {
            let (message, rest) = read(&dialect.setup.unwrap(), wire);
            assert_eq!(message, Ok(setup(fields)));
            rest
        }
        "SETUP(invalid)" => {
            let (message, rest) = read(&dialect.setup.unwrap(), wire);
            assert_eq!(message, Err(DecodeError::Repeated { what: "parameter", id: 1 }));
            rest
        }
        "SESSION_INFO" => both_ways(&dialect.session_info.unwrap(), &SessionInfo { bitrate: fields.int("bitrate") }, wire),
        "ANNOUNCE_REQUEST" => {
            let request = AnnounceRequest { prefix: fields.path("prefix"), exclude: fields.hop("exclude_hop"), hidden: false };
            both_ways(&dialect.announce_request, &request, wire)
        }
        "ANNOUNCE_INIT" => {
            let suffixes = fields.list("suffixes").iter().map(|path| path.as_str().unwrap().parse().unwrap()).collect();
            both_ways(&dialect.announce_init.unwrap(), &AnnounceInit { suffixes }, wire)
        }
        "ANNOUNCE_OK" => {
            let ok = AnnounceOk { hop: fields.hop("hop"), active: fields.int("active") };
            both_ways(&dialect.announce_ok.unwrap(), &ok, wire)
        }
        "ANNOUNCE" => {
            let (suffix, hops) = (fields.path("suffix"), fields.hops());
            let announce = match fields.text("status").as_str() {
                "ended" => Announce::Ended { suffix },
                "active" => Announce::Active { suffix, hops },
                _ => {
                    let restart = Announce::Restart { suffix, hops };
                    assert!(!dialect.announce.can_say(&restart));
                    let (message, rest) = read(&dialect.announce, wire);
                    assert_eq!(message, Ok(restart));
                    return rest;
                }
            };
            both_ways(&dialect.announce, &announce, wire)
        }
        "ANNOUNCE_START" => {
            let start = Announce::Start { suffix: fields.path("suffix"), hops: fields.hops(), cost: fields.cost() };
            both_ways(&dialect.announce, &start, wire)
        }
        "ANNOUNCE_UPDATE" => {
            let update = Announce::Update { id: fields.int("id"), hops: fields.hops(), cost: fields.cost() };
            both_ways(&dialect.announce, &update, wire)
        }
        "ANNOUNCE_END" => both_ways(&dialect.announce, &Announce::End { id: fields.int("id") }, wire),
        "ANNOUNCE_UNKNOWN" => {
            let (message, rest) = read(&dialect.announce, wire);
            assert_eq!(message, Ok(Announce::Unknown { kind: fields.int("type") }));
            rest
        }
        "SUBSCRIBE" => {
            let subscribe = Subscribe {
                id: fields.int("id"),
                broadcast: fields.path("broadcast"),
                track: fields.text("track"),
                options: options(version, fields),
            };
            both_ways(&dialect.subscribe, &subscribe, wire)
        }
        "SUBSCRIBE(invalid)" => {
            let (message, rest) = read(&dialect.subscribe, wire);
            assert_eq!(message, Err(DecodeError::Contradiction { field: "frame end", needs: "group end" }));
            rest
        }
        "SUBSCRIBE_UPDATE" => both_ways(&dialect.subscribe_update, &SubscribeUpdate(options(version, fields)), wire),
        "SUBSCRIBE_OK" => {
            let ok = SubscribeOk {
                priority: fields.byte("priority"),
                ordered: fields.bool("ordered"),
                max_age: fields.int("max_age_ms"),
                group_start: fields.opt("group_start"),
                group_end: fields.opt("group_end"),
            };
            both_ways(&dialect.reply, &SubscribeReply::Ok(ok), wire)
        }
        "SUBSCRIBE_START" => both_ways(&dialect.reply, &SubscribeReply::Start { group: fields.int("group") }, wire),
        "SUBSCRIBE_END" => both_ways(&dialect.reply, &SubscribeReply::End { group: fields.int("group_exclusive") }, wire),
        "SUBSCRIBE_DROP" => {
            let drop = SubscribeDrop { start: fields.int("start"), end: fields.int("end"), code: fields.int("code") };
            both_ways(&dialect.reply, &SubscribeReply::Drop(drop), wire)
        }
        "GROUP" => {
            let group = GroupHeader {
                subscribe: fields.int("subscribe"),
                sequence: fields.int("sequence"),
                frame_start: fields.int("frame_start"),
            };
            both_ways(&dialect.group, &group, wire)
        }
        "FETCH" => {
            let fetch = Fetch {
                broadcast: fields.path("broadcast"),
                track: fields.text("track"),
                priority: fields.byte("priority"),
                group: fields.int("group"),
                frame_start: fields.int("frame_start"),
                frame_end: fields.opt("frame_end"),
            };
            both_ways(&dialect.fetch.unwrap(), &fetch, wire)
        }
        "TRACK" => {
            let track = TrackRequest { broadcast: fields.path("broadcast"), track: fields.text("track") };
            both_ways(&dialect.track.unwrap(), &track, wire)
        }
        "TRACK_INFO" => {
            let info = TrackInfo {
                priority: fields.byte("priority"),
                ordered: fields.bool("ordered"),
                max_age: fields.int("max_age_ms"),
                timescale: Timescale::try_from(fields.int("timescale").get()).unwrap(),
            };
            both_ways(&dialect.track_info.unwrap(), &info, wire)
        }
        "PROBE" => {
            let probe = Probe { bitrate: fields.int("bitrate"), rtt: fields.int("rtt_ms") };
            both_ways(&dialect.probe.unwrap(), &probe, wire)
        }
        "GOAWAY" => both_ways(&dialect.goaway.unwrap(), &Goaway { uri: fields.text("uri") }, wire),
        "DATAGRAM" => {
            let datagram = Datagram {
                subscribe: fields.int("subscribe"),
                sequence: fields.int("sequence"),
                timestamp: Timestamp::try_from(fields.int("timestamp").get()).unwrap(),
                payload: fields.text("payload").into(),
            };
            let layout = dialect.datagram.unwrap();
            assert_eq!(layout.decode(wire).as_ref(), Ok(&datagram));
            assert_eq!(layout.to_wire(&datagram)[..], *wire);
            &[]
        }
        "PATH" => {
            assert_eq!(fields.path("input").as_str(), fields.text("normalised"));
            let mut written = Writer::new();
            written.path(&fields.path("input"));
            assert_eq!(written.into_bytes()[..], *wire);
            let mut reader = Reader::new(wire);
            assert_eq!(reader.path(), Ok(fields.path("normalised")));
            reader.rest()
        }
        "PROBE open" | "FETCH response" => wire,
        other => panic!("no such message: {other}"),
    }
}

/// From moq-lite-06 on a floor of 0 is the same as none.
fn options(version: Version, fields: &Fields) -> SubscribeOptions {
    let options = fields.options();
    if version < Version::Lite06 {
        return options;
    }
    SubscribeOptions { group_start: options.group_start.filter(|floor| *floor != VarInt::ZERO), ..options }
}

fn stream_type(name: &str) -> VarInt {
    match name {
        "SETUP" => stream::SETUP,
        "GROUP" => stream::GROUP,
        "ANNOUNCE_REQUEST" => stream::ANNOUNCE,
        "SUBSCRIBE" => stream::SUBSCRIBE,
        "FETCH" => stream::FETCH,
        "TRACK" => stream::TRACK,
        "PROBE open" => stream::PROBE,
        "GOAWAY" => stream::GOAWAY,
        other => panic!("no stream begins with {other}"),
    }
}

#[test]
fn every_lite_vector_reads_and_writes_as_it_should() {
    let mut checked = 0;
    for vector in vectors() {
        let Ok(version) = format!("moq-{}", vector.version).parse::<Version>() else { continue };
        println!("{version} {} {}", vector.message, vector.hex);
        let wire = unhex(&vector.hex);
        let (mut name, mut rest) = (vector.message.as_str(), &wire[..]);
        if let Some(message) = name.strip_prefix("stream/uni ").or(name.strip_prefix("stream/bidi ")) {
            name = message;
            let mut prefix = Prefix::new(rest);
            assert_eq!(prefix.varint(), Ok(vector.fields.int("stream_type")));
            assert_eq!(vector.fields.int("stream_type"), stream_type(name));
            rest = &rest[prefix.consumed()..];
        }
        rest = lite(version, version.dialect(), name, &vector.fields, rest);
        if vector.fields.get("frames").is_some() {
            frames_both_ways(version, &vector.fields.frames(), rest);
            rest = &[];
        }
        assert!(rest.is_empty(), "{rest:?} follows");
        checked += 1;
    }
    assert_eq!(checked, 80);
}

#[test]
fn every_integer_vector_reads_and_writes_as_it_should() {
    for vector in vectors() {
        let wire = unhex(&vector.hex);
        match vector.version.as_str() {
            "varint-quic" => {
                let value = vector.fields.int("value");
                assert_eq!(Reader::new(&wire).varint(), Ok(value));
                let mut writer = Writer::new();
                writer.varint(value);
                assert_eq!(writer.into_bytes()[..], wire);
            }
            "zigzag" => {
                let delta = vector.fields.get("value").unwrap().as_i64().unwrap();
                let head = FrameHead { delta: Some(delta), size: 0 };
                let frame = [&wire[..], &[0]].concat();
                assert_eq!(Version::Lite06.framing().read_head(&frame), Ok(Some((head, frame.len()))));
                let mut writer = Writer::new();
                Version::Lite06.framing().write_head(head, &mut writer);
                assert_eq!(writer.into_bytes()[..], frame);
            }
            _ => {}
        }
    }
}

#[test]
fn every_legacy_setup_vector_reads_and_the_servers_write_as_they_should() {
    for vector in vectors().iter().filter(|vector| vector.version == "setup-legacy") {
        let wire = unhex(&vector.hex);
        let mut prefix = Prefix::new(&wire);
        let (kind, length) = (prefix.varint().unwrap(), prefix.u16().unwrap());
        let body = &wire[prefix.consumed()..];
        assert_eq!(body.len(), usize::from(length));
        if vector.message == "CLIENT_SETUP" {
            assert_eq!(kind, stream::LEGACY_SETUP);
            let versions: Vec<_> = vector.fields.list("versions").iter().map(varint).collect();
            let client = ClientSetup { versions, path: None };
            assert_eq!(ClientSetup::decode(body).as_ref(), Ok(&client));
            // Ours is the same but for the parameters, which mean nothing here.
            let ours = client.to_wire();
            assert_eq!(ours[3..ours.len() - 1], body[..ours.len() - 4]);
        } else {
            assert_eq!(kind, stream::LEGACY_SETUP_REPLY);
            let server = ServerSetup { version: vector.fields.int("version") };
            assert_eq!(ServerSetup::decode(body), Ok(server));
            assert_eq!(server.to_wire()[..], wire);
        }
    }
}
