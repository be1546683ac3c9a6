//! Who may see and publish what, as plainly as it can be said: lists of names, and a list of all that is published.

use std::collections::{BTreeMap, BTreeSet};

use moq_token::testing::reference::{Names, Rights, covers};

use crate::options::Conflict;

/// A relay as its rules have it.
pub(super) struct Model {
    conflict: Conflict,
    sessions: BTreeMap<usize, Member>,
    /// Oldest first.
    published: Vec<Published>,
}

/// A session inside.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Where it is; what it may do counts from there.
    pub(super) at: Names,
    pub(super) rights: Rights,
    /// On whose behalf it publishes; relays of the cluster are nobody's.
    pub(super) principal: Option<String>,
}

struct Published {
    number: usize,
    session: usize,
    path: Names,
    principal: Option<String>,
    /// The number with which the principal came to this path.
    since: usize,
}

/// What only relays announce and are told of.
const RESERVED: [&[&str]; 3] = [&[".stats"], &[".internal"], &["internal", "origins"]];

fn is_reserved(path: &[String]) -> bool {
    RESERVED.iter().any(|reserved| path.len() >= reserved.len() && path.iter().zip(*reserved).all(|(name, other)| name == other))
}

/// Whether a publication at `path` would stand above something reserved.
fn is_above_reserved(path: &[String]) -> bool {
    RESERVED.iter().any(|reserved| path.len() <= reserved.len() && path.iter().zip(*reserved).all(|(name, other)| name == other))
}

impl Model {
    pub(super) fn new(conflict: Conflict) -> Self {
        Self { conflict, sessions: BTreeMap::new(), published: Vec::new() }
    }

    pub(super) fn join(&mut self, session: usize, member: Member) {
        self.sessions.insert(session, member);
    }

    pub(super) fn leave(&mut self, session: usize) {
        self.sessions.remove(&session);
        self.published.retain(|published| published.session != session);
    }

    /// Whether the session may publish this. If so, it is published as `number`.
    pub(super) fn publish(&mut self, session: usize, path: &[String], number: usize) -> bool {
        let member = self.sessions[&session].clone();
        let whole = [member.at, path.to_vec()].concat();
        let is_relay = member.principal.is_none();
        let is_allowed = covers(&member.rights.publish, path) && (is_relay || !is_reserved(&whole) && !is_above_reserved(&whole));
        let principal = member.principal.filter(|_| self.conflict != Conflict::Replace);
        let holder = self.holder(&whole);
        let is_held = principal.is_some() && holder.is_some() && principal != holder;
        if !is_allowed || is_held && self.conflict == Conflict::Reject {
            return false;
        }
        let own =
            self.published.iter().filter(|other| principal.is_some() && other.principal == principal && other.path == whole);
        let since = own.map(|other| other.since).min().unwrap_or(number);
        self.published.push(Published { number, session, path: whole, principal, since });
        true
    }

    pub(super) fn withdraw(&mut self, number: usize) {
        self.published.retain(|published| published.number != number);
    }

    /// The principal that has been at `path` longest.
    fn holder(&self, path: &[String]) -> Option<String> {
        let owned = self.published.iter().filter(|published| published.path == path && published.principal.is_some());
        owned.min_by_key(|published| published.since)?.principal.clone()
    }

    /// What is published at `path`, a whole one, for the session: the newest that is not its own, of the holder's or of relays.
    fn served(&self, session: usize, path: &[String]) -> Option<usize> {
        self.heard(session, path, self.holder(path).as_ref())
    }

    /// The same where only `principal` and relays are heard.
    fn heard(&self, session: usize, path: &[String], principal: Option<&String>) -> Option<usize> {
        let holder = self.holder(path);
        let here = self.published.iter().filter(|published| published.path == path && published.session != session);
        let counts = here.filter(|published| {
            let whose = published.principal.as_ref();
            whose.is_none() || (whose == holder.as_ref() && whose == principal)
        });
        counts.map(|published| published.number).max()
    }

    /// What serves `path`, a whole one: a publication claims all that lies below it, and the nearest one decides. Whoever holds
    /// the nearest path that is held is not stood in for by others.
    fn nearest(&self, session: usize, path: &[String]) -> Option<usize> {
        let mut holder = None;
        (0..=path.len()).rev().find_map(|depth| {
            holder = holder.take().or_else(|| self.holder(&path[..depth]));
            self.heard(session, &path[..depth], holder.as_ref())
        })
    }

    /// What the session gets when it asks for `path`.
    pub(super) fn consume(&self, session: usize, path: &[String]) -> Option<usize> {
        let member = &self.sessions[&session];
        covers(&member.rights.subscribe, path).then_some(())?;
        self.nearest(session, &[&member.at, path].concat())
    }

    /// What the session is told of below `prefix`, and from there: each path, and the number of what is served there.
    pub(super) fn told(&self, session: usize, prefix: &[String], hidden: bool) -> BTreeMap<Names, usize> {
        let member = &self.sessions[&session];
        let base = [member.at.clone(), prefix.to_vec()].concat();
        // What may be seen: all below the prefix, or several parts of it.
        let tops: Vec<Names> = if covers(&member.rights.subscribe, prefix) {
            vec![base.clone()]
        } else {
            let below = member.rights.subscribe.iter().filter(|allowed| allowed.starts_with(prefix));
            below.map(|allowed| [member.at.clone(), allowed.clone()].concat()).collect()
        };
        let mut told = BTreeMap::new();
        for top in tops {
            let above = self.nearest(session, &top);
            let below: BTreeSet<_> = self.published.iter().map(|published| &published.path).collect();
            let below = below.into_iter().filter(|path| path.len() > top.len() && path.starts_with(&top));
            let seen = below.filter_map(|path| Some((path.clone(), self.served(session, path)?)));
            told.extend(seen.chain(above.map(|number| (top.clone(), number))));
        }
        let is_relay = member.principal.is_none();
        told.retain(|path, _| {
            let is_hidden = path[base.len()..].iter().any(|name| name.starts_with('.'));
            (hidden || is_relay || !is_hidden) && (is_relay || !is_reserved(path))
        });
        told.into_iter().map(|(path, number)| (path[base.len()..].to_vec(), number)).collect()
    }
}
