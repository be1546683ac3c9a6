//! Paths: a tree of segments with something at some of its places.
//!
//! Finds what lies on the way to a path and what lies below it. Children are kept in order, so that walks are the same in
//! every process.

use std::collections::BTreeMap;

/// The segments of a path in its normal form, outermost first.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// A value at each of some paths.
#[derive(Debug)]
pub(super) struct Tree<T> {
    top: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    children: BTreeMap<Box<str>, Node<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { value: None, children: BTreeMap::new() }
    }
}

impl<T> Node<T> {
    fn is_bare(&self) -> bool {
        self.value.is_none() && self.children.is_empty()
    }

    fn visit<'a>(&'a self, seen: &mut impl FnMut(&'a T)) {
        self.value.iter().for_each(&mut *seen);
        self.children.values().for_each(|child| child.visit(seen));
    }

    /// Takes the value at the end of `segments`, and every node that is bare without it.
    fn take<'a>(&mut self, mut segments: impl Iterator<Item = &'a str>) -> Option<T> {
        let Some(segment) = segments.next() else { return self.value.take() };
        let child = self.children.get_mut(segment)?;
        let value = child.take(segments);
        if child.is_bare() {
            self.children.remove(segment);
        }
        value
    }
}

impl<T> Tree<T> {
    pub(super) fn new() -> Self {
        Self { top: Node::default() }
    }

    fn node(&self, path: &str) -> Option<&Node<T>> {
        segments(path).try_fold(&self.top, |node, segment| node.children.get(segment))
    }

    pub(super) fn get(&self, path: &str) -> Option<&T> {
        self.node(path)?.value.as_ref()
    }

    /// What is at `path`; made if there is nothing.
    pub(super) fn get_or_insert_with(&mut self, path: &str, make: impl FnOnce() -> T) -> &mut T {
        let mut node = &mut self.top;
        for segment in segments(path) {
            // Looked up before it is copied: nearly every time all but the last segment are there.
            if !node.children.contains_key(segment) {
                node.children.insert(segment.into(), Node::default());
            }
            node = node.children.get_mut(segment).expect("just made");
        }
        node.value.get_or_insert_with(make)
    }

    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut T> {
        segments(path).try_fold(&mut self.top, |node, segment| node.children.get_mut(segment))?.value.as_mut()
    }

    pub(super) fn take(&mut self, path: &str) -> Option<T> {
        self.top.take(segments(path))
    }

    /// What lies on the way from the root to `path`, both included, outermost first.
    pub(super) fn on_the_way(&self, path: &str) -> impl DoubleEndedIterator<Item = &T> {
        let mut found: Vec<&T> = self.top.value.iter().collect();
        let mut node = &self.top;
        for segment in segments(path) {
            let Some(child) = node.children.get(segment) else { break };
            found.extend(&child.value);
            node = child;
        }
        found.into_iter()
    }

    /// Shows `seen` what lies below `path`, without what lies at it.
    pub(super) fn below<'a>(&'a self, path: &str, mut seen: impl FnMut(&'a T)) {
        if let Some(node) = self.node(path) {
            node.children.values().for_each(|child| child.visit(&mut seen));
        }
    }

    pub(super) fn all<'a>(&'a self, mut seen: impl FnMut(&'a T)) {
        self.top.visit(&mut seen);
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.top.is_bare()
    }
}
