//! Generators of any noun and any message, for everybody's property tests.
//!
//! Messages are made for a version: all that it can say, and nothing that it would leave out, so that what was written is
//! what is read.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    Cost, FrameHead, Framing, HopChain, HopId, Path, Timescale, Timestamp, VarInt, Version,
    lite::{
        Hops, Replies,
        message::{
            Announce, AnnounceInit, AnnounceOk, AnnounceRequest, Datagram, Fetch, Goaway, GroupHeader, Probe, ProbeLevel, Role,
            SessionInfo, Setup, Subscribe, SubscribeDrop, SubscribeOk, SubscribeOptions, SubscribeReply, SubscribeUpdate,
            TrackInfo, TrackRequest,
        },
    },
};

pub fn version() -> impl Strategy<Value = Version> {
    select(Version::ALL)
}

/// Integers of every size of spelling, and the last one before the next.
pub fn varint() -> impl Strategy<Value = VarInt> {
    let value = prop_oneof![
        0..0x40u64,
        0x40..0x4000u64,
        0x4000..0x4000_0000u64,
        0x4000_0000..VarInt::MAX.get(),
        select(vec![0x3f, 0x3fff, 0x3fff_ffff, VarInt::JS_MAX.get(), VarInt::MAX.get()]),
    ];
    value.prop_map(VarInt::saturating)
}

/// Present or absent; never 2^62 - 1, which has no spelling as an option.
pub fn opt() -> impl Strategy<Value = Option<VarInt>> {
    let successor = VarInt::MAX.get() - 1;
    option::of(varint().prop_map(move |value| VarInt::saturating(value.get().min(successor))))
}

/// Any text, slashes and control characters included.
pub fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..24).prop_map(String::from_iter)
}

/// Paths of few segments from few names, so that some cover others; now and then as many segments as there may be.
pub fn path() -> impl Strategy<Value = Path> {
    let segment = select(&["a", "b", "room", "roomy", "Alice", "ö", ".hidden", "%2e", "x y"][..]);
    let depth = prop_oneof![9 => 0..5usize, 1 => Just(Path::SEGMENTS_MAX)];
    let text = depth.prop_flat_map(move |depth| vec(segment.clone(), depth)).prop_map(|segments| segments.join("/"));
    text.prop_filter_map("short enough", |text| Path::new(&text).ok())
}

/// Hops from few ids, so that chains meet; the unknown one among them.
pub fn hop() -> impl Strategy<Value = HopId> {
    prop_oneof![3 => (0..6u32).prop_map(VarInt::from_u32), 1 => varint()].prop_map(HopId::from)
}

/// Chains of any length, the longest one included.
pub fn hop_chain() -> impl Strategy<Value = HopChain> {
    let hops = prop_oneof![4 => vec(hop(), 0..6), 1 => vec(varint().prop_map(HopId::from), HopChain::MAX)];
    hops.prop_map(|hops| {
        let mut chain = HopChain::new();
        for hop in hops {
            // One that is there already is left out.
            let _ = chain.push(hop);
        }
        chain
    })
}

pub fn cost() -> impl Strategy<Value = Cost> {
    (varint(), varint()).prop_map(|(warm, cold)| Cost { warm, cold })
}

pub fn timescale() -> impl Strategy<Value = Timescale> {
    prop_oneof![select(&[1, 1000, 48_000, 90_000, 1_000_000_000][..]), 1..=VarInt::MAX.get(),]
        .prop_filter_map("not zero", |units| Timescale::try_from(units).ok())
}

pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![0..1_000_000u64, 0..=Timestamp::MAX.get()]
        .prop_filter_map("within range", |units| Timestamp::try_from(units).ok())
}

/// Heads of frames as `framing` can say them.
pub fn frame_head(framing: Framing) -> impl Strategy<Value = FrameHead> {
    (timestamp(), timestamp(), varint()).prop_map(move |(earlier, later, size)| FrameHead {
        delta: (framing == Framing::Timed).then(|| later.since(earlier)),
        size: size.get(),
    })
}

/// SETUP, from moq-lite-05 on.
pub fn setup() -> impl Strategy<Value = Setup> {
    let probe = select(&[ProbeLevel::None, ProbeLevel::Report, ProbeLevel::Increase][..]);
    let role = option::of(select(&[Role::Publisher, Role::Subscriber][..]));
    (probe, option::of(text()), role, option::of(varint()), hop()).prop_map(|(probe, path, role, cost, hop)| Setup {
        probe,
        path,
        role,
        cost,
        hop,
    })
}

pub fn announce_request(version: Version) -> impl Strategy<Value = AnnounceRequest> {
    let excludes = matches!(version, Version::Lite04 | Version::Lite05);
    (path(), hop()).prop_map(move |(prefix, hop)| AnnounceRequest {
        prefix,
        exclude: if excludes { hop } else { HopId::UNKNOWN },
        hidden: false,
    })
}

/// ANNOUNCE_INIT, on moq-lite-01 and 02.
pub fn announce_init() -> impl Strategy<Value = AnnounceInit> {
    vec(path(), 0..8).prop_map(|suffixes| AnnounceInit { suffixes })
}

/// ANNOUNCE_OK, from moq-lite-05 on.
pub fn announce_ok() -> impl Strategy<Value = AnnounceOk> {
    (hop(), varint()).prop_map(|(hop, active)| AnnounceOk { hop, active })
}

pub fn announce(version: Version) -> BoxedStrategy<Announce> {
    let dialect = version.dialect();
    if dialect.announce_ids {
        return prop_oneof![
            (path(), hop_chain(), cost()).prop_map(|(suffix, hops, cost)| Announce::Start { suffix, hops, cost }),
            (varint(), hop_chain(), cost()).prop_map(|(id, hops, cost)| Announce::Update { id, hops, cost }),
            varint().prop_map(|id| Announce::End { id }),
        ]
        .boxed();
    }
    let hops = match dialect.hops {
        Hops::None => Just(HopChain::new()).boxed(),
        Hops::Count => hop_chain().prop_map(|hops| unnamed(hops.len())).boxed(),
        Hops::SenderIncluded | Hops::SenderImplied => hop_chain().boxed(),
    };
    prop_oneof![
        (path(), hops).prop_map(|(suffix, hops)| Announce::Active { suffix, hops }),
        path().prop_map(|suffix| Announce::Ended { suffix }),
    ]
    .boxed()
}

fn unnamed(count: usize) -> HopChain {
    let mut chain = HopChain::new();
    while chain.len() < count && chain.push(HopId::UNKNOWN).is_ok() {}
    chain
}

pub fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    (varint(), path(), text(), subscribe_options(version)).prop_map(|(id, broadcast, track, options)| Subscribe {
        id,
        broadcast,
        track,
        options,
    })
}

pub fn subscribe_update(version: Version) -> impl Strategy<Value = SubscribeUpdate> {
    subscribe_options(version).prop_map(SubscribeUpdate)
}

pub fn subscribe_options(version: Version) -> impl Strategy<Value = SubscribeOptions> {
    let bounds = (varint(), opt(), opt(), varint(), opt());
    (any::<u8>(), any::<bool>(), bounds).prop_map(move |(priority, ordered, bounds)| {
        let (max_age, group_start, group_end, frame_start, frame_end) = bounds;
        let priority_alone = SubscribeOptions { priority, ..SubscribeOptions::default() };
        let max_age = Some(max_age);
        match version {
            Version::Lite01 | Version::Lite02 => priority_alone,
            Version::Lite03 | Version::Lite04 | Version::Lite05 => {
                SubscribeOptions { ordered, max_age, group_start, group_end, ..priority_alone }
            }
            Version::Lite06 => SubscribeOptions {
                max_age,
                group_start: group_start.filter(|floor| *floor != VarInt::ZERO),
                group_end,
                frame_start,
                frame_end: frame_end.filter(|_| group_end.is_some()),
                ..priority_alone
            },
        }
    })
}

pub fn reply(version: Version) -> BoxedStrategy<SubscribeReply> {
    let ok = subscribe_ok(version).prop_map(SubscribeReply::Ok);
    let drop =
        (varint(), varint(), varint()).prop_map(|(start, end, code)| SubscribeReply::Drop(SubscribeDrop { start, end, code }));
    match (version.dialect().replies, version) {
        (Replies::Ok, Version::Lite01 | Version::Lite02) => ok.boxed(),
        (Replies::Ok, _) => prop_oneof![ok, drop].boxed(),
        (Replies::StartEnd, _) => prop_oneof![
            varint().prop_map(|group| SubscribeReply::Start { group }),
            varint().prop_map(|group| SubscribeReply::End { group }),
            drop,
        ]
        .boxed(),
    }
}

fn subscribe_ok(version: Version) -> impl Strategy<Value = SubscribeOk> {
    (any::<u8>(), any::<bool>(), varint(), opt(), opt()).prop_map(move |(priority, ordered, max_age, group_start, group_end)| {
        match version {
            Version::Lite01 => SubscribeOk { priority, ..SubscribeOk::default() },
            Version::Lite02 => SubscribeOk::default(),
            _ => SubscribeOk { priority, ordered, max_age, group_start, group_end },
        }
    })
}

pub fn group(version: Version) -> impl Strategy<Value = GroupHeader> {
    (varint(), varint(), varint()).prop_map(move |(subscribe, sequence, frame)| GroupHeader {
        subscribe,
        sequence,
        frame_start: if version < Version::Lite06 { VarInt::ZERO } else { frame },
    })
}

/// Datagrams, from moq-lite-05 on.
pub fn datagram() -> impl Strategy<Value = Datagram> {
    (varint(), varint(), timestamp(), vec(any::<u8>(), 0..64)).prop_map(|(subscribe, sequence, timestamp, payload)| Datagram {
        subscribe,
        sequence,
        timestamp,
        payload: Bytes::from(payload),
    })
}

/// TRACK, from moq-lite-05 on.
pub fn track() -> impl Strategy<Value = TrackRequest> {
    (path(), text()).prop_map(|(broadcast, track)| TrackRequest { broadcast, track })
}

/// TRACK_INFO, from moq-lite-05 on.
pub fn track_info(version: Version) -> impl Strategy<Value = TrackInfo> {
    (any::<u8>(), any::<bool>(), varint(), timescale()).prop_map(move |(priority, ordered, max_age, timescale)| TrackInfo {
        priority,
        ordered: ordered && version == Version::Lite05,
        max_age,
        timescale,
    })
}

/// FETCH, from moq-lite-05 on.
pub fn fetch(version: Version) -> impl Strategy<Value = Fetch> {
    let names = (path(), text(), any::<u8>(), varint());
    (names, varint(), opt()).prop_map(move |((broadcast, track, priority, group), frame_start, frame_end)| {
        let whole = Fetch { broadcast, track, priority, group, frame_start: VarInt::ZERO, frame_end: None };
        if version < Version::Lite06 {
            return whole;
        }
        Fetch { frame_start, frame_end: frame_end.filter(|end| *end >= frame_start), ..whole }
    })
}

/// PROBE, from moq-lite-03 on.
pub fn probe(version: Version) -> impl Strategy<Value = Probe> {
    (varint(), varint())
        .prop_map(move |(bitrate, rtt)| Probe { bitrate, rtt: if version < Version::Lite04 { VarInt::ZERO } else { rtt } })
}

/// GOAWAY, from moq-lite-04 on.
pub fn goaway() -> impl Strategy<Value = Goaway> {
    text().prop_map(|uri| Goaway { uri })
}

/// SESSION_INFO, on moq-lite-01 and 02.
pub fn session_info() -> impl Strategy<Value = SessionInfo> {
    varint().prop_map(|bitrate| SessionInfo { bitrate })
}
