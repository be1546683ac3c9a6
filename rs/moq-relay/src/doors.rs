//! Doors: the part of the origin that an admission opens.
//!
//! What the peer may name is the grant's. Here is what the grant does not say: which names are the relays' own, and what
//! happens where two publishers want the same name; how, is `moq_lite::model::origin`'s.

use moq_lite::model::origin::{Consumer, Horizon, Origin, Producer};
use moq_proto::Path;

use crate::{auth::Admission, options::Conflict};

/// What only relays announce, with all that lies below: what a relay counts, and which relays there are, in both places where
/// they look for each other. Whoever else announced there would be believed and, as a relay, be dialled. Counted from the root
/// of the origin.
const RESERVED: [&str; 3] = [".stats", ".internal", "internal/origins"];

/// The way in for what the peer publishes. `None`: it may not publish.
pub(crate) fn inbound(origin: &Origin, conflict: Conflict, admission: &Admission, peer: Horizon) -> Option<Producer> {
    let publish = Some(&admission.grant.publish).filter(|publish| !publish.is_empty())?;
    let principal = admission.principal.clone().filter(|_| conflict != Conflict::Replace);
    let producer = origin.producer(admission.grant.root.clone(), publish.clone(), Horizon { principal, ..peer });
    let producer = if conflict == Conflict::Reject { producer.unless_held() } else { producer };
    Some(if is_relay(admission) { producer } else { producer.except(reserved()) })
}

/// The way out for what the peer subscribes to. `None`: it may not subscribe.
///
/// Names that are reserved are told to relays only, and so are hidden ones, since relays pass on what they are told to others
/// who may know how to ask. Who knows one and may subscribe there is served: statistics are made to
/// be read, and where relays look for each other there is nothing to be read.
pub(crate) fn outbound(origin: &Origin, admission: &Admission, peer: Horizon) -> Option<Consumer> {
    let subscribe = Some(&admission.grant.subscribe).filter(|subscribe| !subscribe.is_empty())?;
    let consumer = origin.consumer(admission.grant.root.clone(), subscribe.clone(), peer);
    Some(if is_relay(admission) { consumer.with_hidden() } else { consumer.except(reserved()) })
}

/// Whether it was given to a relay of the cluster.
fn is_relay(admission: &Admission) -> bool {
    admission.principal.is_none()
}

fn reserved() -> Vec<Path> {
    RESERVED.iter().map(|name| name.parse().expect("each is a path")).collect()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
