//! Permission: which of the paths granted below one root are left for a session at another path.
//!
//! Pure functions over paths, segment by segment: `foo` never covers `foobar`. A grant counts from its root, a session's
//! view from the path it asked for, so a grant is turned from the one to the other. Nothing here decides who gets a grant.

use moq_proto::Path;

/// Turns `granted`, which counts from `root`, into what counts from `path`. Empty: nothing is left there.
///
/// A session below the root keeps what lies below it, and everything where a grant covers it whole; a session above the
/// root keeps every grant, in its place further down. Beside the root there is nothing.
pub fn rebase(root: &Path, granted: &[Path], path: &Path) -> Vec<Path> {
    let rebased = if let Some(below) = path.strip_prefix(root) {
        granted.iter().filter_map(|grant| seen_from(&below, grant)).collect()
    } else if let Some(down) = root.strip_prefix(path) {
        // A join that fails is a path nobody can have.
        granted.iter().filter_map(|grant| down.join(grant).ok()).collect()
    } else {
        Vec::new()
    };
    widest(rebased)
}

/// `grant` as seen from `place`, both counted from the same root. `None`: neither lies below the other.
fn seen_from(place: &Path, grant: &Path) -> Option<Path> {
    match grant.strip_prefix(place) {
        Some(rest) => Some(rest),
        None => place.has_prefix(grant).then(Path::root),
    }
}

/// Leaves out every path that another one covers, and keeps the order.
fn widest(paths: Vec<Path>) -> Vec<Path> {
    let mut widest: Vec<Path> = Vec::with_capacity(paths.len());
    for path in paths {
        if !widest.iter().any(|wider| path.has_prefix(wider)) {
            widest.retain(|narrower| !narrower.has_prefix(&path));
            widest.push(path);
        }
    }
    widest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    /// Root, granted below it, session's path, what is left from there.
    const ROWS: &[(&str, &[&str], &str, &[&str])] = &[
        // At the root itself.
        ("", &[""], "", &[""]),
        ("", &["demo"], "", &["demo"]),
        ("room", &["alice", "bob"], "room", &["alice", "bob"]),
        ("room", &[], "room", &[]),
        // Below the root: what a grant covers whole is everything.
        ("", &[""], "room/alice", &[""]),
        ("", &["demo"], "demo", &[""]),
        ("", &["demo"], "demo/x/y", &[""]),
        ("room", &["alice"], "room/alice/cam", &[""]),
        // Below the root: what a grant covers in part is that part.
        ("", &["demo/x"], "demo", &["x"]),
        ("room", &["alice/cam", "bob"], "room/alice", &["cam"]),
        // Above the root: grants stay where they are.
        ("room/123", &[""], "room", &["123"]),
        ("room/123", &["alice", "bob"], "", &["room/123/alice", "room/123/bob"]),
        // Beside it: nothing.
        ("room", &[""], "hall", &[]),
        ("", &["demo"], "anon", &[]),
        ("room/123", &[""], "room/456", &[]),
        // Segments, not characters.
        ("foo", &[""], "foobar", &[]),
        ("foobar", &[""], "foo", &[]),
        ("", &["foo"], "foobar", &[]),
        ("", &["foobar"], "foo", &[]),
        ("room", &["ali"], "room/alice", &[]),
        // A wider grant takes in a narrower one, whatever their order.
        ("", &["a/b", "a", "a/c", "d"], "", &["a", "d"]),
        ("", &["a/b", "a"], "a", &[""]),
        ("", &["", "a"], "x", &[""]),
        ("", &["a", "a"], "", &["a"]),
    ];

    #[test]
    fn what_is_left_of_a_grant_at_a_path() {
        for (root, granted, at, left) in ROWS {
            let granted: Vec<_> = granted.iter().map(|text| path(text)).collect();
            let left: Vec<_> = left.iter().map(|text| path(text)).collect();
            assert_eq!(rebase(&path(root), &granted, &path(at)), left, "{granted:?} below `{root}`, seen from `{at}`");
        }
    }
}
