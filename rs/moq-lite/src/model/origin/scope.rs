//! What one holder may name: a root, the prefixes below it that are allowed, and what is left to others even there.

use moq_proto::Path;

/// The part of an origin that one producer or consumer has to do with.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    root: Path,
    /// Relative to the root; none covers another.
    allowed: Vec<Path>,
    reserved: Reserved,
}

/// Paths that are left to others, with all that lies below them, as the origin knows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserved(Vec<Path>);

impl Reserved {
    /// Whether `path` is one of them or lies below one.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.0.iter().any(|reserved| path.has_prefix(reserved))
    }

    /// Whether a route at `path` would claim any of them, or part of one.
    pub(super) fn overlaps(&self, path: &Path) -> bool {
        self.covers(path) || self.0.iter().any(|reserved| reserved.has_prefix(path))
    }
}

/// A subtree that a reader may see of what it asked for.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The highest path in it.
    pub(super) top: Path,
}

impl Scope {
    pub(super) fn new(root: Path, mut allowed: Vec<Path>) -> Self {
        // Whatever covers a path is shorter and sorts before it.
        allowed.sort();
        let mut apart: Vec<Path> = Vec::with_capacity(allowed.len());
        for path in allowed {
            if !apart.iter().any(|wider| path.has_prefix(wider)) {
                apart.push(path);
            }
        }
        Self { root, allowed: apart, reserved: Reserved::default() }
    }

    pub(super) fn except(self, reserved: Vec<Path>) -> Self {
        Self { reserved: Reserved(reserved), ..self }
    }

    pub(super) fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    pub(super) fn allowed(&self) -> &[Path] {
        &self.allowed
    }

    /// `path` as the origin knows it. `None`: not allowed, or too long below this root.
    pub(super) fn resolve(&self, path: &Path) -> Option<Path> {
        let allowed = self.allowed.iter().any(|prefix| path.has_prefix(prefix));
        allowed.then(|| self.root.join(path).ok()).flatten()
    }

    /// What may be seen below `prefix`, and the prefix as the origin knows it. The prefix may be above or below what is
    /// allowed; windows never overlap.
    pub(super) fn windows(&self, prefix: &Path) -> (Path, Vec<Window>) {
        let Ok(base) = self.root.join(prefix) else { return (self.root.clone(), Vec::new()) };
        if self.allowed.iter().any(|wider| prefix.has_prefix(wider)) {
            return (base.clone(), vec![Window { top: base }]);
        }
        let narrower = self.allowed.iter().filter(|path| path.has_prefix(prefix));
        let windows = narrower.filter_map(|path| Some(Window { top: self.root.join(path).ok()? })).collect();
        (base, windows)
    }
}

impl Window {
    /// Whether what happens at `path` can show in this window.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        path.has_prefix(&self.top) || self.top.has_prefix(path)
    }
}
