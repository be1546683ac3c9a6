//! Whose a path is: while a principal announces a path, no other principal is heard there.
//!
//! Whoever may publish somewhere may announce any name there, those of others too. The first principal at a path holds it for
//! as long as it announces it, over however many sessions: what others announce there waits, seen by nobody, until the holder
//! is gone. Routes without a principal are trusted and compete as [`route`](crate::model::route) says, with the holder's and
//! with each other.
//!
//! A path claims what lies below it, and the nearest one decides. So a holder is not heard where somebody announces a path
//! further down, which whoever may announce its own may announce as well. But what lies above a path that is held does not
//! stand in for it: while its holder is there, only the same principal and trusted routes are heard from above, even by those
//! who may not be served by the holder. What is held there is nobody else's to serve.

use std::sync::Arc;

use super::{Horizon, principal::Principal, told::Told};

/// Who holds a path at which `told` are announced: the principal that has been there longest.
pub(super) fn holder<'a>(told: impl Iterator<Item = &'a Arc<Told>>) -> Option<&'a Principal> {
    let owned = told.filter_map(|told| Some((told.claimed, told.principal.as_ref()?)));
    owned.min_by_key(|(claimed, _)| *claimed).map(|(_, principal)| principal)
}

/// Whether what was announced by `principal` counts where `holder` holds the path.
pub(super) fn counts(principal: Option<&Principal>, holder: Option<&Principal>) -> bool {
    principal.is_none() || principal == holder
}

/// The way up from a path to the nearest that serves it.
#[derive(Debug, Default)]
pub(super) struct Climb<'a> {
    /// Who holds the nearest path passed that is held.
    holder: Option<&'a Principal>,
}

impl<'a> Climb<'a> {
    /// Goes on to the next path, held by `holder`.
    pub(super) fn pass(&mut self, holder: Option<&'a Principal>) {
        self.holder = self.holder.or(holder);
    }

    /// Whether this, which counts where it was announced, counts at the path that the way began at.
    pub(super) fn hears(&self, told: &Told) -> bool {
        counts(told.principal.as_ref(), self.holder)
    }
}

/// Those of `told`, which are all at one path, that the peer may see.
pub(super) fn seen<'a>(told: &[&'a Arc<Told>], to: &Horizon) -> impl Iterator<Item = &'a Arc<Told>> {
    let holder = holder(told.iter().copied());
    told.iter().copied().filter(move |told| told.is_visible(to) && counts(told.principal.as_ref(), holder))
}
