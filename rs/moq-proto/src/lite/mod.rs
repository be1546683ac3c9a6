//! moq-lite: what its versions say, and how they spell it.
//!
//! [`message`] has the messages, with every version's fields. A [`Dialect`] is one version: a [`Layout`] for each message it
//! has. Each is written as its predecessor with what changed, so the table below is the history of the protocol; the layouts
//! born in a version live in its folder. Conversations, and who may say what when, are the session's.
//! Spec: moq-lite-01 to moq-lite-06.

mod layout;
pub mod legacy;
pub mod message;
pub mod stream;
mod v01;
mod v02;
mod v03;
mod v04;
mod v05;
mod v06;

pub use layout::{Layout, MESSAGE_BYTES_MAX};
use message::{
    Announce, AnnounceInit, AnnounceOk, AnnounceRequest, Datagram, Fetch, Goaway, GroupHeader, Probe, SessionInfo, Setup,
    Subscribe, SubscribeReply, SubscribeUpdate, TrackInfo, TrackRequest,
};

use crate::{Framing, Version};

/// What one version says, and how it spells it. `None`: this version has no such message.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    pub setup: Option<Layout<Setup>>,
    pub announce_request: Layout<AnnounceRequest>,
    pub announce_init: Option<Layout<AnnounceInit>>,
    pub announce_ok: Option<Layout<AnnounceOk>>,
    pub announce: Layout<Announce>,
    pub subscribe: Layout<Subscribe>,
    pub subscribe_update: Layout<SubscribeUpdate>,
    pub reply: Layout<SubscribeReply>,
    pub group: Layout<GroupHeader>,
    pub datagram: Option<Layout<Datagram>>,
    pub track: Option<Layout<TrackRequest>>,
    pub track_info: Option<Layout<TrackInfo>>,
    pub fetch: Option<Layout<Fetch>>,
    pub probe: Option<Layout<Probe>>,
    pub goaway: Option<Layout<Goaway>>,
    pub session_info: Option<Layout<SessionInfo>>,
    pub framing: Framing,
    /// What announcements tell about the way they came.
    pub hops: Hops,
    /// Whether routes are identified by the order of their start, rather than by their suffix.
    pub announce_ids: bool,
    /// Whether `group_start` is the lowest group wanted, rather than the first.
    pub floor_start: bool,
    /// Whether SETUP can carry the request's path.
    pub path_in_setup: bool,
    pub replies: Replies,
    /// Whether the group that SUBSCRIBE_END names may exist: the first text of the version counted it in.
    pub lenient_end: bool,
}

/// What announcements tell about the way they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// Nothing.
    None,
    /// Through how many.
    Count,
    /// Through whom, the sender as the last.
    SenderIncluded,
    /// Through whom, without the sender, who named itself in ANNOUNCE_OK.
    SenderImplied,
}

/// How a subscription is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// SUBSCRIBE_OK as soon as it is accepted.
    Ok,
    /// SUBSCRIBE_START with the first group, SUBSCRIBE_END with the last; acceptance is implied.
    StartEnd,
}

pub(crate) const fn dialect(version: Version) -> &'static Dialect {
    match version {
        Version::Lite01 => &V01,
        Version::Lite02 => &V02,
        Version::Lite03 => &V03,
        Version::Lite04 => &V04,
        Version::Lite05 => &V05,
        Version::Lite06 => &V06,
    }
}

/// Broadcasts by path, tracks by name, groups of frames without a clock.
const V01: Dialect = Dialect {
    setup: None,
    announce_request: v01::ANNOUNCE_REQUEST,
    announce_init: Some(v01::ANNOUNCE_INIT),
    announce_ok: None,
    announce: v01::ANNOUNCE,
    subscribe: v01::SUBSCRIBE,
    subscribe_update: v01::SUBSCRIBE_UPDATE,
    reply: v01::REPLY,
    group: v01::GROUP,
    datagram: None,
    track: None,
    track_info: None,
    fetch: None,
    probe: None,
    goaway: None,
    session_info: Some(v01::SESSION_INFO),
    framing: Framing::Sized,
    hops: Hops::None,
    announce_ids: false,
    floor_start: false,
    path_in_setup: false,
    replies: Replies::Ok,
    lenient_end: false,
};

/// SUBSCRIBE_OK says no more than that.
const V02: Dialect = Dialect { reply: v02::REPLY, ..V01 };

/// No SETUP exchange any more; subscriptions with bounds, typed replies, PROBE; announcements count their hops.
const V03: Dialect = Dialect {
    announce_init: None,
    announce: v03::ANNOUNCE,
    subscribe: v03::SUBSCRIBE,
    subscribe_update: v03::SUBSCRIBE_UPDATE,
    reply: v03::REPLY,
    probe: Some(v03::PROBE),
    session_info: None,
    hops: Hops::Count,
    ..V02
};

/// Announcements name their hops; PROBE tells the round trip; GOAWAY.
const V04: Dialect = Dialect {
    announce_request: v04::ANNOUNCE_REQUEST,
    announce: v04::ANNOUNCE,
    probe: Some(v04::PROBE),
    goaway: Some(v04::GOAWAY),
    hops: Hops::SenderIncluded,
    ..V03
};

/// SETUP on a stream of its own; tracks with properties, frames with timestamps, FETCH, datagrams.
const V05: Dialect = Dialect {
    setup: Some(v05::SETUP),
    announce_ok: Some(v05::ANNOUNCE_OK),
    announce: v05::ANNOUNCE,
    reply: v05::REPLY,
    datagram: Some(v05::DATAGRAM),
    track: Some(v05::TRACK),
    track_info: Some(v05::TRACK_INFO),
    fetch: Some(v05::FETCH),
    framing: Framing::Timed,
    hops: Hops::SenderImplied,
    path_in_setup: true,
    replies: Replies::StartEnd,
    lenient_end: true,
    ..V04
};

/// Routes with ids and costs; subscriptions, groups and fetches with bounds on frames; nothing is `ordered` any more.
const V06: Dialect = Dialect {
    announce_request: v01::ANNOUNCE_REQUEST,
    announce: v06::ANNOUNCE,
    subscribe: v06::SUBSCRIBE,
    subscribe_update: v06::SUBSCRIBE_UPDATE,
    group: v06::GROUP,
    track_info: Some(v06::TRACK_INFO),
    fetch: Some(v06::FETCH),
    announce_ids: true,
    floor_start: true,
    lenient_end: false,
    ..V05
};
