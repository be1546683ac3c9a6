//! Whatever carries a request, its path and its token are read the same way: odd targets are shown to every entrance, from the
//! bytes on the wire on, and what each makes of them is compared with the rules said once more.
//!
//! No sockets here, so that there can be very many; a few hundred of the same targets go over real ones in `tests/relay`.

mod carriers;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, SystemTime},
};

use moq_proto::Path;
use moq_token::{
    Algorithm, Claims, Key, KeySet, Policy, Revoked, Verifier,
    testing::{
        Target, Targets,
        reference::{self, Names, Rights},
    },
};

use self::carriers::{Carriers, Entrance};
use crate::auth::{Auth, Public};

/// How many targets are shown to every entrance. `MOQ_TARGETS` has another number, `MOQ_SEED` other targets.
const TARGETS: u64 = 100_000;

/// On so many threads, each with a seed of its own.
const THREADS: u64 = 4;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let in at this path, with these rights below it.
    In { root: String, publish: Vec<String>, subscribe: Vec<String> },
    /// A page, let in: what it showed of what is on air.
    Page(String),
    /// Turned away with this status, or its like.
    Out(u16),
    /// The carrier has no way to say this.
    NotCarried,
}

/// Who is who, as told to the relay and to the rules said once more.
struct World {
    tokens: Vec<(String, Option<Rights>)>,
    public: Rights,
    keys: KeySet,
}

impl World {
    fn new() -> Self {
        let key = |id: &str| Key::generate(Algorithm::HS256, Some(id.parse().unwrap()), None).unwrap();
        let (trusted, stranger) = (key("trusted"), key("stranger"));
        let paths = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Path>>();
        let claims = |root: &str, publish: &[&str], subscribe: &[&str]| Claims {
            root: root.parse().unwrap(),
            publish: paths(publish),
            subscribe: paths(subscribe),
            ..Claims::default()
        };
        let good = [
            claims("", &[""], &[""]),
            claims("room", &["alice"], &[""]),
            claims("demo/room", &[], &["alice", "x/alice"]),
            claims("room/alice", &[""], &[]),
            claims("", &["röm", "100%", "a?b"], &["demo/x", "demo", "%41", "日本"]),
        ];
        let mut tokens: Vec<_> = good.iter().map(|claims| (trusted.sign(claims).unwrap(), Some(Rights::of(claims)))).collect();
        tokens.push((stranger.sign(&good[0]).unwrap(), None));
        tokens.push(("abc".into(), None));
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        tokens.push((trusted.sign(&Claims { expires: Some(past), ..good[0].clone() }).unwrap(), None));
        let public = Rights::of(&claims("", &["demo"], &["demo", "room/alice/x", "+"]));
        Self { tokens, public, keys: KeySet::try_from_iter([trusted]).unwrap() }
    }

    fn auth(&self) -> Auth {
        let joined = |paths: &[Names]| paths.iter().map(|names| names.join("/").parse().unwrap()).collect();
        let public = Public::new(joined(&self.public.publish), joined(&self.public.subscribe));
        Auth::new(public, Verifier::new(self.keys.clone(), Policy::default(), Revoked::default()))
    }

    /// What is to come of a request for `target`, and of a token in a header; and what is to be on air for that.
    fn expected(&self, entrance: Entrance, target: &str, header: Option<&str>) -> (Verdict, Option<Path>) {
        let (path, mut token) = reference::read(target);
        let Some(path) = path else { return (Verdict::Out(400), None) };
        if entrance == Entrance::Fetch && path.is_empty() {
            // A track needs a broadcast.
            return (Verdict::Out(400), None);
        }
        if let Some(header) = header {
            if token.is_some_and(|token| token != header) {
                return (Verdict::Out(401), None);
            }
            token = Some(header.to_owned());
        }
        let (rights, otherwise) = match &token {
            None => (&self.public, 401),
            Some(token) => match self.tokens.iter().find(|(known, _)| known == token) {
                Some((_, Some(rights))) => (rights, 403),
                _ => return (Verdict::Out(401), None),
            },
        };
        let left = rights.at(&path);
        if left.is_empty() || entrance.is_page() && left.subscribe.is_empty() {
            return (Verdict::Out(otherwise), None);
        }
        if entrance == Entrance::Fetch {
            return (Verdict::Page(String::new()), None);
        }
        if entrance.is_page() {
            let (whole, shown) = on_air(&path, &left).unzip();
            return (Verdict::Page(shown.unwrap_or_default()), whole);
        }
        let joined = |paths: &[Names]| paths.iter().map(|names| names.join("/")).collect();
        (Verdict::In { root: path.join("/"), publish: joined(&left.publish), subscribe: joined(&left.subscribe) }, None)
    }
}

/// What is put on air for a page at `path` to show: the whole path of it, and as the page shows it. `None`: it would be too
/// deep or too long.
fn on_air(path: &[String], rights: &Rights) -> Option<(Path, String)> {
    let below = [rights.subscribe.first()?.as_slice(), &["here".to_owned()]].concat();
    let whole = [path, &below].concat();
    let is_hidden = below.iter().any(|name| name.starts_with('.'));
    (!is_hidden && whole.len() <= Path::SEGMENTS_MAX).then_some(())?;
    Some((whole.join("/").parse().ok()?, below.join("/")))
}

/// Whether HTTP takes this for a URL or an address rather than a path. Spec: RFC 9112, section 3.2.
fn is_another_form(target: &str) -> bool {
    !target.starts_with(['/', '?', '#'])
}

/// Whether HTTP has no way to write this in a request line. Spec: RFC 9112, section 3.2; RFC 3986, appendix A.
fn is_unwritable(target: &str) -> bool {
    target.contains(|c: char| c <= ' ' || c == '\u{7f}' || "\"<>\\^`{|}".contains(c))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// A request as it is sent: path and query, and the token of a header.
fn spelt<'a>(world: &'a World, entrance: Entrance, Target { path, noise, token }: &Target) -> (String, Option<&'a str>) {
    let token = token.map(|token| world.tokens[token].0.as_str());
    let target = Target { path: path.clone(), noise: noise.clone(), token: None };
    if entrance == Entrance::Header { (target.with_query(None), token) } else { (target.with_query(token), None) }
}

/// Shows `count` targets of `seed` to every entrance. Returns how often each kind of verdict was given.
async fn walk(seed: u64, count: u64) -> BTreeMap<String, u64> {
    let world = World::new();
    let mut carriers = Carriers::new(world.auth());
    let mut tally = BTreeMap::<String, u64>::new();
    let mut count_one = |kind: &str| *tally.entry(kind.to_owned()).or_default() += 1;
    for (place, target) in (0..count).zip(Targets::new(seed)) {
        // Most entrances share what is to be expected.
        let mut known = Vec::new();
        for entrance in Entrance::ALL {
            if entrance == Entrance::Header && target.token.is_none() {
                // The same request as the one before.
                continue;
            }
            let (sent, header) = spelt(&world, entrance, &target);
            let why = || format!("{entrance:?}, target {place} of seed {seed}: {sent:?}, token {header:?}");
            let read = match entrance.handed_over(&sent) {
                Ok(read) => read,
                Err(end) => {
                    let verdict = carriers.knock(entrance, &sent, header).await;
                    assert!(verdict == end || verdict == Verdict::NotCarried && is_unwritable(&sent), "{verdict:?} {}", why());
                    count_one("no path");
                    continue;
                }
            };
            if read != sent && is_another_form(&sent) {
                count_one("another form");
            } else if read != sent {
                assert_eq!(world.expected(entrance, &read, header), world.expected(entrance, &sent, header), "{}", why());
            }
            let question = (entrance.is_page(), entrance == Entrance::Fetch, read, header);
            if known.last().is_none_or(|(asked, _)| *asked != question) {
                let expected = world.expected(entrance, &question.2, header);
                known.push((question, expected));
            }
            let Some((_, (expected, on_air))) = known.last() else { continue };
            if entrance.is_page() {
                carriers.put_on_air(on_air.clone());
            }

            let verdict = carriers.knock(entrance, &sent, header).await;

            if verdict == Verdict::NotCarried {
                assert!(is_unwritable(&sent), "{} is not carried", why());
            } else {
                assert_eq!(verdict, *expected, "{}", why());
            }
            match verdict {
                Verdict::In { .. } | Verdict::Page(_) => count_one("in"),
                Verdict::Out(status) => count_one(&status.to_string()),
                Verdict::NotCarried => count_one("not carried"),
            }
        }
    }
    tally
}

#[test]
fn every_entrance_reads_the_same_path_and_gives_the_same_verdict() {
    let (first, count) = (number("MOQ_SEED").unwrap_or(1), number("MOQ_TARGETS").unwrap_or(TARGETS).div_ceil(THREADS));
    let mut tally = BTreeMap::<String, u64>::new();
    let walks: Vec<_> = (first..first + THREADS).map(|seed| thread::spawn(move || run(walk(seed, count)))).collect();
    for walked in walks {
        for (kind, found) in walked.join().expect("a verdict as expected") {
            *tally.entry(kind).or_default() += found;
        }
    }
    println!("{} targets, {} entrances: {tally:?}", count * THREADS, Entrance::ALL.len());
    for kind in ["in", "400", "401", "403", "not carried"] {
        assert!(tally.get(kind).is_some_and(|found| *found > count * THREADS / 20), "hardly any {kind}: {tally:?}");
    }
}

#[test]
fn who_may_come_in_and_comes_when_nobody_does_any_more_is_told_so() {
    run(async {
        let world = World::new();
        let mut carriers = Carriers::new(world.auth());
        let is_welcome = |sent: &String| {
            matches!(world.expected(Entrance::WebSocket, sent, None).0, Verdict::In { .. }) && !is_unwritable(sent)
        };
        let mut targets = Targets::new(1).map(|target| spelt(&world, Entrance::WebSocket, &target).0);
        let sent = targets.find(is_welcome).unwrap();
        assert!(matches!(carriers.knock(Entrance::WebSocket, &sent, None).await, Verdict::In { .. }));
        carriers.close();
        assert_eq!(carriers.knock(Entrance::WebSocket, &sent, None).await, Verdict::Out(503));
    });
}

fn run<T>(walk: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, walk)
}
