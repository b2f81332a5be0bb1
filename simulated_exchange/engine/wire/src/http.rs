//! A signed request with a body that is all here, as nearly every client sends it: the head in plain ASCII, its length
//! said, nothing behind it.

/// Longest head with its body.
const BYTES_MAX: usize = 16_384;

/// What of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedPost<'a> {
    /// Without a query.
    pub path: &'a str,
    /// `X-BAPI-API-KEY`.
    pub api_key: &'a str,
    /// `X-BAPI-TIMESTAMP`.
    pub timestamp: &'a str,
    /// `X-BAPI-RECV-WINDOW`; empty for none.
    pub recv_window: &'a str,
    /// `X-BAPI-SIGN`.
    pub signature: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// The request that the bytes are, no more and no less.
pub fn signed_post(data: &[u8]) -> Option<SignedPost<'_>> {
    if data.len() > BYTES_MAX {
        return None;
    }
    let (line, mut rest) = line(data.strip_prefix(b"POST ")?)?;
    let path = line.strip_suffix(" HTTP/1.1").filter(|path| is_path(path))?;
    let (mut length, mut fields) = (None, [None; 4]);
    loop {
        let (line, behind) = self::line(rest)?;
        rest = behind;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches(' ');
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return None;
        }
        match kind(name) {
            Name::Signed(at) if fields[at].is_none() => fields[at] = Some(value),
            Name::Length if length.is_none() => length = Some(number(value)?),
            Name::Connection if value.eq_ignore_ascii_case("keep-alive") => {}
            Name::Other => {}
            _ => return None,
        }
    }
    let [api_key, timestamp, recv_window, signature] = fields;
    (length? == rest.len()).then_some(SignedPost {
        path,
        api_key: api_key?,
        timestamp: timestamp?,
        recv_window: recv_window.unwrap_or(""),
        signature: signature?,
        body: rest,
    })
}

enum Name {
    /// One of those that are signed with, by its place.
    Signed(usize),
    Length,
    Connection,
    /// Changes how the request is to be read.
    Odd,
    Other,
}

fn kind(name: &str) -> Name {
    const SIGNED: [&str; 4] = ["X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "X-BAPI-SIGN"];
    const ODD: [&str; 5] = ["Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade", "Proxy-Connection"];
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    if let Some(at) = SIGNED.iter().position(is) {
        Name::Signed(at)
    } else if is(&"Content-Length") {
        Name::Length
    } else if is(&"Connection") {
        Name::Connection
    } else if ODD.iter().any(is) {
        Name::Odd
    } else {
        Name::Other
    }
}

/// A line of printable ASCII, and what is behind its end.
fn line(data: &[u8]) -> Option<(&str, &[u8])> {
    let length = data.iter().position(|byte| !matches!(byte, b' '..=b'~'))?;
    let behind = data[length..].strip_prefix(b"\r\n")?;
    Some((str::from_utf8(&data[..length]).ok()?, behind))
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-'))
}

fn number(text: &str) -> Option<usize> {
    (1..=6).contains(&text.len()).then_some(())?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "POST /v5/order/create HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: keep-alive\r\n\
                           X-BAPI-API-KEY: key\r\nX-BAPI-TIMESTAMP: 17\r\nx-bapi-sign:  abc \r\n\
                           X-BAPI-RECV-WINDOW: 50\r\nContent-Length: 4\r\n\r\nbody";

    #[test]
    fn a_usual_request_is_read() {
        let read = signed_post(REQUEST.as_bytes()).unwrap();
        assert_eq!((read.path, read.api_key, read.timestamp), ("/v5/order/create", "key", "17"));
        assert_eq!((read.recv_window, read.signature, read.body), ("50", "abc", &b"body"[..]));
        let without = REQUEST.replace("X-BAPI-RECV-WINDOW: 50\r\n", "");
        assert_eq!(signed_post(without.as_bytes()).unwrap().recv_window, "");
    }

    #[test]
    fn whatever_else_is_left_to_others() {
        for end in 0..REQUEST.len() {
            assert_eq!(signed_post(&REQUEST.as_bytes()[..end]), None, "cut at {end}");
        }
        for (from, to) in [
            ("body", "body2"),
            ("POST", "GET"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("create ", "create?a=b "),
            ("keep-alive", "close"),
            ("keep-alive", "Upgrade"),
            ("Host: ", "Host : "),
            ("Host: ", "Host: \u{7f}"),
            ("Host: ", "X-BAPI-SIGN: x\r\nHost: "),
            ("Host: ", "Content-Length: 4\r\nHost: "),
            ("Host: ", "Transfer-Encoding: chunked\r\nHost: "),
            ("Host: ", "Expect: 100-continue\r\nHost: "),
            ("Host: ", " folded\r\nHost: "),
            ("Length: 4", "Length: +4"),
            ("Length: 4", "Length:"),
            ("X-BAPI-API-KEY: key\r\n", ""),
            ("\r\nHost", "\nHost"),
        ] {
            assert_ne!(REQUEST.replacen(from, to, 1), REQUEST);
            assert_eq!(signed_post(REQUEST.replacen(from, to, 1).as_bytes()), None, "{from} as {to}");
        }
    }
}
