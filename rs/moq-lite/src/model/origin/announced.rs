//! A reader of the announcements below a prefix: the set there is, and then each change of it.
//!
//! What a reader holds is not written down anywhere. It follows from the number of the last change it has read: of what is
//! announced now, that which was told by then; of what is over since, that which was. The difference to what there is now is
//! what the reader is told, so whatever came and went meanwhile is left out.
//!
//! Spec: moq-lite-06, "ANNOUNCE".

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

use moq_proto::Path;
use smallvec::SmallVec;

use super::{
    Horizon, Shared,
    changes::{Entry, Reader},
    holder::{Climb, holder, seen},
    places::{Place, Places},
    scope::{Reserved, Window},
    told::Told,
};
use crate::model::route::Route;

/// What happened to a path, as one reader sees it. Paths are relative to the prefix the reader asked for: a route announced
/// above it is at the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is a route now, and was none.
    Start { path: Path, route: Route },
    /// There is another route. With another [publisher](Route::publisher), the content is another as well.
    Update { path: Path, route: Route },
    /// There is no route any more.
    End { path: Path },
}

/// What may be seen, and by whom.
#[derive(Debug)]
pub(super) struct View {
    /// What paths are told relative to.
    pub(super) base: Path,
    pub(super) windows: Vec<Window>,
    pub(super) horizon: Horizon,
    /// Whether paths with a segment that starts with `.` are told as well.
    pub(super) hidden: bool,
    /// What is never told.
    pub(super) reserved: Reserved,
}

/// A change on its way to the reader. Path and route are shared with everybody.
#[derive(Debug)]
enum News {
    Start(Path, Arc<Told>),
    Update(Path, Arc<Told>),
    End(Path),
}

/// What was there at one path and is over since, seen by the reader or not.
type Over<'a> = SmallVec<[&'a Arc<Told>; 1]>;
type Gone<'a> = HashMap<&'a str, Over<'a>>;

impl View {
    /// All that can be seen now.
    fn snapshot(&self, places: &Places) -> VecDeque<News> {
        let mut news = VecDeque::new();
        for Window { top } in &self.windows {
            news.extend(self.difference(top, None, self.now_nearest(places, top)));
            places.tree.below(top.as_str(), |place| news.extend(self.difference(&place.path, None, self.now(Some(place)))));
        }
        news
    }

    /// What has changed since the change `read`. `None`: too long ago to tell.
    fn missed(&self, places: &Places, read: u64) -> Option<VecDeque<News>> {
        let mut gone = Gone::new();
        let mut paths = Vec::new();
        for Entry { path, gone: over, .. } in places.changes.since(read)?.filter(|entry| self.concerns(&entry.path)) {
            paths.push(path);
            // What came and went meanwhile was never held.
            let held = over.iter().filter(|told| told.since <= read);
            gone.entry(path.as_str()).or_default().extend(held);
        }
        if !places.changes.has_all_since(read) {
            paths.extend(self.told_since(places, read));
        }

        let (mut looked, mut news) = (HashSet::new(), VecDeque::new());
        for path in paths {
            for Window { top } in self.windows.iter().filter(|window| window.concerns(path)) {
                // What happens above a window shows at its top, and what is nearest to it hides the rest.
                let is_top = top.has_prefix(path);
                let seat = if is_top { top } else { path };
                if looked.insert(seat) {
                    let (held, now) = match is_top {
                        true => (self.held_nearest(places, &gone, seat, read), self.now_nearest(places, seat)),
                        false => (self.held(places, &gone, seat, read), self.now(places.tree.get(seat.as_str()))),
                    };
                    news.extend(self.difference(seat, held, now));
                }
            }
        }
        Some(news)
    }

    /// The paths with anything that was told after the change `read`.
    fn told_since<'a>(&self, places: &'a Places, read: u64) -> Vec<&'a Path> {
        let is_new = |place: &Place| place.sources().any(|source| source.told.since > read);
        let mut paths = Vec::new();
        for Window { top } in &self.windows {
            let above = places.tree.on_the_way(top.as_str()).filter(|place| is_new(place));
            paths.extend(above.map(|place| &place.path));
            places.tree.below(top.as_str(), |place| paths.extend(is_new(place).then_some(&place.path)));
        }
        paths
    }

    fn concerns(&self, path: &Path) -> bool {
        self.windows.iter().any(|window| window.concerns(path))
    }

    /// The best there is at a path.
    fn now<'a>(&self, place: Option<&'a Place>) -> Option<&'a Arc<Told>> {
        place?.visible(&self.horizon).next().map(|source| &source.told)
    }

    /// The best there is at the top of a window or, where there is none, above it.
    fn now_nearest<'a>(&self, places: &'a Places, top: &Path) -> Option<&'a Arc<Told>> {
        places.nearest(top, &self.horizon, |_| true).map(|(_, source)| &source.told)
    }

    /// The best there was at a path after the change `read`: what this reader was told.
    fn held<'a>(&self, places: &'a Places, gone: &Gone<'a>, path: &Path, read: u64) -> Option<&'a Arc<Told>> {
        seen(&there_was(places, gone, path.as_str(), read), &self.horizon).min_by_key(|told| told.rank)
    }

    /// As [`now_nearest`](Self::now_nearest), after the change `read`.
    fn held_nearest<'a>(&self, places: &'a Places, gone: &Gone<'a>, top: &Path, read: u64) -> Option<&'a Arc<Told>> {
        let mut climb = Climb::default();
        for path in upward(top) {
            let told = there_was(places, gone, path, read);
            climb.pass(holder(told.iter().copied()));
            let mut heard = seen(&told, &self.horizon).filter(|told| climb.hears(told)).peekable();
            if heard.peek().is_some() {
                return heard.filter(|told| told.serves_below || path == top.as_str()).min_by_key(|told| told.rank);
            }
        }
        None
    }

    /// What to tell about `seat`, from what was told to what there is.
    fn difference(&self, seat: &Path, held: Option<&Arc<Told>>, now: Option<&Arc<Told>>) -> impl Iterator<Item = News> {
        let [end, start] = match (held, now) {
            _ if self.is_kept_back(seat) => [None, None],
            (None, None) => [None, None],
            (None, Some(now)) => [None, Some(News::Start(seat.clone(), now.clone()))],
            (Some(_), None) => [Some(News::End(seat.clone())), None],
            // One without a name cannot be told from another, but what it publishes is something else.
            (Some(held), Some(now))
                if held.announced != now.announced && now.route == held.route && now.route.publisher().is_none() =>
            {
                [Some(News::End(seat.clone())), Some(News::Start(seat.clone(), now.clone()))]
            }
            (Some(held), Some(now)) if held.route == now.route => [None, None],
            (Some(_), Some(now)) => [Some(News::Update(seat.clone(), now.clone())), None],
        };
        end.into_iter().chain(start)
    }

    fn is_kept_back(&self, seat: &Path) -> bool {
        self.reserved.covers(seat) || (!self.hidden && self.is_hidden(seat))
    }

    fn is_hidden(&self, seat: &Path) -> bool {
        seat.as_str()[self.base.as_str().len()..].split('/').any(|segment| segment.starts_with('.'))
    }

    /// As the reader sees it.
    fn change(&self, news: News) -> Change {
        let below = |seat: Path| seat.strip_prefix(&self.base).unwrap_or_default();
        match news {
            News::Start(seat, told) => Change::Start { path: below(seat), route: told.route.clone() },
            News::Update(seat, told) => Change::Update { path: below(seat), route: told.route.clone() },
            News::End(seat) => Change::End { path: below(seat) },
        }
    }
}

/// All there was at a path after the change `read`; who held it follows from that.
fn there_was<'a>(places: &'a Places, gone: &Gone<'a>, path: &str, read: u64) -> Over<'a> {
    let still = places.tree.get(path).into_iter().flat_map(Place::sources).map(|source| &source.told);
    still.filter(|told| told.since <= read).chain(gone.get(path).into_iter().flatten().copied()).collect()
}

/// `path`, what covers it, and so on up to the root.
fn upward(path: &Path) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path.as_str()), |path| match path.rfind('/') {
        Some(end) => Some(&path[..end]),
        None => (!path.is_empty()).then_some(""),
    })
}

/// A feed of announcements. Made by [`Consumer::announced`](super::Consumer::announced).
///
/// It may be read at any pace: whoever is slow is told less often, never too little. Only after missing
/// [more ends than are remembered](super::Limits::ends) is the feed over.
#[derive(Debug)]
pub struct Announced {
    ear: Ear,
    view: View,
    /// Whether the initial set was taken.
    began: bool,
    /// Found out and not yet told.
    news: VecDeque<News>,
}

impl Announced {
    pub(super) fn new(shared: Arc<Shared>, view: View) -> Self {
        let ear = Ear::new(shared, view.windows.iter().map(|window| window.top.clone()).collect());
        Self { ear, view, began: false, news: VecDeque::new() }
    }

    /// The set there is now, each path as a [`Change::Start`]. Called before anything else is read, it is the whole set;
    /// later there is none.
    pub fn initial(&mut self) -> Vec<Change> {
        if !self.began {
            self.begin();
        }
        std::mem::take(&mut self.news).into_iter().map(|news| self.view.change(news)).collect()
    }

    fn begin(&mut self) {
        let places = self.ear.shared.read();
        self.ear.caught_up(&places);
        self.news = self.view.snapshot(&places);
        self.began = true;
    }

    /// The next change; what there is at first comes as a [`Change::Start`] each, unless [`initial`](Self::initial) took it.
    /// `None`: this reader has missed too much, and the feed is over.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        if !self.began {
            self.begin();
        }
        loop {
            if let Some(news) = self.news.pop_front() {
                return Poll::Ready(Some(self.view.change(news)));
            }
            ready!(self.ear.reader.poll_rung(cx));
            let places = self.ear.shared.read();
            let Some(read) = self.ear.reader.behind() else { continue };
            // A feed that is over stays rung.
            let Some(news) = self.view.missed(&places, read) else { return Poll::Ready(None) };
            self.ear.caught_up(&places);
            self.news = news;
        }
    }

    /// As [`poll_next`](Self::poll_next).
    ///
    /// # Cancel safety
    /// Dropping the call loses no change.
    pub async fn next(&mut self) -> Option<Change> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

/// Hears of whatever may concern some subtrees, as long as it is kept.
#[derive(Debug)]
pub(super) struct Ear {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    /// The top of each subtree, and the reader's place there.
    tops: Vec<(Path, usize)>,
}

impl Ear {
    pub(super) fn new(shared: Arc<Shared>, tops: Vec<Path>) -> Self {
        let reader = Arc::<Reader>::default();
        let mut places = shared.write();
        let attach = |top: Path| {
            let place = places.attach(&top, &reader);
            (top, place)
        };
        let tops = tops.into_iter().map(attach).collect();
        drop(places);
        Self { shared, reader, tops }
    }

    /// Waits until something has changed since it was called last. Cancel safe.
    pub(super) async fn changed(&self) {
        poll_fn(|cx| self.reader.poll_rung(cx)).await;
        self.caught_up(&self.shared.read());
    }

    /// Takes note that everything up to now is read.
    fn caught_up(&self, places: &Places) {
        self.reader.caught_up();
        self.tops.iter().for_each(|(top, place)| places.wait(top, *place));
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut places = self.shared.write();
        for (top, place) in &self.tops {
            places.detach(top, *place);
        }
    }
}
