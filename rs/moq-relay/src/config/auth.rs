//! `[auth]`, settled.

use std::{path::PathBuf, time::Duration};

use moq_proto::Path;
use moq_token::Policy;

use super::{Problem, bounded, time};
use crate::{
    address::Network,
    endpoint::Endpoint,
    options::{AuthOptions, Contract, Lifetime, Mappings, MtlsOptions, Prefix, PublicOptions, Rate, Whom},
    secret::Secret,
};

/// `[auth]`, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthConfig {
    pub keys: KeyConfig,
    /// Where keys are fetched.
    pub fetched: Vec<Endpoint>,
    pub fetch: FetchConfig,
    /// Who else is asked; `None`: nobody.
    pub remote: Option<RemoteConfig>,
    /// The authorities that servers asked are believed by; `None`: the system's.
    pub ca: Option<PathBuf>,
    pub policy: Policy,
    pub penalty: PenaltyConfig,
    /// Where anybody may publish.
    pub public_publish: Vec<Path>,
    /// Where anybody may subscribe.
    pub public_subscribe: Vec<Path>,
    /// What certificates allow; the first that fits counts.
    pub mtls: Vec<MtlsConfig>,
}

/// What one certificate allows, or all with one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MtlsConfig {
    pub whom: Whom,
    /// Where the other paths count from.
    pub root: Path,
    pub publish: Vec<Path>,
    pub subscribe: Vec<Path>,
    /// Whether the holder is a relay rather than a client.
    pub is_relay: bool,
}

/// The files of `[auth]`, settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyConfig {
    /// Each a key or a set of keys.
    pub files: Vec<PathBuf>,
    /// Each with a key a file.
    pub folders: Vec<PathBuf>,
    /// The list of revocations.
    pub revoked: Option<PathBuf>,
}

/// How keys are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchConfig {
    /// Longest time between two fetches.
    pub refresh: Duration,
    /// Shortest time between two fetches.
    pub refresh_min: Duration,
    pub timeout: Duration,
}

/// Who else is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteConfig {
    pub endpoint: Endpoint,
    pub contract: Contract,
    pub timeout: Duration,
    /// Questions at a time.
    pub concurrency: usize,
    /// How long those inside stay while nobody answers for them.
    pub grace: Duration,
    /// Longest time an answer by [`Contract::Get`] is believed.
    pub refresh: Duration,
}

/// What becomes of addresses that show bad tokens again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PenaltyConfig {
    /// So many within a minute bring a penalty. `None`: no number does.
    pub failures: Option<u32>,
    pub duration: Duration,
    /// Who is never counted.
    pub exempt: Vec<Network>,
}

impl AuthConfig {
    pub(super) fn settle(options: AuthOptions, problems: &mut Vec<Problem>) -> Self {
        let seconds = Duration::from_secs;
        let timeout = time("auth.timeout", options.timeout, seconds(5), problems);
        let refresh = time("auth.refresh", options.refresh, seconds(300), problems);
        let refresh_min = time("auth.refresh_min", options.refresh_min, seconds(30), problems);
        if refresh < refresh_min {
            problems.push(Problem::RefreshCrossed { refresh, refresh_min });
        }
        let concurrency = options.concurrency.unwrap_or(64);
        if concurrency == 0 {
            problems.push(Problem::NoRoom("auth.concurrency"));
        }

        let (mut files, mut fetched) = (Vec::new(), Vec::new());
        let places = [("auth.key", options.key), ("auth.keys", options.keys), ("auth.jwks", options.jwks)];
        for (key, place) in places.iter().flat_map(|(key, places)| places.iter().flatten().map(move |place| (*key, place))) {
            if Endpoint::is_meant(place.expose()) {
                fetched.extend(endpoint(key, place, problems));
            } else {
                files.push(place.expose().into());
            }
        }
        let mtls = options.mtls.into_iter().flat_map(|Mappings(mappings)| mappings);
        let mtls: Vec<_> = mtls.filter_map(|mapping| mapping_of(mapping, problems)).collect();
        let folders = options.key_dir.unwrap_or_default();
        let remote = options.url.and_then(|url| endpoint("auth.url", &url, problems)).map(|endpoint| RemoteConfig {
            endpoint,
            contract: options.contract.unwrap_or_default(),
            timeout,
            concurrency,
            grace: bounded(options.grace.unwrap_or(seconds(60))),
            refresh,
        });
        let PublicOptions { both, publish, subscribe } = options.public;
        let both = both.unwrap_or_default();
        let with =
            |role: Option<Vec<Prefix>>| both.iter().cloned().chain(role.unwrap_or_default()).map(|Prefix(path)| path).collect();
        let (public_publish, public_subscribe): (Vec<Path>, Vec<Path>) = (with(publish), with(subscribe));
        let has_keys = places.iter().any(|(_, places)| places.as_ref().is_some_and(|places| !places.is_empty()));
        let has_others = !folders.is_empty() || !mtls.is_empty() || remote.is_some() || problems.iter().any(is_about_the_server);
        if !has_keys && !has_others && public_publish.is_empty() && public_subscribe.is_empty() {
            problems.push(Problem::NobodyMayEnter);
        }
        Self {
            keys: KeyConfig { files, folders, revoked: options.revoked },
            fetched,
            fetch: FetchConfig { refresh, refresh_min, timeout },
            remote,
            ca: options.ca,
            policy: Policy {
                leeway: bounded(options.leeway.unwrap_or(seconds(5))),
                require_expiry: options.require_exp.unwrap_or(false),
                lifetime_max: options.max_token_ttl.and_then(|Lifetime(lifetime)| lifetime),
                audience: options.audience,
                issuer: options.issuer,
            },
            penalty: PenaltyConfig {
                failures: options.fail_per_ip.unwrap_or(Rate(Some(10))).0,
                duration: time("auth.fail_penalty", options.fail_penalty, seconds(60), problems),
                exempt: options.exempt.unwrap_or_else(|| Network::LOOPBACK.to_vec()),
            },
            public_publish,
            public_subscribe,
            mtls,
        }
    }
}

/// One mapping of `auth.mtls`. `None`: it means nobody.
fn mapping_of(options: MtlsOptions, problems: &mut Vec<Problem>) -> Option<MtlsConfig> {
    let MtlsOptions { whom, root, publish, subscribe, cluster } = options;
    let Some(whom) = whom.filter(|whom| !matches!(whom, Whom::Name(name) if name.is_empty())) else {
        problems.push(Problem::MatchesNobody);
        return None;
    };
    let paths = |prefixes: Option<Vec<Prefix>>| prefixes.into_iter().flatten().map(|Prefix(path)| path).collect();
    let root = root.map_or_else(Path::root, |Prefix(path)| path);
    let mapping = MtlsConfig { whom, root, publish: paths(publish), subscribe: paths(subscribe), is_relay: cluster };
    if mapping.publish.is_empty() && mapping.subscribe.is_empty() {
        problems.push(Problem::MatchedForNothing(mapping.whom.to_string()));
    }
    Some(mapping)
}

/// Whether a problem with it has been told already.
fn is_about_the_server(problem: &Problem) -> bool {
    matches!(problem, Problem::Endpoint { key: "auth.url", .. })
}

fn endpoint(key: &'static str, written: &Secret, problems: &mut Vec<Problem>) -> Option<Endpoint> {
    Endpoint::parse(written.expose()).map_err(|error| problems.push(Problem::Endpoint { key, error })).ok()
}
