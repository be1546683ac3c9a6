//! Asking one server over HTTP: with a deadline, a bound on the answer, and no way to be sent elsewhere.
//!
//! A client knows one endpoint and connects to nothing else, whatever a request or an answer says; redirects are answers like
//! any other. What is asked and what an answer means is `jwks`'s and `remote`'s.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use moq_native::tls::Trust;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tower_service::Service;
use url::Url;

use crate::{endpoint::Endpoint, secret::Secret};

/// How long an idle connection is kept for the next question.
const IDLE: Duration = Duration::from_secs(30);

/// Connections kept idle.
const IDLE_MAX: usize = 8;

/// Asks at one endpoint.
pub(super) struct Client {
    endpoint: Endpoint,
    client: legacy::Client<Connector, Full<Bytes>>,
    timeout: Duration,
    answer_bytes_max: usize,
}

/// What came back, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum HttpError {
    #[error("no answer: {0}")]
    Lost(String),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("not to be asked about: {0}")]
    Unaskable(#[from] http::Error),
}

impl Client {
    /// `trust`: whom a server over HTTPS is believed by. Reads the system's authorities if need be.
    ///
    /// # Errors
    /// When there are no usable authorities, or the host's name can be none.
    pub(super) fn new(endpoint: Endpoint, trust: &Trust, timeout: Duration, answer_bytes_max: usize) -> anyhow::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let tls = match endpoint.url().scheme() {
            "https" => {
                let host = endpoint.url().host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
                let config = trust.client_config(&["http/1.1"])?;
                Some((TlsConnector::from(Arc::new(config)), ServerName::try_from(host)?))
            }
            _ => None,
        };
        let place = endpoint.url().as_str().parse()?;
        let connector = Connector { place, socket: endpoint.socket().cloned(), http, tls };
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Ok(Self { endpoint, client, timeout, answer_bytes_max })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Fetches what stands at `url`, of which only path and query count.
    ///
    /// # Errors
    /// When nothing came back in time, or too much.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer, HttpError> {
        self.ask(Method::GET, url, Bytes::new()).await
    }

    /// Sends JSON to the endpoint itself.
    ///
    /// # Errors
    /// When nothing came back in time, or too much.
    pub(super) async fn post(&self, json: Vec<u8>) -> Result<Answer, HttpError> {
        self.ask(Method::POST, self.endpoint.url(), json.into()).await
    }

    async fn ask(&self, method: Method, url: &Url, body: Bytes) -> Result<Answer, HttpError> {
        let mut request = Request::builder().method(&method).uri(url.as_str()).header(header::ACCEPT, "application/json");
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(value) = self.endpoint.authorization().map(Secret::expose) {
            let mut value = HeaderValue::from_str(value).map_err(http::Error::from)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body))?;
        timeout(self.timeout, self.answer(request)).await.unwrap_or(Err(HttpError::Late(self.timeout)))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Answer, HttpError> {
        let response = self.client.request(request).await.map_err(|error| HttpError::Lost(causes(&error)))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, self.answer_bytes_max).collect().await.map_err(|error| {
            match error.downcast::<LengthLimitError>() {
                Ok(_) => HttpError::TooLarge(self.answer_bytes_max),
                Err(error) => HttpError::Lost(causes(&*error)),
            }
        })?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }
}

impl Answer {
    /// How long it may be believed, as its `cache-control` says. `None`: it does not say.
    pub(super) fn max_age(&self) -> Option<Duration> {
        let values = self.headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        let mut directives = values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
        directives.find_map(|directive| match directive.split_once('=') {
            Some(("max-age", seconds)) => seconds.trim_matches('"').parse().ok().map(Duration::from_secs),
            None if directive == "no-store" || directive == "no-cache" => Some(Duration::ZERO),
            _ => None,
        })
    }
}

/// An error and what caused it, which is where the system has its say.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let told = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    told.collect::<Vec<_>>().join(": ")
}

/// Connects to the one place it knows.
#[derive(Clone)]
struct Connector {
    place: Uri,
    socket: Option<PathBuf>,
    http: HttpConnector,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    async fn connect(mut self) -> io::Result<Socket> {
        if let Some(path) = self.socket {
            return Ok(Socket(TokioIo::new(Box::new(UnixStream::connect(path).await?))));
        }
        let stream = self.http.call(self.place).await.map_err(io::Error::other)?.into_inner();
        Ok(Socket(TokioIo::new(match self.tls {
            Some((tls, name)) => Box::new(tls.connect(name, stream).await?),
            None => Box::new(stream),
        })))
    }
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// A connection of any kind.
struct Socket(TokioIo<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
