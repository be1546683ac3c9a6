//! `GET /announced/<prefix>`: the paths on air, one a line, as a subscriber at that prefix would see them.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, Uri},
    response::{IntoResponse, Response},
};
use moq_lite::model::origin::{Change, Horizon};
use moq_proto::Path;

use super::{Peer, Site};
use crate::doors;

/// Most paths in one answer. With paths of a usual length that is half a MiB.
const ENTRIES_MAX: usize = 10_000;

/// Tells that an answer holds the first [`ENTRIES_MAX`] paths and not all.
const TRUNCATED: &str = "x-truncated";

pub(super) async fn list(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    answer(&site, &uri, &headers, &peer).await
}

async fn answer(site: &Site, uri: &Uri, headers: &HeaderMap, peer: &Peer) -> Response {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = target.strip_prefix("/announced").unwrap_or(target);
    let admission = match site.authorize(target, headers, peer, None).await {
        Ok(admission) => admission,
        Err(refused) => return (refused.status(), format!("{}\n", refused.told())).into_response(),
    };
    let consumer = doors::outbound(&site.origin, &admission, Horizon::new());
    let initial = consumer.map(|consumer| consumer.announced(&Path::root(), false).initial());
    let mut on_air = initial.into_iter().flatten().filter_map(|change| match change {
        Change::Start { path, .. } => Some(path),
        _ => None,
    });
    let paths: Vec<Path> = on_air.by_ref().take(ENTRIES_MAX).collect();
    let is_truncated = on_air.next().is_some();

    let mut response = paths.iter().map(line).collect::<Vec<_>>().join("\n").into_response();
    if is_truncated {
        response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    response
}

/// The path as one line: a publisher that puts a line break into a name fakes no other.
fn line(path: &Path) -> Cow<'_, str> {
    let path = path.as_str();
    if !path.contains(char::is_control) {
        return path.into();
    }
    let escaped = path.chars().map(|c| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() });
    escaped.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::StatusCode};
    use moq_lite::model::{
        broadcast,
        cache::Budget,
        origin::{Origin, Publication},
        route::Route,
    };
    use moq_token::Verifier;

    use super::*;
    use crate::{
        auth::{Auth, Public},
        tls::Pins,
    };

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    /// A site where anybody may watch what is below `public`, and what is on air there.
    fn site(public: &str, on_air: impl IntoIterator<Item = String>) -> (Site, Vec<Publication>) {
        let auth = Auth::new(Public::new(vec![], vec![path(public)]), Verifier::default());
        let origin = Origin::new(moq_lite::session::random_hop());
        let everywhere = origin.producer(Path::root(), vec![Path::root()], Horizon::new()).with_limit(usize::MAX);
        let announce = |name: String| {
            let broadcast = broadcast::Producer::new(Budget::new(0).account());
            everywhere.publish(&path(&name), Route::local(), broadcast.consume()).unwrap()
        };
        let publications = on_air.into_iter().map(announce).collect();
        let site = Site {
            auth: auth.into(),
            origin,
            fetches: Arc::default(),
            pins: Pins::default(),
            udp: ([127, 0, 0, 1], 1).into(),
            versions: vec![],
            protocols: vec![],
            sessions: None,
        };
        (site, publications)
    }

    async fn told(site: &Site, target: &str) -> (StatusCode, bool, String) {
        let peer = Peer { address: ([127, 0, 0, 1], 1).into(), certificate: None };
        let response = answer(site, &target.parse().unwrap(), &HeaderMap::new(), &peer).await;
        let (status, is_truncated) = (response.status(), response.headers().contains_key(TRUNCATED));
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, is_truncated, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn paths_are_told_relative_to_the_prefix() {
        let (site, _on_air) = site("", ["demo/b", "demo/a", "demo", "news", "demos"].map(String::from));
        let rows = [
            ("/announced", vec!["demo", "demo/a", "demo/b", "demos", "news"]),
            ("/announced/", vec!["demo", "demo/a", "demo/b", "demos", "news"]),
            ("/announced/demo", vec!["", "a", "b"]),
            ("/announced/demo/a", vec![""]),
            ("/announced/nobody", vec![""]),
        ];
        for (target, expected) in rows {
            let (status, is_truncated, body) = told(&site, target).await;
            let mut paths: Vec<_> = body.split('\n').collect();
            paths.sort_unstable();
            assert_eq!((status, is_truncated, paths), (StatusCode::OK, false, expected), "{target}");
        }
    }

    #[tokio::test]
    async fn nobody_is_told_of_what_is_not_theirs() {
        let (site, _on_air) = site("demo", ["demo/a", "news/secret"].map(String::from));

        assert_eq!(told(&site, "/announced").await.2, "demo/a");
        assert_eq!(told(&site, "/announced/news").await, (StatusCode::UNAUTHORIZED, false, "unauthorized\n".into()));
    }

    #[tokio::test]
    async fn a_path_is_one_line_whatever_is_in_it() {
        let (site, _on_air) = site("", ["demo\nnews".into()]);

        assert_eq!(told(&site, "/announced").await.2, "demo\\u{a}news");
    }

    #[tokio::test]
    async fn an_answer_has_an_end() {
        let (site, _on_air) = site("", (0..=ENTRIES_MAX).map(|number| format!("room/{number}")));

        let (status, is_truncated, body) = told(&site, "/announced/room").await;
        assert_eq!((status, is_truncated, body.split('\n').count()), (StatusCode::OK, true, ENTRIES_MAX));
    }
}
