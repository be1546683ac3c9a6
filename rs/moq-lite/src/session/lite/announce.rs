//! The Announce conversation: which broadcasts there are, told and heard.
//!
//! Spec: moq-lite-06, "ANNOUNCE"; moq-lite-05 and older in their dialects.

use std::{collections::HashMap, future::poll_fn, rc::Rc, task::Poll};

use bytes::{Bytes, BytesMut};
use moq_proto::{
    Cost, HopChain, HopId, Path, VarInt, Writer,
    lite::{
        self, Hops,
        message::{Announce, AnnounceInit, AnnounceOk, AnnounceRequest},
    },
};
use tracing::{debug, info};

use super::{
    super::{
        Error,
        clock::now,
        error::Failure,
        held::{self, Heir, Source},
        random_hop,
        shared::{Shared, is_gone},
        stream::{Receiver, Sender},
    },
    subscribe::{self, TEND_INTERVAL},
};
use crate::{
    model::{
        broadcast,
        origin::{Announced, Change, Publication, PublishError},
        route::Route,
    },
    stats::count,
    transport::Connection,
};

/// Bytes of announcements gathered before they are written.
const BATCH_BYTES: usize = 16 * 1024;

/// Bytes of suffixes put into one ANNOUNCE_INIT: with the longest path on top it stays below what a message may be.
const INIT_BYTES: usize = 32 * 1024;

// ---- telling ----

/// Tells the peer what there is under the prefix it named, until it wants no more.
pub(in super::super) async fn answer<C: Connection>(
    shared: &Rc<Shared<C>>,
    request: AnnounceRequest,
    sender: &mut Sender<C::SendStream>,
    receiver: &mut Receiver<C::RecvStream>,
) -> Result<(), Failure> {
    let mut teller = Teller::new(shared);
    let mut feed = None;
    if let Some(outbound) = &shared.outbound {
        // What came from the peer itself is not told to it, so who it is must be known first.
        let declared = match request.exclude {
            exclude if !exclude.is_unknown() => exclude,
            _ => shared.peer_setup().await.map_or(HopId::UNKNOWN, |setup| setup.hop),
        };
        teller.is_nameless = declared.is_unknown();
        shared.identify(declared);
        feed = Some(outbound.announced(&request.prefix, request.hidden));
    }
    let initial = feed.as_mut().map_or_else(Vec::new, Announced::initial);
    sender.send(teller.begin(initial)).await?;
    let Some(mut feed) = feed else {
        // Nothing here is for this peer: an empty set that never changes.
        return tokio::select! {
            ended = receiver.end() => ended,
            stopped = sender.stopped() => Err(stopped.into()),
        };
    };
    loop {
        let batch = tokio::select! {
            ended = receiver.end() => return ended,
            stopped = sender.stopped() => return Err(stopped.into()),
            batch = next_batch(&mut feed, &mut teller) => batch,
        };
        match batch {
            Some(batch) => sender.send(batch).await?,
            None => return Ok(()),
        }
    }
}

/// All changes there are now, as one write. `None`: the feed is over.
async fn next_batch(feed: &mut Announced, teller: &mut Teller) -> Option<Bytes> {
    let mut batch = BytesMut::new();
    poll_fn(|cx| {
        while batch.len() < BATCH_BYTES {
            match feed.poll_next(cx) {
                Poll::Ready(Some(change)) => teller.tell(change, &mut batch),
                Poll::Ready(None) if batch.is_empty() => return Poll::Ready(None),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(()))
    })
    .await?;
    Some(batch.freeze())
}

/// What one peer was told on one stream, in its version's terms.
struct Teller {
    dialect: &'static lite::Dialect,
    hop: HopId,
    /// The peer has not said who it is.
    is_nameless: bool,
    held: HashMap<Path, Held>,
    next_id: u64,
}

struct Held {
    id: VarInt,
    hops: HopChain,
    cost: Cost,
}

impl Teller {
    fn new<C: Connection>(shared: &Shared<C>) -> Self {
        Self { dialect: shared.dialect, hop: shared.hop, is_nameless: false, held: HashMap::new(), next_id: 0 }
    }

    /// The first answer, and the set that exists now.
    fn begin(&mut self, initial: Vec<Change>) -> Bytes {
        let mut wire = BytesMut::new();
        let mut rest = initial.into_iter();
        if let Some(layout) = &self.dialect.announce_init {
            let mut init = AnnounceInit::default();
            let mut size = 0;
            // What one message does not hold is announced one by one after it.
            while size < INIT_BYTES
                && let Some(change) = rest.next()
            {
                let Change::Start { path, route } = change else { continue };
                size += path.as_str().len() + 2;
                self.hold(&path, route.hops, route.cost);
                init.suffixes.push(path);
            }
            wire.extend_from_slice(&layout.to_wire(&init));
        }
        if let Some(layout) = &self.dialect.announce_ok {
            let active = VarInt::saturating(rest.len() as u64);
            wire.extend_from_slice(&layout.to_wire(&AnnounceOk { hop: self.hop, active }));
        }
        rest.for_each(|change| self.tell(change, &mut wire));
        wire.freeze()
    }

    fn hold(&mut self, path: &Path, hops: HopChain, cost: Cost) -> VarInt {
        let id = VarInt::saturating(self.next_id);
        self.next_id += 1;
        self.held.insert(path.clone(), Held { id, hops, cost });
        id
    }

    fn tell(&mut self, change: Change, wire: &mut BytesMut) {
        match change {
            Change::Start { path, route } => self.start(path, route, wire),
            Change::Update { path, route } => self.update(path, route, wire),
            Change::End { path } => self.end(path, wire),
        }
    }

    fn start(&mut self, path: Path, route: Route, wire: &mut BytesMut) {
        // A chain that has no room for us cannot be passed on.
        let Some(hops) = self.spelled(&route.hops) else { return };
        let id = self.hold(&path, route.hops, route.cost);
        let message = match self.dialect.announce_ids {
            true => Announce::Start { suffix: path, hops, cost: route.cost },
            false => Announce::Active { suffix: path, hops },
        };
        debug_assert!(id.get() < self.next_id);
        wire.extend_from_slice(&self.dialect.announce.to_wire(&message));
    }

    fn update(&mut self, path: Path, route: Route, wire: &mut BytesMut) {
        let Some(held) = self.held.get_mut(&path) else { return self.start(path, route, wire) };
        if held.hops == route.hops && held.cost == route.cost {
            return;
        }
        let replaced = held.hops.first() != route.hops.first();
        let id = held.id;
        (held.hops, held.cost) = (route.hops.clone(), route.cost);
        match (self.dialect.announce_ids, self.dialect.hops) {
            (true, _) => match self.spelled(&route.hops) {
                Some(hops) => {
                    wire.extend_from_slice(&self.dialect.announce.to_wire(&Announce::Update { id, hops, cost: route.cost }))
                }
                None => self.end(path, wire),
            },
            (false, Hops::SenderImplied) => match self.spelled(&route.hops) {
                Some(hops) => wire.extend_from_slice(&self.dialect.announce.to_wire(&Announce::Active { suffix: path, hops })),
                None => self.end(path, wire),
            },
            // moq-lite-04 and older cannot say that a route changed; that the content did, they must.
            (false, _) if replaced => {
                self.end(path.clone(), wire);
                self.start(path, route, wire);
            }
            (false, _) => {}
        }
    }

    fn end(&mut self, path: Path, wire: &mut BytesMut) {
        let Some(held) = self.held.remove(&path) else { return };
        let message = match self.dialect.announce_ids {
            true => Announce::End { id: held.id },
            false => Announce::Ended { suffix: path },
        };
        wire.extend_from_slice(&self.dialect.announce.to_wire(&message));
    }

    /// The chain as this version has it on the wire.
    fn spelled(&self, hops: &HopChain) -> Option<HopChain> {
        match self.dialect.hops {
            Hops::None => Some(HopChain::new()),
            Hops::SenderImplied => Some(hops.clone()),
            Hops::SenderIncluded | Hops::Count => {
                let mut hops = hops.clone();
                hops.push(self.hop).ok()?;
                if self.is_nameless {
                    // `@moq/lite` 0.2 never says who it is, and hears of nothing any more after an id that JavaScript cannot hold,
                    // which `@moq/net` 0.1.1 has. Whoever has no name finds no loops, so it loses nothing.
                    let readable = |hop: HopId| if hop.get() > VarInt::JS_MAX.get() { HopId::UNKNOWN } else { hop };
                    hops = HopChain::try_from_iter(hops.iter().map(readable)).ok()?;
                }
                Some(hops)
            }
        }
    }
}

// ---- hearing ----

/// Asks the peer what it has, under every prefix it may publish to.
pub(in super::super) fn ask<C: Connection>(shared: &Rc<Shared<C>>) {
    let Some(inbound) = &shared.inbound else { return };
    for prefix in inbound.allowed() {
        let shared = shared.clone();
        let prefix = prefix.clone();
        shared.spawner.clone().spawn(async move { listen(shared, prefix).await });
    }
}

async fn listen<C: Connection>(shared: Rc<Shared<C>>, prefix: Path) -> Result<(), Error> {
    let mut listener = Listener::new(shared, prefix);
    match listener.run().await {
        Ok(()) => debug!("the peer announces no more here"),
        Err(Failure::Fatal(error)) => return Err(error),
        // Whoever cannot follow the announcements would route by a wrong map.
        Err(failure @ (Failure::Decode(_) | Failure::MessageTooLarge { .. } | Failure::Truncated)) => {
            return Err(Error::Violation(format!("announcement: {failure}")));
        }
        Err(failure) if is_gone(&failure) => {}
        Err(failure) => debug!(%failure, "announcements ended"),
    }
    Ok(())
}

/// What one peer announced on one stream.
struct Listener<C: Connection> {
    shared: Rc<Shared<C>>,
    prefix: Path,
    /// The sender's own id, the last element of every chain on this stream where the version implies it.
    sender_hop: HopId,
    /// Stands for a publisher that names itself nowhere, for as long as this stream lives.
    stamp: HopId,
    live: HashMap<Path, Live>,
    ids: HashMap<u64, Path>,
    next_id: u64,
    /// The peer asked us to leave: its routes are the last resort.
    leaving: bool,
}

/// One announced broadcast.
struct Live {
    /// `None`: heard of, but not usable as it is (a loop, a limit, no permission).
    published: Option<Published>,
}

/// As the origin has it.
struct Published {
    route: Route,
    publication: Publication,
    announced: held::Announced,
}

impl Live {
    const UNUSABLE: Self = Self { published: None };
}

impl<C: Connection> Listener<C> {
    fn new(shared: Rc<Shared<C>>, prefix: Path) -> Self {
        let stamp = random_hop();
        let live = HashMap::new();
        Self { shared, prefix, sender_hop: HopId::UNKNOWN, stamp, live, ids: HashMap::new(), next_id: 0, leaving: false }
    }

    async fn run(&mut self) -> Result<(), Failure> {
        let shared = self.shared.clone();
        let dialect = shared.dialect;
        let (mut sender, mut receiver) = shared.open_bi().await?;
        let request = AnnounceRequest { prefix: self.prefix.clone(), exclude: shared.hop, hidden: true };
        let mut wire = Writer::new();
        wire.varint(lite::stream::ANNOUNCE).bytes(&dialect.announce_request.to_wire(&request));
        sender.send(wire.into_bytes()).await?;

        if let Some(layout) = &dialect.announce_init {
            let Some(init) = receiver.message(layout).await? else { return Ok(()) };
            for suffix in init.suffixes {
                self.active(suffix, HopChain::new())?;
            }
        }
        if let Some(layout) = &dialect.announce_ok {
            let Some(ok) = receiver.message(layout).await? else { return Ok(()) };
            self.sender_hop = ok.hop;
        }
        if dialect.announce_ids {
            // What a route costs depends on the link, of which SETUP tells, on a stream of its own.
            shared.peer_setup().await;
        }
        let mut leaving = shared.asked.subscribe();
        loop {
            tokio::select! {
                biased;
                message = receiver.message(&dialect.announce) => match message? {
                    Some(message) => self.hear(message)?,
                    None => return Ok(()),
                },
                Ok(_) = leaving.wait_for(Option::is_some), if !self.leaving => self.leave(),
            }
        }
    }

    fn hear(&mut self, message: Announce) -> Result<(), Failure> {
        match message {
            Announce::Active { suffix, hops } | Announce::Restart { suffix, hops } => self.active(suffix, hops)?,
            Announce::Ended { suffix } => {
                self.live.remove(&suffix);
            }
            Announce::Start { suffix, hops, cost } => {
                if self.live.contains_key(&suffix) {
                    return Err(Failure::violation(format!("{suffix} announced twice")));
                }
                self.ids.insert(self.next_id, suffix.clone());
                self.next_id += 1;
                self.set(suffix, hops, Some(cost))?;
            }
            Announce::Update { id, hops, cost } => {
                let Some(suffix) = self.ids.get(&id.get()).cloned() else {
                    return Err(Failure::violation(format!("update of announcement {id}, which is not live")));
                };
                self.set(suffix, hops, Some(cost))?;
            }
            Announce::End { id } => {
                let Some(suffix) = self.ids.remove(&id.get()) else {
                    return Err(Failure::violation(format!("end of announcement {id}, which is not live")));
                };
                self.live.remove(&suffix);
            }
            other => debug!(?other, "unknown announcement skipped"),
        }
        Ok(())
    }

    fn active(&mut self, suffix: Path, hops: HopChain) -> Result<(), Failure> {
        // Only moq-lite-05 says "active" again to replace the chain.
        if self.live.contains_key(&suffix) && self.shared.dialect.hops != Hops::SenderImplied {
            return Err(Failure::violation(format!("{suffix} announced twice")));
        }
        self.set(suffix, hops, None)
    }

    /// The peer's routes stay usable where nothing else leads.
    fn leave(&mut self) {
        self.leaving = true;
        for live in self.live.values_mut() {
            if let Some(Published { route, publication, .. }) = &mut live.published {
                route.cost = Cost::MAX;
                let _ = publication.update(route.clone());
            }
        }
    }

    /// The route as the origin keeps it. `None`: it must not be used as it is.
    fn route(&self, wire: &HopChain, cost: Option<Cost>) -> Option<Route> {
        let mut hops = wire.clone();
        if self.shared.dialect.hops == Hops::SenderImplied {
            // Refused where the chain has the sender already.
            hops.push(self.sender_hop).ok()?;
        }
        let cost = match cost {
            _ if self.leaving => Cost::MAX,
            Some(cost) => cost.add(self.shared.link_cost()),
            None => Cost::UNPRICED,
        };
        Some(Route { hops: Route::stamped(hops, self.stamp)?, cost, local: false })
    }

    fn set(&mut self, suffix: Path, wire: HopChain, cost: Option<Cost>) -> Result<(), Failure> {
        if self.live.len() >= self.shared.limits.names && !self.live.contains_key(&suffix) {
            count(&self.shared.stats.counters().refused, 1);
            return Err(Failure::violation(format!("more than {} broadcasts announced", self.shared.limits.names)));
        }
        let live = match self.route(&wire, cost) {
            Some(route) => self.renew(&suffix, route),
            None => {
                debug!(%suffix, "announcement of a loop kept out");
                Live::UNUSABLE
            }
        };
        self.live.insert(suffix, live);
        Ok(())
    }

    fn renew(&mut self, suffix: &Path, route: Route) -> Live {
        let before = self.live.remove(suffix).and_then(|live| live.published);
        let renewed = match before {
            Some(Published { route: old, mut publication, announced }) if old.hops.first() == route.hops.first() => {
                publication.update(route.clone()).map(|()| Published { route, publication, announced })
            }
            // New here, or replaced by another publisher, whose content has nothing to do with what was.
            _ => self.publish(suffix, route),
        };
        match renewed {
            Ok(published) => Live { published: Some(published) },
            Err(error) => {
                info!(%suffix, %error, "announcement refused");
                count(&self.shared.stats.counters().refused, 1);
                Live::UNUSABLE
            }
        }
    }

    fn publish(&self, suffix: &Path, route: Route) -> Result<Published, PublishError> {
        let Some(inbound) = &self.shared.inbound else { return Err(PublishError::NotAllowed) };
        let path = self.prefix.join(suffix).map_err(|_| PublishError::NotAllowed)?;
        // Whoever announces a path claims what lies below it.
        let broadcast = broadcast::Producer::for_prefix(self.shared.budget.account());
        // A name made up for this connection leads nowhere else.
        let publisher = route.publisher().filter(|publisher| *publisher != self.stamp);
        let source = Source::new(path.clone(), publisher);
        // Tracks that wait for this publisher come with the announcement.
        let heir = Heir::new(&self.shared, &source, &broadcast);
        let publication = inbound.publish(&path, route.clone(), broadcast.consume())?;
        let announced = held::Announced(source.clone());
        self.shared.spawner.spawn(serve(self.shared.clone(), source, broadcast, heir));
        Ok(Published { route, publication, announced })
    }
}

/// Makes the tracks that readers of a peer's broadcast ask for, and takes over those of other sources, as long as there are
/// readers.
async fn serve<C: Connection>(
    shared: Rc<Shared<C>>,
    source: Rc<Source>,
    broadcast: broadcast::Producer,
    heir: Heir<C>,
) -> Result<(), Error> {
    // A broadcast that nobody ever asked for has nothing that gets old.
    let mut asked = false;
    let mut tend = tokio::time::interval(TEND_INTERVAL);
    loop {
        tokio::select! {
            biased;
            held = heir.next() => {
                asked = true;
                let task = shared.clone();
                shared.spawner.spawn(async move {
                    subscribe::take_over(task, held).await;
                    Ok(())
                });
            }
            request = broadcast.requested() => {
                let Some(request) = request else { return Ok(()) };
                asked = true;
                let (task, source) = (shared.clone(), source.clone());
                shared.spawner.spawn(async move {
                    subscribe::ask(task, source, request).await;
                    Ok(())
                });
            }
            _ = tend.tick(), if asked => broadcast.tend(now()),
        }
    }
}
