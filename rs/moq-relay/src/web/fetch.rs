//! `GET /fetch/<broadcast>/<track>`: one group of a track, as it grows.
//!
//! The answer is the payloads of the group's frames, one after the other. It takes the road of any subscriber: judged by the
//! path and the token, served from what is kept or fetched from the publisher. It ends when the rights do, and then, as
//! whenever a group breaks off, without the end that HTTP gives to a whole answer.

mod query;
mod refusal;

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use moq_lite::model::{
    demand::{Ask, Start},
    group,
    origin::{self, Horizon},
    track::{self, Subscription},
};
use moq_proto::Path;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

pub(crate) use self::refusal::Tally;
use self::{
    query::{Extent, Query, Wanted},
    refusal::Refusal,
};
use super::{Peer, Site};
use crate::{auth::Lease, doors};

/// How long the publisher may take to answer, whatever `wait` says: what it takes to ask over a few slow links.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a publisher is given to say that it lacks a group, before what it sends live is looked at: most answer at once,
/// while shipped browsers keep the request until the group comes.
const PROMPT_TIME: Duration = Duration::from_millis(250);

/// How long a publisher is given to come with its newest group, where an older one is kept that somebody has watched before.
const NEWS_TIME: Duration = Duration::from_secs(1);

/// How long a frame is waited for in a group that still grows, whatever `wait` says: what is on its way comes within it, and
/// whether there is more to come nobody knows.
const FRAME_TIME: Duration = Duration::from_secs(1);

/// First and longest time after which a publisher is asked again for a track that it has refused: nothing tells that it has
/// made it since.
const RETRY_TIME: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// The place of a fetch among all that a publisher sends. Shipped browsers watch with 0 too, and no stranger's request is to come
/// before them.
const PRIORITY: u8 = 0;

/// What is subscribed to: the newest group, and those after it.
const ASK: Ask = Ask { priority: PRIORITY, max_age: Some(Duration::ZERO), start: Start::Latest, end: None };

pub(super) async fn get(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match answer(&site, &uri, &headers, &peer).await {
        Ok(response) => response,
        Err(refusal) => {
            site.fetches.count(&refusal);
            debug!(peer = %peer.address, path = uri.path(), reason = refusal.code(), "nothing fetched");
            refusal.into_response()
        }
    }
}

async fn answer(site: &Site, uri: &Uri, headers: &HeaderMap, peer: &Peer) -> Result<Response, Refusal> {
    let (path, written) = (uri.path(), uri.query().unwrap_or_default());
    let (path, track) = query::target(path.strip_prefix("/fetch").unwrap_or(path))?;
    let query = Query::read(written)?;
    let admission = site.authorize(&format!("{path}?{written}"), headers, peer, None).await.map_err(Refusal::Unauthorized)?;
    let consumer = doors::outbound(&site.origin, &admission, Horizon::new());

    let consumer = consumer.ok_or(Refusal::NotFound)?;

    let mut lease = admission.lease;
    let patience = Instant::now() + query.wait;
    let found = wait_for(&consumer, &track, query.wanted, patience);
    let mut found = unless_over(&mut lease, found).await.ok_or(Refusal::RightsEnded)??;
    let body = match query.extent {
        Extent::Whole => Body::from_stream(stream::try_unfold((found, lease), |(mut found, mut lease)| async move {
            let chunk = unless_over(&mut lease, found.group.next_chunk()).await.ok_or(BrokenOff::RightsEnded)??;
            lease.carried(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64), 0);
            Ok::<_, BrokenOff>(chunk.map(|chunk| (chunk, (found, lease))))
        })),
        Extent::Frame(index) => {
            let frame = timeout_at(patience.max(Instant::now() + FRAME_TIME), nth(&mut found.group, index));
            let frame = unless_over(&mut lease, frame).await.ok_or(Refusal::RightsEnded)?;
            let frame = frame.map_err(|_| Refusal::NotFound)??;
            lease.carried(frame.len() as u64, 0);
            frame.into()
        }
    };
    let mut response = body.into_response();
    // What it is, only its readers know: nothing may take it for a page of this site.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A group grows, the latest changes, and rights end: whoever kept an answer would know of none of that.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A group on its way out.
struct Found {
    group: group::Consumer,
    /// Keeps the publisher sending.
    _asked: Option<Subscription>,
}

/// Finds the group that is wanted, waiting for it until then if it is not there.
async fn wait_for(consumer: &origin::Consumer, track: &str, wanted: Wanted, patience: Instant) -> Result<Found, Refusal> {
    let here = Path::root();
    let mut pause = RETRY_TIME.0;
    loop {
        // Taken first, so that whatever comes after the look is waited for.
        let served = consumer.consume(&here).map(|broadcast| broadcast.id());
        let found = timeout_at(patience + ANSWER_TIME, find(consumer, track, wanted, patience)).await;
        match found.unwrap_or(Err(Refusal::Late)) {
            Err(Refusal::NotFound) if Instant::now() < patience => {}
            found => return found,
        }
        let until = match served {
            None => patience,
            Some(_) => patience.min(Instant::now() + pause),
        };
        pause = (pause * 2).min(RETRY_TIME.1);
        let _ = timeout_at(until, consumer.served_anew(&here, served)).await;
    }
}

/// Looks for the group that is wanted. One that may still come by itself is waited for until then.
async fn find(consumer: &origin::Consumer, name: &str, wanted: Wanted, patience: Instant) -> Result<Found, Refusal> {
    let track = consumer.track(&Path::root(), name).await.map_err(|error| Refusal::from_code(error.code))?;
    let Wanted::Group(sequence) = wanted else { return latest(track).await };
    match numbered(consumer, &track, sequence).await {
        Err(Refusal::NotFound) if Instant::now() < patience => {
            let asked = timeout_at(patience, reaches(&track, sequence)).await.map_err(|_| Refusal::NotFound)?;
            Ok(Found { group: numbered(consumer, &track, sequence).await?, _asked: Some(asked) })
        }
        fetched => Ok(Found { group: fetched?, _asked: None }),
    }
}

/// The group with this number: what is kept, or what the publisher has of it. One that it has not come to is not found; where
/// nobody watches, so that nobody knows how far it has come, it is asked, and watched if it does not say.
async fn numbered(consumer: &origin::Consumer, track: &track::Consumer, sequence: u64) -> Result<group::Consumer, Refusal> {
    if track.present_sequence().is_some_and(|present| sequence > present) {
        return Err(Refusal::NotFound);
    }
    let here = Path::root();
    let passed_by = async {
        sleep(PROMPT_TIME).await;
        let _asked = track.subscribe(ASK);
        if track.present().await >= sequence {
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        fetched = consumer.fetch(&here, track.name(), sequence, PRIORITY) => {
            fetched.map(|(_, group)| group).map_err(|error| Refusal::from_code(error.code))
        }
        () = passed_by => Err(Refusal::NotFound),
    }
}

/// Waits until the publisher has come to this group, or to its end. What is asked for goes on being sent while it is kept.
async fn reaches(track: &track::Consumer, sequence: u64) -> Subscription {
    let mut asked = track.subscribe(ASK);
    while asked.next().await.is_some_and(|group| group.sequence() < sequence) {}
    asked
}

/// The newest group: the first that comes, or what is kept where nothing comes soon.
async fn latest(track: track::Consumer) -> Result<Found, Refusal> {
    let mut asked = track.subscribe(ASK);
    if track.ending().is_none() && track.latest_sequence().is_some() {
        let _ = timeout(NEWS_TIME, track.present()).await;
    }
    match asked.next().await {
        Some(group) => Ok(Found { group, _asked: Some(asked) }),
        None => Err(track.ended().and_then(Result::err).map_or(Refusal::NotFound, Refusal::from_code)),
    }
}

/// Frame `index` of a group that was not read yet.
async fn nth(group: &mut group::Consumer, index: usize) -> Result<Bytes, Refusal> {
    let mut next = async || group.next_frame().await.map_err(|_| Refusal::Failed)?.ok_or(Refusal::NotFound);
    for _ in 0..index {
        next().await?;
    }
    Ok(next().await?.payload)
}

/// What `happens`, unless the lease has ended by then. `None`: it has.
async fn unless_over<T>(lease: &mut Lease, happens: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        refused = lease.ended() => {
            debug!(code = refused.code(), "rights ended");
            None
        }
        happened = happens => Some(happened),
    }
}

/// Why an answer that had begun has no end.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error("the rights of the reader have ended")]
    RightsEnded,
    #[error(transparent)]
    Group(#[from] group::GroupError),
}
