//! The http and https probes: one HTTP/1.1 request over a connection of its own (RFC 9110, 9112).

use crate::{
    PerlRegex, Progress,
    connect::{connect, failure},
    tls,
};
use evenkeel_health::{Phase, Reason, printable};
use evenkeel_model::{Body, Http, HttpMethod, HttpVersion, Origin, StatusSet};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use std::{
    error::Error,
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

mod answering;

use answering::Answering;

/// Bytes of status line and header an answer may have.
const MAX_HEADER: usize = 32 * 1024;

/// Lines of header an answer may have.
const MAX_HEADER_LINES: usize = 100;

/// Characters of a body that are shown where it does not match.
const SHOWN: usize = 60;

/// An answer as far as it was read.
struct Answer {
    status: u16,
    location: Option<String>,
    /// Bytes of body that were read.
    length: usize,
    /// The first of them, kept only when a pattern is to be looked for.
    body: Vec<u8>,
    /// MD5 of all of them, where that is asked for.
    digest: Option<[u8; 16]>,
}

/// Makes the request, follows redirects as far as allowed and judges the last answer.
pub(crate) async fn attempt(
    http: &Http,
    origin: &Origin,
    pattern: Option<&Result<PerlRegex, String>>,
    settings: &tls::Settings,
    phase: &Progress,
) -> Result<String, Reason> {
    let pattern = match pattern {
        None => None,
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(text)) => return Err(Reason::NotStarted(text.clone())),
    };
    let mut path = http.path.clone();
    let mut redirects_left = http.redirects;
    loop {
        let answer = exchange(http, origin, &path, settings, phase).await?;
        if http.status.contains(answer.status) {
            return judge(http, pattern, &answer);
        }
        let redirected = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
        if !redirected || redirects_left == 0 {
            return Err(Reason::WrongStatus { got: answer.status, wanted: ranges(&http.status) });
        }
        redirects_left -= 1;
        path = redirect(http, &path, &answer)?;
    }
}

fn judge(http: &Http, pattern: Option<&PerlRegex>, answer: &Answer) -> Result<String, Reason> {
    let good = || format!("{}, {} bytes", answer.status, answer.length);
    let rules = &http.rules;
    if let Some(digest) = answer.digest.filter(|digest| rules.digest.is_some_and(|wanted| wanted != *digest)) {
        return Err(Reason::WrongDigest { got: digest.iter().map(|byte| format!("{byte:02x}")).collect() });
    }
    let text = match &http.body {
        Body::Any => return Ok(good()),
        Body::PerlRegex(text) => text,
    };
    let matches = |pattern: &PerlRegex| pattern.matches_within(&answer.body, rules.least_offset, rules.most_offset);
    match pattern.map(matches) {
        Some(Ok(true)) if rules.unwanted => Err(Reason::Matches { pattern: text.clone() }),
        Some(Ok(false)) if rules.unwanted => Ok(good()),
        Some(Ok(true)) => Ok(good()),
        Some(Ok(false)) | None => Err(Reason::NoMatch { pattern: text.clone(), got: beginning(&answer.body) }),
        Some(Err(_)) => Err(Reason::PatternTooCostly { pattern: text.clone() }),
    }
}

/// The first characters of a body, for people.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SHOWN * 4).unwrap_or(body));
    let mut shown: String = text.trim().chars().take(SHOWN).collect();
    if text.trim().chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

async fn exchange(
    http: &Http,
    origin: &Origin,
    path: &str,
    settings: &tls::Settings,
    phase: &Progress,
) -> Result<Answer, Reason> {
    let request = request(http, path)?;
    phase.set(Phase::Connect);
    let stream = connect(http.target, origin).await?;
    if http.tls {
        phase.set(Phase::Tls);
        let name = http.server_name.as_deref();
        // Boxed, or every plain attempt would carry the room a TLS session needs.
        let handshake = Box::pin(tls::handshake(stream, name, http.verify, http.target.ip(), settings));
        let stream = Box::new(handshake.await?);
        phase.set(Phase::Answer);
        converse(stream, request, http, phase).await
    } else {
        phase.set(Phase::Answer);
        converse(stream, request, http, phase).await
    }
}

/// Sends the request on `stream` and reads the answer. The connection is driven here and not in a task of its own, so
/// that an attempt that is given up leaves nothing behind.
async fn converse<S>(
    mut stream: S,
    request: Request<Empty<Bytes>>,
    http: &Http,
    phase: &Progress,
) -> Result<Answer, Reason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let closed = || Reason::Closed { phase: Phase::Answer };
    let broken = |error: io::Error| failure(&error, http.target.ip(), closed());
    stream.write_all(&on_the_wire(&request, http.rules.version)).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut first = [0];
    if stream.read(&mut first).await.map_err(broken)? == 0 {
        return Err(closed());
    }

    let failed = |error: hyper::Error| misbehaved(&error, http, phase.get());
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADER_LINES)
        .max_header_size(MAX_HEADER)
        .max_buf_size(MAX_HEADER * 2)
        .handshake(TokioIo::new(Answering::new(first[0], stream)))
        .await
        .map_err(failed)?;
    let mut connection = pin!(connection);
    let mut ended = None;
    let mut dialogue = pin!(async {
        let response = sender.send_request(request).await?;
        phase.set(Phase::Body);
        read(response, http).await
    });
    let answer = poll_fn(|context| {
        if ended.is_none()
            && let Poll::Ready(result) = connection.as_mut().poll(context)
        {
            ended = Some(result);
        }
        dialogue.as_mut().poll(context)
    });
    answer.await.map_err(failed)
}

async fn read(response: Response<Incoming>, http: &Http) -> hyper::Result<Answer> {
    let (head, mut incoming) = response.into_parts();
    let location = head.headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (mut length, mut body) = (0, Vec::new());
    let mut digest = http.rules.digest.map(|_| Md5::new());
    // A digest is of all there is; it needs no room, and the deadline of the attempt ends it.
    while (digest.is_some() || length < http.size_cap)
        && let Some(frame) = incoming.frame().await
    {
        if let Some(bytes) = frame?.data_ref() {
            let wanted = &bytes[..bytes.len().min(http.size_cap.saturating_sub(length))];
            if http.body != Body::Any {
                body.extend_from_slice(wanted);
            }
            match &mut digest {
                Some(digest) => {
                    digest.update(bytes);
                    length += bytes.len();
                }
                None => length += wanted.len(),
            }
        }
    }
    let digest = digest.map(|digest| digest.finalize().into());
    Ok(Answer { status: head.status.as_u16(), location, length, body, digest })
}

fn request(http: &Http, path: &str) -> Result<Request<Empty<Bytes>>, Reason> {
    let unfit = |what: &str, text: &str| Reason::NotStarted(format!("\"{}\" is no {what}", printable(text)));
    let uri: Uri = encoded(path).parse().map_err(|_| unfit("request path", path))?;
    let host = HeaderValue::from_str(&http.host).map_err(|_| unfit("Host header", &http.host))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = match http.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static("evenkeel"));
    let connection = match http.rules.version {
        HttpVersion::Http11 | HttpVersion::Http10Close => Some("close"),
        HttpVersion::Http10KeepAlive => Some("keep-alive"),
        HttpVersion::Http10 => None,
    };
    headers.extend(connection.map(|word| (CONNECTION, HeaderValue::from_static(word))));
    Ok(request)
}

fn on_the_wire(request: &Request<Empty<Bytes>>, version: HttpVersion) -> Vec<u8> {
    let version = if version == HttpVersion::Http11 { "1.1" } else { "1.0" };
    let mut bytes = format!("{} {} HTTP/{version}\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// `path` with what may not stand in a request line percent-encoded, as libwww-perl sends it; a fragment is not sent.
fn encoded(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut line = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        line.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => line.push_str(&format!("%{byte:02X}")),
            0x21..=0x7e => line.push(char::from(byte)),
            _ => line.push_str(&format!("%{byte:02X}")),
        }
    }
    line
}

/// The path of the next request. A redirect must stay on the real server: another one's health says nothing about it,
/// and an answer must not be able to send the director's requests anywhere.
fn redirect(http: &Http, path: &str, answer: &Answer) -> Result<String, Reason> {
    let status = answer.status;
    let Some(location) = &answer.location else {
        return Err(Reason::BadAnswer(format!("{status} without Location")));
    };
    if let Some(rest) = location.strip_prefix("//") {
        return same_target(http, rest, location);
    }
    if location.starts_with('/') {
        return Ok(location.clone());
    }
    // RFC 3986 4.2: a colon before the first slash ends a scheme.
    let first = location.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((scheme, _)) = first.split_once(':') {
        let same_scheme = scheme.eq_ignore_ascii_case(if http.tls { "https" } else { "http" });
        return match location[scheme.len()..].strip_prefix("://") {
            Some(rest) if same_scheme => same_target(http, rest, location),
            Some(_) | None => Err(leaves(http, location)),
        };
    }
    if location.is_empty() {
        return Ok(path.to_owned());
    }
    // RFC 3986 5.2: a relative path replaces what follows the last slash.
    let base = path.split(['?', '#']).next().unwrap_or_default();
    let directory = base.rfind('/').map_or("/", |slash| &base[..=slash]);
    Ok(if location.starts_with('?') { format!("{base}{location}") } else { format!("{directory}{location}") })
}

/// The path of `rest`, an authority with a path, when the authority is the one that was asked.
fn same_target(http: &Http, rest: &str, location: &str) -> Result<String, Reason> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let usual = if http.tls { 443 } else { 80 };
    let (name, port) = split_port(authority, usual);
    let (asked_name, asked_port) = split_port(&http.host, usual);
    let target = http.target.ip().to_string();
    let same_name = name.eq_ignore_ascii_case(asked_name) || name.trim_matches(['[', ']']) == target;
    let same_port = port.is_some() && (port == asked_port || port == Some(http.target.port()));
    if same_name && same_port { Ok(path.to_owned()) } else { Err(leaves(http, location)) }
}

/// Name and port of `authority`; no port when it is not a number.
fn split_port(authority: &str, usual: u16) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        Some(_) | None => (authority, Some(usual)),
    }
}

fn leaves(http: &Http, location: &str) -> Reason {
    Reason::BadAnswer(format!("redirect to {} leaves {}", printable(location), http.target))
}

/// What an error of the HTTP exchange says.
fn misbehaved(error: &hyper::Error, http: &Http, phase: Phase) -> Reason {
    let closed = Reason::Closed { phase };
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(error) = source {
        let from_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        return if from_tls { tls::failure(error, http.target.ip()) } else { failure(error, http.target.ip(), closed) };
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        closed
    } else if error.is_parse() && error.to_string().contains("too large") {
        Reason::BadAnswer(format!("header with more than {MAX_HEADER} bytes or {MAX_HEADER_LINES} lines"))
    } else {
        Reason::BadAnswer(printable(&error.to_string()))
    }
}

/// "200-299, 301".
fn ranges(set: &StatusSet) -> String {
    let text = |(low, high): &(u16, u16)| if low == high { low.to_string() } else { format!("{low}-{high}") };
    set.0.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
