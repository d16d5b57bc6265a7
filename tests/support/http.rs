//! The plainest possible HTTP: for the management API, where blocking is right, and for requests that a well-behaved
//! client would refuse to send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::DEADLINE;

/// One request over HTTP/1.0, so that the answer has no chunks: its status and body.
pub(crate) fn blocking_request(
    authority: &str,
    method: &str,
    path: &str,
    login: Option<&str>,
    body: Option<&str>,
) -> std::io::Result<(u16, String)> {
    let authorization =
        login.map(|login| format!("authorization: Basic {}\r\n", STANDARD.encode(login))).unwrap_or_default();
    let body = body.unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {authority}\r\n{authorization}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((status_of(head), body.to_owned()))
}

/// Sends bytes as they are and reads until the other side closes: for requests that no client library sends.
/// Returns the answer and how long the connection was open.
pub(crate) fn send_raw(address: SocketAddr, request: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).expect("the service accepts connections");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    // A service that refuses early may close before it has read all; what it answered is what matters.
    if let Err(e) = stream.write_all(request) {
        assert!(matches!(e.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset), "{e}");
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(e) => panic!("the service neither answered to the end nor closed: {e}"),
        }
    }
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

/// The status of an answer's first line, 0 if there is none.
pub(crate) fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
