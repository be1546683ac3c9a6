//! Where the relay asks somebody over HTTP: a server the operator has named, and no other.

use std::{fmt, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use url::{Host, Position, Url};

use crate::secret::Secret;

/// The address of a server. What is secret in it, and what might be, is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without user and password. Over a Unix socket, the path alone counts.
    url: Url,
    socket: Option<PathBuf>,
    /// The value of `Authorization` that stands for user and password.
    authorization: Option<Secret>,
}

/// Why a text is no address to ask at. Says nothing of the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("not an address such as https://example.com/path, or unix:/path/of/socket")]
    Malformed,
    #[error("http:// would show secrets to whoever listens in, and is taken on this machine only; use https://")]
    Insecure,
    #[error("only https://, http:// on this machine, and unix: are known")]
    Scheme,
    #[error("what follows a `#` is never sent; leave it out")]
    Fragment,
}

impl Endpoint {
    /// Whether the text is meant to be one rather than the path of a file.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.contains("://") || text.starts_with("unix:")
    }

    /// # Errors
    /// When it is no address, or not a safe one.
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let url = Url::parse("http://localhost/").map_err(|_| EndpointError::Malformed)?;
            return match path {
                "" => Err(EndpointError::Malformed),
                path => Ok(Self { url, socket: Some(path.into()), authorization: None }),
            };
        }
        let mut url = Url::parse(text).map_err(|_| EndpointError::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if is_this_machine(&url) => {}
            "http" => return Err(EndpointError::Insecure),
            _ => return Err(EndpointError::Scheme),
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        let authorization = basic(&url);
        // Both can be set on whatever has a host, as these have.
        let _ = (url.set_username(""), url.set_password(None));
        Ok(Self { url, socket: None, authorization })
    }

    /// Without user and password.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// `None`: it is reached over TCP.
    pub(crate) fn socket(&self) -> Option<&PathBuf> {
        self.socket.as_ref()
    }

    /// The value of `Authorization`, if there is to be one.
    pub(crate) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }
}

/// User and password, as RFC 7617 has them.
fn basic(url: &Url) -> Option<Secret> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let mut both: Vec<u8> = percent_decode_str(url.username()).collect();
    both.push(b':');
    both.extend(percent_decode_str(password));
    Some(Secret::new(format!("Basic {}", STANDARD.encode(both))))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            // A query may hold a key of the server's.
            None => write!(f, "{}{}", &self.url[..Position::AfterPath], if self.url.query().is_some() { "?…" } else { "" }),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_safe_to_send_secrets_to() {
        for good in
            ["https://example.com/keys", "http://127.0.0.1:1/", "http://[::1]:8080", "http://localhost/a?b=c", "unix:/run/a"]
        {
            assert!(Endpoint::parse(good).is_ok() && Endpoint::is_meant(good), "{good}");
        }
        let rows = [
            ("http://example.com/", EndpointError::Insecure),
            ("http://10.0.0.1/", EndpointError::Insecure),
            ("http://localhost.example.com/", EndpointError::Insecure),
            ("http://127.0.0.1@example.com/", EndpointError::Insecure),
            ("ftp://example.com/", EndpointError::Scheme),
            ("https://example.com/#x", EndpointError::Fragment),
            ("https://", EndpointError::Malformed),
            ("unix:", EndpointError::Malformed),
            ("keys.jwk", EndpointError::Malformed),
        ];
        for (bad, error) in rows {
            assert_eq!(Endpoint::parse(bad), Err(error), "{bad}");
        }
        assert!(!Endpoint::is_meant("keys.jwk") && !Endpoint::is_meant("/etc/http/keys.jwk"));
    }

    #[test]
    fn passwords_and_queries_are_not_printed_and_reach_the_server() {
        let endpoint = Endpoint::parse("https://alice:hunter%32@example.com:8443/keys?key=hunter3").unwrap();

        assert_eq!(endpoint.to_string(), "https://example.com:8443/keys?…");
        assert!(!format!("{endpoint:?}").contains("hunter"));
        assert_eq!(endpoint.url().as_str(), "https://example.com:8443/keys?key=hunter3");
        assert_eq!(endpoint.authorization().unwrap().expose(), "Basic YWxpY2U6aHVudGVyMg==");
    }
}
