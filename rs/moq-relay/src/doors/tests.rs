//! No leak: sessions with random rights publish, withdraw, ask and listen, and none is served or told what the rules, said
//! once more in `model`, do not give it.
//!
//! Real from the token to the feed: authorization, grants, doors, the origin. A failing run is made small, and its seed kept
//! beside this file, to be tried first from then on.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use moq_lite::model::{
    broadcast,
    cache::Budget,
    origin::{Announced, Change, Publication},
    route::Route,
};
use moq_native::Transport;
use moq_proto::{Cost, HopChain, HopId};
use moq_token::{
    Algorithm, Claims, Key, KeySet, Policy, Revoked, Verifier,
    testing::reference::{Names, Rights},
};
use proptest::{collection::vec, option, prelude::*, sample::Index, sample::select};

use super::{
    model::{Member, Model},
    *,
};
use crate::{
    auth::{Auth, Public},
    connection::{self, Caller},
};

/// Two signers; the same in all cases, since what holds for one pair holds for all.
static KEYS: LazyLock<[Key; 2]> =
    LazyLock::new(|| ["one", "two"].map(|id| Key::generate(Algorithm::HS256, Some(id.parse().unwrap()), None).unwrap()));

/// Few paths, so that they and their prefixes meet. Some begin alike, some are hidden, some are told to relays only.
const PATHS: [&str; 14] = [
    "",
    "a",
    "a/b",
    "ab",
    "a/b/c",
    "a/.x",
    ".x",
    ".stats",
    ".stats/a",
    ".internal/a",
    "internal",
    "internal/origins",
    "internal/origins/a",
    "internal/a",
];

/// Where to be, and what rights count from: mostly high up.
const ROOTS: [&str; 8] = ["", "", "", "", "a", "a", "a/b", "internal"];

#[derive(Clone, Debug)]
struct Setting {
    conflict: Conflict,
    /// What is public: to publish, and to subscribe to.
    public: [Vec<Names>; 2],
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
struct Token {
    root: Names,
    publish: Vec<Names>,
    subscribe: Vec<Names>,
    cluster: bool,
    key: usize,
    subject: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Asks to come in at a path, without a token or with one.
    Join(Names, Option<Index>),
    Leave(Index),
    Publish(Index, Names),
    Withdraw(Index),
    Consume(Index, Names),
    Listen(Index, Names, bool),
    /// Reads a feed up to now. A feed that is seldom read has much to catch up with.
    Look(Index),
}

fn any_path() -> impl Strategy<Value = Names> {
    select(&PATHS[..]).prop_map(|text| names(&text.parse().unwrap()))
}

fn any_root() -> impl Strategy<Value = Names> {
    select(&ROOTS[..]).prop_map(|text| names(&text.parse().unwrap()))
}

fn any_paths() -> impl Strategy<Value = Vec<Names>> {
    vec(prop_oneof![any_root(), any_path()], 0..4)
}

prop_compose! {
    fn any_token()(
        root in any_root(),
        publish in any_paths(),
        subscribe in any_paths(),
        cluster in prop::bool::weighted(0.3),
        key in 0..2_usize,
        subject in option::of(select(&["alice", "bob"][..])),
    ) -> Token {
        Token { root, publish, subscribe, cluster, key, subject }
    }
}

fn any_setting() -> impl Strategy<Value = Setting> {
    let conflict = select(&[Conflict::SamePrincipal, Conflict::Replace, Conflict::Reject][..]);
    let public = [any_paths(), any_paths()];
    let token =
        any_token().prop_filter("nobody signs for nothing", |token| !token.publish.is_empty() || !token.subscribe.is_empty());
    (conflict, public, vec(token, 2..6)).prop_map(|(conflict, public, tokens)| Setting { conflict, public, tokens })
}

fn any_join() -> impl Strategy<Value = Step> {
    (any_root(), option::weighted(0.8, any::<Index>())).prop_map(|(at, token)| Step::Join(at, token))
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = || (any::<Index>(), any_path());
    prop_oneof![
        1 => any_join(),
        1 => any::<Index>().prop_map(Step::Leave),
        8 => at().prop_map(|(session, path)| Step::Publish(session, path)),
        2 => any::<Index>().prop_map(Step::Withdraw),
        4 => at().prop_map(|(session, path)| Step::Consume(session, path)),
        4 => (at(), any::<bool>()).prop_map(|((session, prefix), hidden)| Step::Listen(session, prefix, hidden)),
        4 => any::<Index>().prop_map(Step::Look),
    ]
}

/// Several come in, then all kinds of things happen.
fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    (vec(any_join(), 4..8), vec(any_step(), 20..60)).prop_map(|(joins, steps)| [joins, steps].concat())
}

fn path(names: &[String]) -> Path {
    names.join("/").parse().unwrap()
}

fn names(path: &Path) -> Names {
    path.segments().map(str::to_owned).collect()
}

impl Token {
    fn claims(&self) -> Claims {
        let paths = |all: &[Names]| all.iter().map(|names| path(names)).collect();
        let (publish, subscribe) = (paths(&self.publish), paths(&self.subscribe));
        let subject = self.subject.map(str::to_owned);
        Claims { root: path(&self.root), publish, subscribe, cluster: self.cluster, subject, ..Claims::default() }
    }

    fn principal(&self) -> Option<String> {
        (!self.cluster).then(|| format!("{} {:?}", self.key, self.subject))
    }
}

/// The relay and its model, side by side.
struct World {
    setting: Setting,
    model: Model,
    auth: Auth,
    origin: Origin,
    budget: Budget,
    sessions: BTreeMap<usize, Session>,
    on_air: BTreeMap<usize, OnAir>,
    feeds: BTreeMap<usize, Feed>,
    /// How many things have got a number so far.
    count: usize,
}

struct Session {
    inbound: Option<Producer>,
    outbound: Option<Consumer>,
    _admission: Admission,
}

struct OnAir {
    session: usize,
    broadcast: broadcast::Producer,
    _publication: Publication,
}

struct Feed {
    session: usize,
    prefix: Names,
    hidden: bool,
    announced: Announced,
    held: BTreeMap<Names, usize>,
}

impl World {
    fn new(setting: Setting) -> Self {
        let [publish, subscribe] = setting.public.each_ref().map(|all| all.iter().map(|names| path(names)).collect());
        let keys = KeySet::try_from_iter(KEYS.iter().cloned()).unwrap();
        let auth = Auth::new(Public::new(publish, subscribe), Verifier::new(keys, Policy::default(), Revoked::default()));
        let origin = Origin::new(HopId::try_from(u64::from(u32::MAX)).unwrap());
        let (model, budget) = (Model::new(setting.conflict), Budget::new(0));
        let (sessions, on_air, feeds) = Default::default();
        Self { setting, model, auth, origin, budget, sessions, on_air, feeds, count: 0 }
    }

    fn number(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Join(at, token) => self.join(at, token),
            Step::Leave(session) => {
                let Some(session) = pick(&self.sessions, session) else { return Ok(()) };
                self.model.leave(session);
                self.on_air.retain(|_, on_air| on_air.session != session);
                self.feeds.retain(|_, feed| feed.session != session);
                self.sessions.remove(&session);
                Ok(())
            }
            Step::Publish(session, path) => match pick(&self.sessions, session) {
                Some(session) => self.publish(session, &path),
                None => Ok(()),
            },
            Step::Withdraw(number) => {
                let Some(number) = pick(&self.on_air, number) else { return Ok(()) };
                self.model.withdraw(number);
                self.on_air.remove(&number);
                Ok(())
            }
            Step::Consume(session, path) => match pick(&self.sessions, session) {
                Some(session) => self.consume(session, &path),
                None => Ok(()),
            },
            Step::Listen(session, prefix, hidden) => {
                let Some(session) = pick(&self.sessions, session) else { return Ok(()) };
                let Some(outbound) = &self.sessions[&session].outbound else { return Ok(()) };
                let announced = outbound.announced(&path(&prefix), hidden);
                let number = self.number();
                self.feeds.insert(number, Feed { session, prefix, hidden, announced, held: BTreeMap::new() });
                Ok(())
            }
            Step::Look(feed) => match pick(&self.feeds, feed) {
                Some(feed) => self.look(feed),
                None => Ok(()),
            },
        }
    }

    fn join(&mut self, at: Names, token: Option<Index>) -> Result<(), TestCaseError> {
        let token = token.map(|token| token.get(&self.setting.tokens).clone());
        let [publish, subscribe] = self.setting.public.clone();
        let (rights, principal) = match &token {
            Some(token) => (Rights::of(&token.claims()), token.principal()),
            None => (Rights { publish, subscribe }, Some("public".to_owned())),
        };
        let rights = rights.at(&at);
        let shown = token.map(|token| KEYS[token.key].sign(&token.claims()).unwrap());
        let target = format!("/{}{}", at.join("/"), shown.map(|token| format!("?jwt={token}")).unwrap_or_default());
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let caller = Caller { peer, transport: Transport::Quic, certificate: None };

        let admission = now(connection::authorize(&self.auth, &target, &caller));

        prop_assert_eq!(admission.is_ok(), !rights.is_empty(), "{} {:?}", target, rights);
        let Ok(admission) = admission else { return Ok(()) };
        let horizon = Horizon::new();
        let inbound = inbound(&self.origin, self.setting.conflict, &admission, horizon.clone());
        let outbound = outbound(&self.origin, &admission, horizon);
        prop_assert_eq!((inbound.is_some(), outbound.is_some()), (!rights.publish.is_empty(), !rights.subscribe.is_empty()));
        let number = self.number();
        self.model.join(number, Member { at, rights, principal });
        self.sessions.insert(number, Session { inbound, outbound, _admission: admission });
        Ok(())
    }

    fn publish(&mut self, session: usize, at: &[String]) -> Result<(), TestCaseError> {
        let number = self.number();
        let broadcast = broadcast::Producer::for_prefix(self.budget.account());
        // Routes that differ in nothing but their publisher: the newest is the best.
        let hop = HopId::try_from(number as u64).unwrap();
        let route = Route { hops: HopChain::try_from_iter([hop]).unwrap(), cost: Cost::LIVE, local: false };
        let inbound = self.sessions[&session].inbound.as_ref();
        let published = inbound.and_then(|inbound| inbound.publish(&path(at), route, broadcast.consume()).ok());
        prop_assert_eq!(published.is_some(), self.model.publish(session, at, number), "publish {:?}", at);
        if let Some(publication) = published {
            self.on_air.insert(number, OnAir { session, broadcast, _publication: publication });
        }
        Ok(())
    }

    fn consume(&self, session: usize, at: &[String]) -> Result<(), TestCaseError> {
        let served = self.sessions[&session].outbound.as_ref().and_then(|outbound| outbound.consume(&path(at)));
        let expected = self.model.consume(session, at).map(|number| self.on_air[&number].broadcast.id());
        prop_assert_eq!(served.map(|served| served.id()), expected, "session {} asks for {:?}", session, at);
        Ok(())
    }

    fn look(&mut self, feed: usize) -> Result<(), TestCaseError> {
        let Some(Feed { session, prefix, hidden, announced, held }) = self.feeds.get_mut(&feed) else { return Ok(()) };
        while let Poll::Ready(change) = announced.poll_next(&mut Context::from_waker(Waker::noop())) {
            let Some(change) = change else { return Err(TestCaseError::fail("a feed is over")) };
            match change {
                Change::Start { path, route } => prop_assert_eq!(held.insert(names(&path), from(&route)), None, "{}", path),
                Change::Update { path, route } => prop_assert!(held.insert(names(&path), from(&route)).is_some(), "{}", path),
                Change::End { path } => prop_assert!(held.remove(&names(&path)).is_some(), "{}", path),
            }
        }
        prop_assert_eq!(&*held, &self.model.told(*session, prefix, *hidden), "session {} below {:?}", session, prefix);
        Ok(())
    }

    /// Everybody asks for everything, and looks at every feed.
    fn look_around(&mut self) -> Result<(), TestCaseError> {
        for feed in self.feeds.keys().copied().collect::<Vec<_>>() {
            self.look(feed)?;
        }
        for session in self.sessions.keys() {
            for at in PATHS {
                self.consume(*session, &names(&at.parse().unwrap()))?;
            }
        }
        Ok(())
    }
}

/// The number that a publisher has as its hop.
fn from(route: &Route) -> usize {
    route.hops.first().map_or(0, |hop| hop.get() as usize)
}

fn pick<T>(of: &BTreeMap<usize, T>, index: Index) -> Option<usize> {
    (!of.is_empty()).then(|| *index.get(&of.keys().copied().collect::<Vec<_>>()))
}

/// The result of what waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("MOQ_CASES").map_or(2_000, |cases| cases.parse().unwrap())))]

    #[test]
    fn nobody_is_served_or_told_what_is_not_theirs(setting in any_setting(), steps in any_steps()) {
        let mut world = World::new(setting);
        for step in steps {
            world.take(step)?;
        }
        world.look_around()?;
    }
}
